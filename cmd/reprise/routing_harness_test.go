package main

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

// httpTo and uwsgiTo are the options for backends of the HTTP router.
func httpTo(addr string) string  { return "--http-to=http://" + addr }
func uwsgiTo(addr string) string { return "--http-to=uwsgi://" + addr }

// https is the option for an HTTPS listener, as [listen] is for sslrouter.
func https(cert *testpki.Cert, more ...string) string {
	return strings.Replace(listen(cert, more...), "--sslrouter2=", "--https2=", 1)
}

// startHTTPS runs the program with one HTTPS listener.
func startHTTPS(t *testing.T, args ...string) (*server, *testpki.PKI) {
	t.Helper()
	pki := testpki.New(t)
	return start(t, append(args, https(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")))...), pki
}

// serveHTTP runs Go's own server until the test ends.
func serveHTTP(t *testing.T, handle http.HandlerFunc) (addr string) {
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

// httpClient returns Go's own client; change may be nil. It follows no redirects.
func httpClient(t *testing.T, config *tls.Config, change func(*http.Transport)) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, DisableCompression: true}
	if change != nil {
		change(transport)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 2 * patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetch makes a request and returns the response with its body read.
func fetch(client *http.Client, method, url string, body io.Reader, fields ...string) (*http.Response, string, error) {
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

// wantPage fetches url, which must answer 200 with the body.
func wantPage(t *testing.T, client *http.Client, url, want string) {
	t.Helper()
	if resp, body, err := fetch(client, "GET", url, nil); err != nil || resp.StatusCode != http.StatusOK || body != want {
		t.Errorf("%s: got %q, %v, want %q", url, body, err, want)
	}
}

// An answer is a response of which nothing is left to read.
type answer struct {
	status int
	header http.Header
	body   string
	close  bool
	err    error // that its body ended with
}

// readAnswer reads a response to a request of the method. An error is one of its
// head.
func readAnswer(r *bufio.Reader, method string) (answer, error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), resp.Close, err}, nil
}

// mustAnswer is readAnswer, which must succeed.
func mustAnswer(t *testing.T, r *bufio.Reader) answer {
	t.Helper()
	a, err := readAnswer(r, "GET")
	if err == nil {
		err = a.err
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// answers reads responses until the end, which must be a proper one.
func answers(t *testing.T, r io.Reader) (all []answer) {
	t.Helper()
	b := bufio.NewReader(r)
	for {
		if _, err := b.Peek(1); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("after %d answers: %v", len(all), err)
		}
		all = append(all, mustAnswer(t, b))
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

// record runs a recorder that answers with respond; nil answers "ok".
func record(t *testing.T, respond func(net.Conn, *http.Request)) *recorder {
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

// Write implements io.Writer: it keeps what a connection has said.
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

// take waits until the recorder has read all that s had to say to it, and returns
// and forgets that. s must not keep connections to backends.
func (r *recorder) take(t *testing.T, s *server) (raw string, requests []string) {
	t.Helper()
	var hits uint64
	nettest.Eventually(t, patience, func() bool {
		row := s.document().Backends.Nodes[0]
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

// startUWSGI runs a WSGI application until the test ends.
func startUWSGI(t *testing.T, application string, args ...string) (addr string) {
	t.Helper()
	nettest.Need(t, "uwsgi")
	addr = nettest.FreeAddr(t)
	nettest.Start(t, nettest.Command{
		Path: "uwsgi",
		Args: append([]string{
			"--plugin", "python3", "--uwsgi-socket", addr, "--wsgi-file", writeFile(t, "app.py", application), "--need-app", "--buffer-size", "65535",
		}, args...),
		StopSignal: syscall.SIGINT, Timeout: patience,
	}, nettest.Accepts(addr))
	return addr
}

// startNginx runs nginx, as one process, with the body of a server block.
func startNginx(t *testing.T, addr, block string) *nettest.Process {
	t.Helper()
	nettest.Need(t, "nginx")
	dir := t.TempDir()
	config := writeFile(t, "nginx.conf", fmt.Sprintf(`
daemon off; master_process off; error_log stderr warn; pid %[1]s/pid;
events { worker_connections 4096; }
http {
	access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
	server { listen %[2]s; %[3]s }
}`, dir, addr, block))
	return nettest.Start(t, nettest.Command{Path: "nginx", Args: []string{"-e", "stderr", "-p", dir, "-c", config}, Timeout: patience}, nettest.Accepts(addr))
}

// startHAProxy runs haproxy with what follows its defaults, and waits for addr.
func startHAProxy(t *testing.T, addr, config string) {
	t.Helper()
	nettest.Need(t, "haproxy")
	file := writeFile(t, "haproxy.cfg", "defaults\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n"+config)
	nettest.Start(t, nettest.Command{Path: "haproxy", Args: []string{"-db", "-f", file}, Timeout: patience}, nettest.Accepts(addr))
}

// writeFile makes a file for this test and returns its path.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// decodeJSON reads what a backend answered.
func decodeJSON[T any](t *testing.T, s string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		t.Fatalf("%v in %q", err, s)
	}
	return v
}

// dribble sends a stream in pieces of the given lengths, in turn, each in a
// segment of its own as far as the kernel lets it.
func dribble(conn net.Conn, stream string, lengths ...int) error {
	for i := 0; stream != ""; i++ {
		n := min(lengths[i%len(lengths)], len(stream))
		if _, err := io.WriteString(conn, stream[:n]); err != nil {
			return err
		}
		stream = stream[n:]
		time.Sleep(50 * time.Microsecond) // lets the reader see the piece alone; nothing depends on it
	}
	return nil
}
