package fleet

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// patience is for what must happen, on a machine that is busy with other things.
const patience = time.Minute

// A fleet is some nodes in front of one backend. Node i is at 127.0.0.(i+1), so
// that nodes differ by address and share their ports.
type fleet struct {
	t        *testing.T
	pki      *testpki.PKI
	cert     *testpki.Cert
	secret   string // file with the cluster secret
	listener string // what is said of the listener besides its address
	tlsPort  int
	udpPort  int
	nodes    []*node // nil for one that does not run
	options  []string
	backend  string
	peer     func(i, j int) string // where i finds j, "" if it does not
}

// newFleet prepares n nodes, of which none runs yet.
func newFleet(t *testing.T, n int, options ...string) *fleet {
	t.Helper()
	f := &fleet{
		t: t, pki: testpki.New(t), tlsPort: nettest.FreePort(t), udpPort: nettest.FreePort(t),
		nodes: make([]*node, n), options: options, backend: nettest.Serve(t, answerLine).Addr,
	}
	f.cert = f.pki.Server(testpki.ECDSA, "localhost", "*.wild.example", "127.0.0.1")
	f.listener = ",cert=" + f.cert.CertFile + ",key=" + f.cert.KeyFile
	f.secret = secretFile(t)
	f.peer = func(_, j int) string { return f.udp(j) }
	return f
}

// startFleet runs n nodes that know each other.
func startFleet(t *testing.T, n int, options ...string) *fleet {
	t.Helper()
	f := newFleet(t, n, options...)
	f.runAll()
	return f
}

// secretFile makes a file with a random cluster secret.
func secretFile(t *testing.T) string {
	t.Helper()
	secret := make([]byte, 32)
	rand.Read(secret)
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(hex.EncodeToString(secret)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (f *fleet) tls(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.tlsPort) }
func (f *fleet) udp(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.udpPort) }

// args are the options of node i.
func (f *fleet) args(i int) []string {
	args := []string{
		"--sslrouter2=addr=" + f.tls(i) + f.listener, "--sslrouter-to=" + f.backend, "--sslrouter-session-context=fleet",
		"--http-processes=1", "--cache-udp-server=" + f.udp(i),
	}
	if f.secret != "" {
		args = append(args, "--cluster-secret-file="+f.secret)
	}
	for j := range f.nodes {
		if j == i {
			continue
		}
		if addr := f.peer(i, j); addr != "" {
			args = append(args, "--cache-udp-node="+addr)
		}
	}
	return append(args, f.options...)
}

// run starts node i, with more options than all have.
func (f *fleet) run(i int, more ...string) {
	f.t.Helper()
	f.nodes[i] = start(f.t, append(f.args(i), more...)...)
}

func (f *fleet) runAll() {
	f.t.Helper()
	for i := range f.nodes {
		f.run(i)
	}
	f.awaitIntroduced()
}

// restart ends node i properly and starts it again.
func (f *fleet) restart(i int) {
	f.t.Helper()
	f.nodes[i].Stop()
	f.run(i)
}

// awaitIntroduced waits until each node that runs hears all the others that it was
// told of, and has what they had before it.
func (f *fleet) awaitIntroduced() {
	f.t.Helper()
	for i, n := range f.nodes {
		for j, other := range f.nodes {
			if n == nil || other == nil || i == j || f.peer(i, j) == "" {
				continue
			}
			nettest.Eventually(f.t, patience, func() bool { return n.hears(other) }, "node %d hears node %d", i, j)
		}
	}
}

// A node is one process at work, seen from outside.
type node struct {
	*nettest.Process
	t     *testing.T
	stats string
	admin string
}

// program is what is attacked.
func program(t *testing.T) string {
	if path := os.Getenv("REPRISE_BIN"); path != "" {
		return path
	}
	return nettest.Build(t, "reprise/cmd/reprise")
}

// adminSocket is a path that is short enough for a socket.
func adminSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprise-fleet-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "admin.sock")
}

