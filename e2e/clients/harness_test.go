package clients

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// The engines a node may speak TLS with.
const (
	engineOwn      = "own"
	engineStandard = "standard"
)

// engines are those the program has, its default first.
func engines(t *testing.T) (list []string) {
	t.Helper()
	for _, engine := range []string{engineOwn, engineStandard} {
		// There is no listener to check either, but it reports the option only if that is wrong.
		out, _ := exec.Command(harness.Program(t), "check", "--tls-engine="+engine).CombinedOutput()
		if !bytes.Contains(out, []byte("tls-engine")) {
			list = append(list, engine)
		}
	}
	if len(list) == 0 {
		t.Fatal("the program has no engine for TLS")
	}
	return list
}

// A fleet is two nodes that share sessions, in front of one backend. Node i is at
// 127.0.0.(i+1).
type fleet struct {
	pki   *testpki.PKI
	cert  *testpki.Cert // the nodes'
	alice *testpki.Cert // a client's, which mutual listeners ask for
	nodes [2]*node
}

// A node is the program at work, seen from outside.
type node struct {
	open, mutual, rsa string // its listeners; at mutual a client needs a certificate
	log               string // the access log
	stats             string // the address of the statistics
}

// startFleet runs two nodes until the test ends.
func startFleet(t *testing.T, engine string) *fleet {
	t.Helper()
	pki := testpki.New(t)
	f := &fleet{pki: pki, cert: pki.Server(testpki.ECDSA, "localhost", "127.0.0.1"), alice: pki.Client("alice")}
	listener := func(addr string, cert *testpki.Cert) string {
		return "--sslrouter2=addr=" + addr + ",cert=" + cert.CertFile + ",key=" + cert.KeyFile
	}
	rsa := pki.Server(testpki.RSA, "localhost", "127.0.0.1")
	secret := filepath.Join(t.TempDir(), "secret")
	text, err := exec.Command(harness.Program(t), "secret").Output()
	if err == nil {
		err = os.WriteFile(secret, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	backend := nettest.Serve(t, answer)
	openPort, mutualPort, rsaPort, udpPort := nettest.FreePort(t), nettest.FreePort(t),
		nettest.FreePort(t), nettest.FreePort(t)
	at := func(i, port int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, port) }
	for i := range f.nodes {
		n := &node{
			open: at(i, openPort), mutual: at(i, mutualPort), rsa: at(i,
				rsaPort), stats: nettest.FreeAddr(t),
			log: filepath.Join(t.TempDir(), "access.log"),
		}
		args := []string{
			listener(n.open, f.cert), listener(n.mutual, f.cert) + ",clientca=!" + pki.CAFile, listener(n.rsa, rsa),
			"--sslrouter-to=" + backend.Addr, "--sslrouter-session-context=clients",
			"--cache-udp-server=" + at(i, udpPort), "--cache-udp-node=" + at(1-i, udpPort), "--cluster-secret-file=" + secret,
			"--cache-lookup-timeout=2s", // the test asks for results, not for speed
			"--http-processes=1", "--access-log=" + n.log, "--stats=" + n.stats, "--drain-timeout=1s",
			"--tls-engine=" + engine,
		}
		nettest.Start(t, nettest.Command{Path: harness.Program(t), Args: args, Timeout: harness.Patience},
			nettest.Prints("serving"))
		f.nodes[i] = n
	}
	f.awaitShared(t)
	return f
}

// awaitShared waits until a session made at either node resumes at the other.
func (f *fleet) awaitShared(t *testing.T) {
	t.Helper()
	for i := range f.nodes {
		nettest.Eventually(t, harness.Patience, func() bool {
			config := f.goConfig(tls.VersionTLS13)
			for _, n := range []*node{f.nodes[i], f.nodes[1-i]} {
				resumed, err := goVisit(n.open, config)
				if err != nil {
					t.Fatal(err)
				}
				if n == f.nodes[1-i] {
					return resumed
				}
			}
			return false
		}, "a session of node %d resumes at the other", i)
	}
}

// addresses are where the nodes listen for clients in the mode.
func (f *fleet) addresses(m mode) (list []string) {
	for _, n := range f.nodes {
		switch {
		case m.cert:
			list = append(list, n.mutual)
		case m.rsa:
			list = append(list, n.rsa)
		default:
			list = append(list, n.open)
		}
	}
	return list
}

// page makes a browser ask for images one after the other before it is done.
const page = `<html><link rel=icon href="data:,"><body>page<script>
let left = 3;
function next() {
	if (left-- === 0) return;
	const image = document.createElement("img");
	image.onerror = next;
	image.src = "/image" + left;
	document.body.append(image);
}
next();
</script></body></html>
`

// answer is the backend: it sends a line back and closes. If the line is an HTTP request it sends
// the page.
func answer(conn net.Conn) {
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	if !strings.Contains(line, "HTTP/1.") {
		io.WriteString(conn, line)
		return
	}
	if _, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(line),
		r))); err == nil {
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n"+
			"Cache-Control: no-store\r\nConnection: close\r\n\r\n%s", len(page), page)
	}
}

// An entry is a connection's line in a node's access log.
type entry struct {
	Client     string
	Listener   string
	TLS        string
	Cipher     string
	SNI        string
	Resumed    string // where the session came from; empty after a full handshake
	Outcome    string
	ClientCert string `json:"client_cert"`
	Cause      string
	Total      float64
}

// entry waits for the line about the connection that came from client.
func (n *node) entry(t *testing.T, client string) (e entry) {
	t.Helper()
	nettest.Eventually(t, harness.Patience, func() bool {
		text, _ := os.ReadFile(n.log)
		for line := range bytes.Lines(text) {
			e = entry{}
			if json.Unmarshal(line, &e) == nil && e.Client == client {
				return true
			}
		}
		return false
	}, "a line about %s in the access log of %s", client, n.open)
	return e
}

// A tally holds the counters of handshakes in a node's statistics.
type tally struct {
	Handshakes, Failures map[string]uint64
	Resumed12            map[string]uint64 `json:"tls12_resumed"`
	EarlyDataSkipped     uint64            `json:"early_data_skipped"`
}

func (n *node) tally(t *testing.T) tally {
	t.Helper()
	conn, err := nettest.Dial(n.stats)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var document struct{ Engine struct{ TLS tally } }
	if err := json.NewDecoder(conn).Decode(&document); err != nil {
		t.Fatal(err)
	}
	return document.Engine.TLS
}
