package observe

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A node is one process at work, seen from outside.
type node struct {
	*nettest.Process
	t     *testing.T
	admin string
}

// start runs the program until the test ends.
func start(t *testing.T, args ...string) *node {
	t.Helper()
	return startAt(t, nettest.FreeAddr(t), args...)
}

// startAt runs the program until the test ends, with the admin server at an address.
func startAt(t *testing.T, admin string, args ...string) *node {
	t.Helper()
	ours := []string{"--admin", admin, "--log-format", "json", "--drain-timeout", "1s", "--http-processes", "1"}
	p := nettest.Start(t, nettest.Command{
		Path: harness.Program(t), Args: append(ours, args...),
		Timeout: harness.Patience,
	},
		nettest.Prints(`^\{.*"msg":"serving".*\}$`))
	return &node{p, t, admin}
}

// get returns the admin server's document at a path.
func (n *node) get(path string) string {
	n.t.Helper()
	response, err := http.Get("http://" + n.admin + path)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: status %d, error %v", path, response.StatusCode, err)
	}
	return string(body)
}

var sample = regexp.MustCompile(`(?m)^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$`)

// series returns the current series of a scrape.
func (n *node) series() map[string]float64 {
	n.t.Helper()
	list := make(map[string]float64)
	for _, m := range sample.FindAllStringSubmatch(n.get("/metrics"), -1) {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			n.t.Fatalf("%q: %v", m[0], err)
		}
		list[m[1]] = v
	}
	return list
}

// await waits until a series has a value.
func (n *node) await(series string, want float64) {
	n.t.Helper()
	nettest.Eventually(n.t, harness.Patience,
		func() bool { v, ok := n.series()[series]; return ok && v == want },
		"%s is %v", series, want)
}

// A line is one of the log.
type line map[string]any

// lines returns those of the log that have msg.
func (n *node) lines(msg string) (list []line) {
	n.t.Helper()
	for text := range strings.Lines(n.Stderr()) {
		var l line
		if json.Unmarshal([]byte(text), &l) == nil && l["msg"] == msg {
			list = append(list, l)
		}
	}
	return list
}

// A fleet is some nodes in front of one backend. Node i is at 127.0.0.(i+1), so that nodes differ
// by address and share their ports.
type fleet struct {
	t                          *testing.T
	pki                        *testpki.PKI
	cert                       *testpki.Cert
	tlsPort, udpPort, httpPort int
	backend, secret            string
	nodes                      []*node
}

// newFleet prepares n nodes, of which none runs yet. They terminate TLS for HTTP.
func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{
		t: t, pki: testpki.New(t), tlsPort: nettest.FreePort(t), udpPort: nettest.FreePort(t),
		httpPort: nettest.FreePort(t),
		backend:  nettest.Serve(t, answerOne).Addr, nodes: make([]*node, n),
	}
	return f
}

func (f *fleet) tls(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.tlsPort) }

func (f *fleet) udp(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.udpPort) }

func (f *fleet) admin(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.httpPort) }

// run starts node i, which has a cluster secret and a certificate, and knows all the others.
func (f *fleet) run(i int, secret string, cert *testpki.Cert) {
	f.t.Helper()
	args := []string{
		"--https2=addr=" + f.tls(i) + ",cert=" + cert.CertFile + ",key=" + cert.KeyFile, "--http-to=http://" + f.backend,
		"--https-session-context=fleet", "--cache-udp-server=" + f.udp(i), "--cluster-secret-file=" + secret,
		"--name", fmt.Sprintf("node%d", i),
	}
	for j := range f.nodes {
		if j != i {
			args = append(args, "--cache-udp-node="+f.udp(j))
		}
	}
	f.nodes[i] = startAt(f.t, f.admin(i), args...)
}

// answerOne is a backend of HTTP that answers one request and closes.
func answerOne(conn net.Conn) {
	if _, err := conn.Read(make([]byte, 4096)); err == nil {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
	}
}

// visit asks node i for something by HTTPS.
func (f *fleet) visit(i int) {
	f.t.Helper()
	client := http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: f.pki.CA.Pool(), ServerName: "localhost"},
			DisableKeepAlives: true,
		},
		Timeout: harness.Patience,
	}
	response, err := client.Get("https://" + f.tls(i) + "/")
	if err != nil {
		f.t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("status %d, want 200", response.StatusCode)
	}
}
