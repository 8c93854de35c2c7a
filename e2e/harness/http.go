package harness

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
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// StartHTTP runs a router without TLS.
func StartHTTP(t *testing.T, args ...string) (*Server, *http.Client) {
	t.Helper()
	s := Start(t, append(args, "--http=127.0.0.1:0", OneLoop)...)
	return s, HTTPClient(t, nil, nil)
}

// HTTPTo and [UWSGITo] are the options for backends of the HTTP router.
func HTTPTo(addr string) string { return "--http-to=http://" + addr }

// UWSGITo: see [HTTPTo].
func UWSGITo(addr string) string { return "--http-to=uwsgi://" + addr }

// HTTPS is the option for an HTTPS listener, as [Listen] is for sslrouter.
func HTTPS(cert *testpki.Cert, more ...string) string {
	return strings.Replace(Listen(cert, more...), "--sslrouter2=", "--https2=", 1)
}

// StartHTTPS runs the program with one HTTPS listener.
func StartHTTPS(t *testing.T, args ...string) (*Server, *testpki.PKI) {
	t.Helper()
	pki := testpki.New(t)
	return Start(t, append(args, HTTPS(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")))...),
		pki
}

// ServeHTTP runs Go's own server until the test ends.
func ServeHTTP(t *testing.T, handle http.HandlerFunc) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handle}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// HTTPClient returns Go's own client; change may be nil. It follows no redirects.
func HTTPClient(t *testing.T, config *tls.Config, change func(*http.Transport)) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, DisableCompression: true}
	if change != nil {
		change(transport)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 2 * Patience,
		CheckRedirect: func(*http.Request,
			[]*http.Request,
		) error {
			return http.ErrUseLastResponse
		},
	}
}

// Fetch makes a request and returns the response with its body read.
func Fetch(client *http.Client, method, url string, body io.Reader,
	fields ...string,
) (*http.Response, string, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return nil, "", err
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// WantPage fetches url, which must answer 200 with the body.
func WantPage(t *testing.T, client *http.Client, url, want string) {
	t.Helper()
	if resp, body, err := Fetch(client, "GET", url, nil); err != nil ||
		resp.StatusCode != http.StatusOK || body != want {
		t.Errorf("%s: got %q, %v, want %q", url, body, err, want)
	}
}

// An Answer is a response of which nothing is left to read.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	Close  bool
	Err    error // that its body ended with
}

// ReadAnswer reads a response to a request of the method. An error is one of its
// head.
func ReadAnswer(r *bufio.Reader, method string) (Answer, error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return Answer{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, string(body), resp.Close, err}, nil
}

// MustAnswer is readAnswer, which must succeed.
func MustAnswer(t *testing.T, r *bufio.Reader) Answer {
	t.Helper()
	a, err := ReadAnswer(r, "GET")
	if err == nil {
		err = a.Err
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Answers reads responses until the end, which must be a proper one.
func Answers(t *testing.T, r io.Reader) (all []Answer) {
	t.Helper()
	b := bufio.NewReader(r)
	for {
		if _, err := b.Peek(1); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("after %d answers: %v", len(all), err)
		}
		all = append(all, MustAnswer(t, b))
	}
}

// A recorder is a backend that keeps every byte it gets, and the requests that
// Go's own server finds in them. Each of its connections serves one request.
type recorder struct {
	*nettest.Backend

	mu       sync.Mutex // guards what follows
	raw      bytes.Buffer
	requests []string
	served   uint64 // connections that have ended
}

// Record runs a recorder that answers with respond; nil answers "ok".
func Record(t *testing.T, respond func(net.Conn, *http.Request)) *recorder {
	r := new(recorder)
	if respond == nil {
		respond = func(conn net.Conn, _ *http.Request) {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	}
	r.Backend = nettest.Serve(t, func(conn net.Conn) {
		defer func() {
			io.Copy(r, conn) // whatever follows
			r.mu.Lock()
			r.served++
			r.mu.Unlock()
		}()
		req, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, r)))
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err == nil {
			r.note(fmt.Sprintf("%s %s %s", req.Method, req.RequestURI, body))
			respond(conn, req)
		}
	})
	return r
}

// Write implements io.Writer: it keeps the bytes of a connection.
func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.raw.Write(p)
}

func (r *recorder) note(request string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request)
}

// Take waits until the recorder has read all that s sends to it, and returns and drops that. s must
// not keep connections to backends.
func (r *recorder) Take(t *testing.T, s *Server) (raw string, requests []string) {
	t.Helper()
	var hits uint64
	nettest.Eventually(t, Patience, func() bool {
		row := s.Document().Backends.Nodes[0]
		hits = row.Hits
		r.mu.Lock()
		defer r.mu.Unlock()
		return row.Active == 0 && r.served == hits
	}, "the backend has read everything")
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, requests = r.raw.String(), r.requests
	r.raw.Reset()
	r.requests = nil
	return raw, requests
}

// StartUWSGI runs a WSGI application until the test ends.
func StartUWSGI(t *testing.T, application string, args ...string) (addr string) {
	t.Helper()
	nettest.Need(t, "uwsgi")
	addr = nettest.FreeAddr(t)
	nettest.Start(t, nettest.Command{
		Path: "uwsgi",
		Args: append([]string{
			"--plugin", "python3", "--uwsgi-socket", addr, "--wsgi-file",
			WriteFile(t, "app.py", application), "--need-app", "--buffer-size", "65535",
		}, args...),
		StopSignal: syscall.SIGINT, Timeout: Patience,
	}, nettest.Accepts(addr))
	return addr
}

// StartNginx runs nginx, as one process, with the body of a server block.
func StartNginx(t *testing.T, addr, block string) *nettest.Process {
	t.Helper()
	nettest.Need(t, "nginx")
	dir := t.TempDir()
	config := WriteFile(t, "nginx.conf", fmt.Sprintf(`
daemon off; master_process off; error_log stderr warn; pid %[1]s/pid;
events { worker_connections 4096; }
http {
	access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen %[2]s; %[3]s }
}`, dir, addr, block))
	return nettest.Start(t, nettest.Command{
		Path: "nginx",
		Args: []string{"-e", "stderr", "-p", dir, "-c", config}, Timeout: Patience,
	},
		nettest.Accepts(addr))
}

// StartHAProxy runs haproxy with sections after its defaults, and waits for addr.
func StartHAProxy(t *testing.T, addr, config string) {
	t.Helper()
	nettest.Need(t, "haproxy")
	file := WriteFile(t, "haproxy.cfg",
		"defaults\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n"+config)
	nettest.Start(t, nettest.Command{
		Path: "haproxy", Args: []string{"-db", "-f", file},
		Timeout: Patience,
	}, nettest.Accepts(addr))
}

// WriteFile makes a file for this test and returns its path.
func WriteFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// DecodeJSON decodes a backend's answer.
func DecodeJSON[T any](t *testing.T, s string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v in %q", err, s)
	}
	return v
}

// Dribble sends a stream in pieces of the given lengths, in turn, each in a segment of its own as
// far as the kernel allows.
func Dribble(conn net.Conn, stream string, lengths ...int) error {
	for i := 0; stream != ""; i++ {
		n := min(lengths[i%len(lengths)], len(stream))
		if _, err := io.WriteString(conn, stream[:n]); err != nil {
			return err
		}
		stream = stream[n:]
		// lets the reader see the piece alone; nothing depends on it
		time.Sleep(50 * time.Microsecond)
	}
	return nil
}
