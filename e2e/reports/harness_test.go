package reports

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A node is one process with a listener for HTTP without TLS and one with it.
type node struct {
	*nettest.Process
	pki         *testpki.PKI
	http, https string // addresses
}

// start runs a node in front of a backend, an address with its scheme, until the test ends.
func start(t *testing.T, backend string, options ...string) *node {
	t.Helper()
	n := &node{pki: testpki.New(t), http: nettest.FreeAddr(t), https: nettest.FreeAddr(t)}
	cert := n.pki.Server(testpki.ECDSA, "localhost")
	n.Process = nettest.Start(t, nettest.Command{
		Path: harness.Program(t), Timeout: harness.Patience,
		Args: append([]string{
			"--http", n.http, "--https", n.https + "," + cert.CertFile + "," + cert.KeyFile,
			"--http-to", backend, "--http-processes", "1",
		}, options...),
	}, nettest.Accepts(n.http), nettest.Accepts(n.https))
	return n
}

// ask sends bytes to the listener without TLS and returns the response.
func (n *node) ask(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	return n.askOn(t, dial(t, n.http), request)
}

func (n *node) askOn(t *testing.T, conn net.Conn, request string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// dial makes a connection until the test ends.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := nettest.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(harness.Patience))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A script is a backend that answers the head of each request with the same bytes, and
// leaves the connection open.
type script struct {
	addr string
	mu   sync.Mutex // guards head
	head string     // of the last request
}

func play(t *testing.T, response string) *script {
	t.Helper()
	s := new(script)
	s.addr = "http://" + nettest.Serve(t, func(conn net.Conn) {
		in := bufio.NewReader(conn)
		var head strings.Builder
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if head.WriteString(line); line != "\r\n" {
				continue
			}
			s.mu.Lock()
			s.head = head.String()
			s.mu.Unlock()
			head.Reset()
			io.WriteString(conn, response)
		}
	}).Addr
	return s
}

// got returns the head of the last request.
func (s *script) got() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head
}

// uwsgi is a backend of the uwsgi protocol that answers each request so.
func uwsgi(t *testing.T, response string) string {
	t.Helper()
	return nettest.Serve(t, func(conn net.Conn) {
		var head [4]byte // modifier, length in little endian, modifier
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(head[1])|int64(head[2])<<8); err != nil {
			return
		}
		io.WriteString(conn, response)
	}).Addr
}

// serverCertificate is the certificate for a client that asks for name.
func (n *node) serverCertificate(t *testing.T, name string) (*tls.ConnectionState, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", n.https, &tls.Config{ServerName: name, RootCAs: n.pki.CA.Pool()})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	return &state, nil
}

// ok is a response of a backend, with these fields.
func ok(fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok", strings.Join(append(fields, ""), "\r\n"))
}