// start runs the program until the test ends.
func start(t *testing.T, args ...string) *node {
	t.Helper()
	n := &node{t: t, stats: nettest.FreeAddr(t), admin: adminSocket(t)}
	ours := []string{"--stats", n.stats, "--admin", n.admin, "--log-format", "json", "--drain-timeout", "1s"}
	n.Process = nettest.Start(t, nettest.Command{Path: program(t), Args: append(ours, args...), Timeout: patience},
		nettest.Prints(`^\{.*"msg":"serving".*\}$`))
	return n
}

// reprise runs a command to its end.
func reprise(t *testing.T, args ...string) nettest.Result {
	t.Helper()
	return nettest.Run(t, nettest.Command{Path: program(t), Args: args, Timeout: patience})
}

// A document is what the statistics tell, of what is looked at here.
type document struct {
	Caches []struct{ Items int }
	Engine struct {
		TLS struct{ Outcomes map[string]uint64 }
	}
	Replication struct {
		ID, Mode, Join string
		Peers          []struct {
			ID, Name, Address string
			Introduced, Alive int
		}
		SentDatagrams     uint64 `json:"sent_datagrams"`
		ReceivedDatagrams uint64 `json:"received_datagrams"`
		Dropped           map[string]uint64
	}
	Store1 struct {
		Sets       uint64
		WriteQueue int64 `json:"write_queue"`
	}
}

func (n *node) document() (d document) {
	n.t.Helper()
	conn, err := nettest.Dial(n.stats)
	if err != nil {
		n.t.Fatal(err)
	}
	defer conn.Close()
	if err := json.NewDecoder(conn).Decode(&d); err != nil {
		n.t.Fatal(err)
	}
	return d
}

// hears reports whether n has been introduced to the life of other that runs now.
func (n *node) hears(other *node) bool {
	d := n.document().Replication
	// A node's handles, and its peers, name it by the beginning of its id.
	id := other.document().Replication.ID[:8]
	for _, p := range d.Peers {
		if p.ID == id && p.Introduced == 1 && p.Alive == 1 {
			return d.Mode == "pull" || d.Join == "done"
		}
	}
	return false
}

// forget runs reprise forget at node i.
func (f *fleet) forget(i int, args ...string) nettest.Result {
	f.t.Helper()
	return reprise(f.t, append([]string{"forget", "--admin", f.nodes[i].admin}, args...)...)
}

// mustForget is forget, which must succeed.
func (f *fleet) mustForget(i int, args ...string) {
	f.t.Helper()
	if r := f.forget(i, args...); r.ExitCode != 0 {
		f.t.Fatalf("forget %v: exit code %d, want 0:\n%s%s", args, r.ExitCode, r.Stdout, r.Stderr)
	}
}

// answerLine is a backend that answers a line with itself and closes.
func answerLine(conn net.Conn) {
	if line, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
		io.WriteString(conn, line)
	}
}

// redis runs a Redis server until the test ends, and returns where.
func redis(t *testing.T) (*nettest.Process, string) {
	t.Helper()
	nettest.Need(t, "redis-server")
	addr := nettest.FreeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	return nettest.Start(t, nettest.Command{
		Path: "redis-server", Args: []string{"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""},
	}, nettest.Prints("Ready to accept connections")), addr
}

// redisCommand sends one command and returns the answer, which must not be an error.
func redisCommand(t *testing.T, addr string, words ...string) string {
	t.Helper()
	conn, err := nettest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s\r\nQUIT\r\n", strings.Join(words, " "))
	answer, err := io.ReadAll(conn)
	if err != nil || len(answer) == 0 || answer[0] == '-' {
		t.Fatalf("redis: %v: %q, %v", words, answer, err)
	}
	return string(answer)
}

// redisKeys lists the keys in a Redis server.
func redisKeys(t *testing.T, addr string) (keys []string) {
	t.Helper()
	for _, line := range strings.Split(redisCommand(t, addr, "KEYS", "*"), "\r\n") {
		if line != "" && !strings.ContainsAny(line[:1], "*$+") {
			keys = append(keys, line)
		}
	}
	slices.Sort(keys)
	return keys
}
