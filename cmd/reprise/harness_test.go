package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/backend"
	"reprise/backend/subscription"
	"reprise/engine"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
	"reprise/stats"
)

// patience is for what must happen, on a machine that is busy with other things.
const patience = time.Minute

// raceEnabled reports whether the race detector is on, in this process and in
// the one under test: both are then slow, and their memory is not their own.
var raceEnabled = func() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return true
		}
	}
	return false
}()

// adminToken is a file with the token of all nodes here, which commands find by their
// environment: so tests can control a node by TCP.
var adminToken string

const adminTokenText = "a-token-of-tests-which-is-no-secret"

// withAdminToken runs tests while there is an adminToken.
func withAdminToken(m *testing.M) int {
	dir, err := os.MkdirTemp("", "reprise-tests-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	adminToken = filepath.Join(dir, "admin.token")
	if err := os.WriteFile(adminToken, []byte(adminTokenText+"\n"), 0o600); err != nil {
		panic(err)
	}
	os.Setenv("REPRISE_ADMIN_TOKEN_FILE", adminToken)
	return m.Run()
}

// post asks the admin server to do something.
func (s *server) post(path string) (*http.Response, error) {
	request, err := http.NewRequest(http.MethodPost, "http://"+s.admin+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+adminTokenText)
	return http.DefaultClient.Do(request)
}

// A server is the built program at work, seen from outside.
type server struct {
	*nettest.Process
	t         *testing.T
	addresses []string // of the TLS listeners, in order
	stats     string
	admin     string
}

// start runs the program until the test ends.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	return startCommand(t, nettest.Command{Path: program(t)}, args...)
}

// startCommand is start with a command of the test's own, to which arguments are added.
func startCommand(t *testing.T, c nettest.Command, args ...string) *server {
	t.Helper()
	s := &server{t: t, stats: nettest.FreeAddr(t), admin: nettest.FreeAddr(t)}
	ours := []string{"--stats", s.stats, "--admin", s.admin, "--admin-token-file", adminToken, "--pprof", "--log-format", "json", "--drain-timeout", "1s"}
	c.Args, c.Timeout = slices.Concat(c.Args, ours, args), patience
	s.Process = nettest.Start(t, c)
	var serving struct{ Listen []string }
	if err := json.Unmarshal([]byte(s.Match(`^\{.*"msg":"serving".*\}$`)[0]), &serving); err != nil {
		t.Fatal(err)
	}
	s.addresses = serving.Listen
	return s
}

// program returns the path of the program under test: built from this source, or
// what REPRISE_BIN names, so that a test can be seen to fail on an older one.
func program(t *testing.T) string {
	if path := os.Getenv("REPRISE_BIN"); path != "" {
		return path
	}
	return nettest.Build(t, "reprise/cmd/reprise")
}

// listen is the option for a listener with cert on a port that the kernel
// chooses; more are further fields of sslrouter2.
func listen(cert *testpki.Cert, more ...string) string {
	fields := append([]string{"addr=127.0.0.1:0", "cert=" + cert.CertFile, "key=" + cert.KeyFile}, more...)
	return "--sslrouter2=" + strings.Join(fields, ",")
}

func to(addr string) string { return "--sslrouter-to=" + addr }

// echoServer runs the program in front of a backend that sends back what it gets.
func echoServer(t *testing.T, key testpki.KeyType, args ...string) (*server, *testpki.PKI) {
	t.Helper()
	pki := testpki.New(t)
	args = append([]string{listen(pki.Server(key, "localhost")), to(nettest.Serve(t, nettest.Echo).Addr)}, args...)
	return start(t, args...), pki
}

// addr is where the first listener listens.
func (s *server) addr() string { return s.addresses[0] }

// Rows of the document, as far as tests look at them.
type (
	cacheRow struct {
		stats.Cache
		Expired  uint64 `json:"expired"`
		Held     uint64 `json:"held"`
		Spent    uint64 `json:"spent"`
		Replaced uint64 `json:"replaced"`
		Evicted  uint64 `json:"evicted"`
	}
	backendRow struct {
		Router string `json:"router"`
		Pool   string `json:"pool"`
		backend.NodeStats
	}
	poolRow struct {
		Router string `json:"router"`
		Pool   string `json:"pool"`
		backend.PoolStats
	}
	backendRows struct {
		Pools []poolRow    `json:"pools"`
		Nodes []backendRow `json:"nodes"`
	}
	logStats struct {
		Dropped uint64 `json:"dropped"`
	}
)

// A document is what the stats server tells.
type document struct {
	Caches   []cacheRow
	Engine   engine.Stats
	Backends backendRows

	Subscriptions subscription.Stats
	Log           logStats
}

func (s *server) document() (d document) {
	s.t.Helper()
	s.decode(&d)
	return d
}

