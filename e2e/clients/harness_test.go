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
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// patience is for what must happen, on a machine that is busy with other things.
const patience = time.Minute

// The engines a node may speak TLS with.
const (
	engineOwn      = "own"
	engineStandard = "standard"
)

// engines are those the program has, its default first.
func engines(t *testing.T) []string {
	t.Helper()
	help, err := exec.Command(program(t), "--help").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(help, []byte("--tls-engine")) {
		return []string{engineStandard}
	}
	return []string{engineOwn, engineStandard}
}

func program(t *testing.T) string { return nettest.Build(t, "reprise/cmd/reprise") }

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
	open, mutual string // its listeners; a client needs a certificate at the second
	log          string // the access log
	stats        string // the address of the statistics
}

// startFleet runs two nodes until the test ends.
func startFleet(t *testing.T, engine string) *fleet {
	t.Helper()
	pki := testpki.New(t)
	f := &fleet{pki: pki, cert: pki.Server(testpki.ECDSA, "localhost", "127.0.0.1"), alice: pki.Client("alice")}
	listener := ",cert=" + f.cert.CertFile + ",key=" + f.cert.KeyFile
	backend := nettest.Serve(t, answer)
	openPort, mutualPort, udpPort := nettest.FreePort(t), nettest.FreePort(t), nettest.FreePort(t)
	at := func(i, port int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, port) }
	for i := range f.nodes {
		n := &node{
			open: at(i, openPort), mutual: at(i, mutualPort), stats: nettest.FreeAddr(t),
			log: filepath.Join(t.TempDir(), "access.log"),
		}
		args := []string{
			"--sslrouter2=addr=" + n.open + listener,
			"--sslrouter2=addr=" + n.mutual + listener + ",clientca=!" + pki.CAFile,
			"--sslrouter-to=" + backend.Addr, "--sslrouter-session-context=clients",
			"--cache-udp-server=" + at(i, udpPort), "--cache-udp-node=" + at(1-i, udpPort),
			"--cache-lookup-timeout=2s", // what is found is asked, not how fast
			"--http-processes=1", "--access-log=" + n.log, "--stats=" + n.stats, "--drain-timeout=1s",
		}
		if len(engines(t)) > 1 {
			args = append(args, "--tls-engine="+engine)
		}
		nettest.Start(t, nettest.Command{Path: program(t), Args: args, Timeout: patience},
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
		nettest.Eventually(t, patience, func() bool {
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

// addresses are where the nodes listen, for clients with or without a certificate.
func (f *fleet) addresses(mutual bool) []string {
	if mutual {
		return []string{f.nodes[0].mutual, f.nodes[1].mutual}
	}
	return []string{f.nodes[0].open, f.nodes[1].open}
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

// answer is the backend: it sends a line back and closes. If the line is an HTTP
// request the answer is the page.
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
	if _, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(line), r))); err == nil {
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n"+
			"Cache-Control: no-store\r\nConnection: close\r\n\r\n%s", len(page), page)
	}
}

// An entry is what a node's access log tells of a connection.
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
	nettest.Eventually(t, patience, func() bool {
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

// A tally is what a node's statistics tell of handshakes.
type tally struct{ Handshakes, Outcomes, Failures map[string]uint64 }

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