// decode reads the statistics.
func (s *server) decode(d any) {
	s.t.Helper()
	conn, err := nettest.Dial(s.stats)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if err := json.NewDecoder(conn).Decode(d); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until the document says so.
func (s *server) await(what string, holds func(document) bool) {
	s.t.Helper()
	nettest.Eventually(s.t, patience, func() bool { return holds(s.document()) }, "%s", what)
}

// awaitIdle waits until no connection is open.
func (s *server) awaitIdle() {
	s.t.Helper()
	s.await("all connections end", func(d document) bool { return d.Engine.Flows.Open == 0 })
}

// awaitStill waits until no byte moves: every reader there is has stopped, and
// everything before it is full.
func (s *server) awaitStill() {
	s.t.Helper()
	var last uint64
	equal := 0
	s.await("all bytes stand still", func(d document) bool {
		f := &d.Engine.Flows
		moved := f.CipherInBytes + f.PlainInBytes + f.PlainOutBytes + f.CipherOutByte
		if equal++; moved != last {
			equal = 0
		}
		last = moved
		return equal == 10
	})
}

// wantOutcomes checks how often sessions fared in the given ways since before;
// other ways must not have come up.
func (s *server) wantOutcomes(before document, want map[string]uint64) {
	s.t.Helper()
	for outcome, n := range s.document().Engine.TLS.Outcomes {
		if got := n - before.Engine.TLS.Outcomes[outcome]; got != want[outcome] {
			s.t.Errorf("outcome %s: got %d, want %d", outcome, got, want[outcome])
		}
	}
}

// logLen is the number of lines logged so far.
func (s *server) logLen() int { return strings.Count(s.Stderr(), "\n") }

// descriptorLen is the number of descriptors the process holds.
func (s *server) descriptorLen() int {
	s.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

// get asks the admin server. The connection is not kept.
func (s *server) get(path string) (status int, body string) {
	s.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get("http://" + s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// clientConfig is a client that trusts pki and remembers sessions.
func clientConfig(pki *testpki.PKI) *tls.Config {
	return &tls.Config{RootCAs: pki.CA.Pool(), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
}

// with returns a copy of config, changed.
func with(config *tls.Config, change func(*tls.Config)) *tls.Config {
	c := config.Clone()
	change(c)
	return c
}

// noResumption makes a client forget its sessions.
func noResumption(c *tls.Config) { c.ClientSessionCache = nil }

// A strictConn makes crypto/tls tell a client whether there was a close_notify:
// by itself it takes a FIN between two records for as good.
type strictConn struct{ net.Conn }

var errNoCloseNotify = errors.New("the connection ended without close_notify")

func (c strictConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		err = errNoCloseNotify
	}
	return n, err
}

// tcp returns what is below a client's connection.
func tcp(conn *tls.Conn) *net.TCPConn { return conn.NetConn().(strictConn).Conn.(*net.TCPConn) }

// handshake connects to addr.
func handshake(addr string, config *tls.Config) (*tls.Conn, error) {
	raw, err := nettest.Dial(addr)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(strictConn{raw}, config)
	conn.SetDeadline(time.Now().Add(patience))
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// connect connects to addr until the test ends.
func connect(t *testing.T, addr string, config *tls.Config) *tls.Conn {
	t.Helper()
	conn, err := handshake(addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.NetConn().Close() })
	return conn
}

// dialRaw connects to addr without TLS until the test ends.
func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := nettest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ping sends something to an echo and waits for it to come back.
func ping(conn net.Conn) error {
	const message = "ping\n"
	if _, err := io.WriteString(conn, message); err != nil {
		return err
	}
	answer := make([]byte, len(message))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != message {
		return fmt.Errorf("got %q, want %q", answer, message)
	}
	return nil
}

// tryVisit makes a connection to an echo, uses it and ends it properly.
func tryVisit(addr string, config *tls.Config) (tls.ConnectionState, error) {
	conn, err := handshake(addr, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	if err := ping(conn); err != nil {
		return tls.ConnectionState{}, err
	}
	if err := conn.CloseWrite(); err != nil {
		return tls.ConnectionState{}, err
	}
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		return tls.ConnectionState{}, fmt.Errorf("at the end: %q, %v, want a close_notify", rest, err)
	}
	return conn.ConnectionState(), nil
}

// visit is tryVisit, which must succeed.
func visit(t *testing.T, addr string, config *tls.Config) tls.ConnectionState {
	t.Helper()
	state, err := tryVisit(addr, config)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// wantResumed visits addr and checks whether that resumed a session.
func wantResumed(t *testing.T, addr string, config *tls.Config, want bool) {
	t.Helper()
	if got := visit(t, addr, config).DidResume; got != want {
		t.Errorf("%s: resumed is %v, want %v", addr, got, want)
	}
}

// answerLine is a backend that answers a line with itself and closes, or with a
// small page if the line is an HTTP request.
func answerLine(conn net.Conn) {
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	if !strings.Contains(line, "HTTP/1.1") {
		io.WriteString(conn, line)
		return
	}
	if _, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(line), r))); err == nil {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\npage\n")
	}
}

// clientHello returns what a client sends first.
func clientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go tls.Client(theirs, &tls.Config{ServerName: "localhost"}).Handshake()
	hello := make([]byte, 5, 4096)
	if _, err := io.ReadFull(ours, hello); err != nil {
		t.Fatal(err)
	}
	body := hello[5 : 5+int(hello[3])<<8+int(hello[4])]
	if _, err := io.ReadFull(ours, body); err != nil {
		t.Fatal(err)
	}
	return hello[:5+len(body)]
}
