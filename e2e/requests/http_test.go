package requests

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"

	"github.com/coder/websocket"
)

// TestRealServersAndClients: every client gets the page from every server.
func TestRealServersAndClients(t *testing.T) {
	const page = "page\n"
	echo := harness.ServeHTTP(t, func(w http.ResponseWriter,
		r *http.Request,
	) {
		io.WriteString(w, page)
	})
	for _, server := range []struct {
		name  string
		start func(t *testing.T, addr string)
	}{
		{"nginx", func(t *testing.T, addr string) { harness.StartNginx(t, addr, `location / { return 200 "page\n"; }`) }},
		{"haproxy", func(t *testing.T, addr string) {
			harness.StartHAProxy(t, addr, fmt.Sprintf("frontend f\n mode http\n bind %s\n default_backend b\nbackend b\n mode http\n server s %s\n", addr, echo))
		}},
		{"go", nil},
	} {
		t.Run(server.name, func(t *testing.T) {
			addr := echo
			if server.start != nil {
				addr = nettest.FreeAddr(t)
				server.start(t, addr)
			}
			s, pki := harness.StartHTTPS(t, harness.HTTPTo(addr))
			url := "https://" + s.Addr() + "/"
			t.Run("go", func(t *testing.T) {
				client := harness.HTTPClient(t, harness.ClientConfig(pki), nil)
				for range 10 {
					harness.WantPage(t, client, url, page)
				}
			})
			t.Run("curl", func(t *testing.T) {
				nettest.Need(t, "curl")
				r := nettest.Run(t, nettest.Command{Path: "curl", Args: []string{"-sS", "--cacert", pki.CAFile, url, url, url}})
				if want := strings.Repeat(page, 3); r.ExitCode != 0 || r.Stdout != want {
					t.Errorf("exit code %d, got %q, want %q: %s", r.ExitCode, r.Stdout, want, r.Stderr)
				}
			})
			t.Run("openssl", func(t *testing.T) {
				testOpenSSL(t, s.Addr(), pki, page)
			})
			t.Run("wrk", func(t *testing.T) {
				nettest.Need(t, "wrk")
				r := nettest.Run(t, nettest.Command{Path: "wrk", Args: []string{"-t1", "-c20", "-d1s", "--timeout", "30s", url}})
				if r.ExitCode != 0 || strings.Contains(r.Stdout, "Socket errors") || strings.Contains(r.Stdout, "Non-2xx") {
					t.Errorf("exit code %d, got %s", r.ExitCode, r.Stdout)
				}
				if got := s.Document().Engine.HTTP.Responses["2xx"]; got < 50 {
					t.Errorf("%d responses", got)
				}
			})
			d := s.Document()
			if h := d.Engine.HTTP; h.Responses["5xx"]+h.Responses["4xx"] > 0 || h.Reused == 0 {
				t.Errorf("got %+v, want successes on connections that served several", h)
			}
		})
	}
}

// testOpenSSL asks by openssl s_client.
func testOpenSSL(t *testing.T, addr string, pki *testpki.PKI, page string) {
	nettest.Need(t, "openssl")
	r := nettest.Run(t, nettest.Command{
		Path:  "openssl",
		Args:  []string{"s_client", "-connect", addr, "-servername", "localhost", "-CAfile", pki.CAFile, "-alpn", "http/1.1", "-ign_eof"},
		Stdin: strings.NewReader("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
	})
	if r.ExitCode != 0 || !strings.Contains(r.Stdout, "HTTP/1.1 200 OK\r\n") || !strings.Contains(r.Stdout, page) ||
		!strings.Contains(r.Stdout, "ALPN protocol: http/1.1") {
		t.Errorf("exit code %d, got %q", r.ExitCode, r.Stdout)
	}
}

// forwardedFields are the fields that name the origin of a request.
var forwardedFields = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded"}

// TestForwardedFields: a trusted client's fields are added to, another's replaced.
func TestForwardedFields(t *testing.T) {
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range forwardedFields {
			fmt.Fprintln(w, strings.Join(r.Header.Values(name), " + "))
		}
		fmt.Fprintln(w, r.Header.Get("X-Hop"), r.Header.Get("Keep-Alive"), r.Header.Get("Proxy"), r.Header.Get("X_Forwarded_For"), r.Host)
	})
	sent := []string{
		"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "outer", "X-Forwarded-Port", "1", "Forwarded", "for=192.0.2.1",
		"Connection", "X-Hop, X-Forwarded-For", "X-Hop", "x", "Keep-Alive", "1", "Proxy", "p", "X_Forwarded_For", "u",
	}
	for _, test := range []struct {
		name    string
		trusted string
		fields  []string
		want    string
	}{
		{"untrusted", "192.0.2.0/24", sent, "127.0.0.1\nhttps\nADDR\nPORT\nfor=127.0.0.1;host=\"ADDR\";proto=https\n    ADDR\n"},
		{"trusted", "127.0.0.1", sent, "192.0.2.1, 127.0.0.1\ngopher\nouter\n1\nfor=192.0.2.1, for=127.0.0.1;host=\"ADDR\";proto=https\n    ADDR\n"},
		{"trusted and silent", "127.0.0.0/8", nil, "127.0.0.1\nhttps\nADDR\nPORT\nfor=127.0.0.1;host=\"ADDR\";proto=https\n    ADDR\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend), "--http-trusted", test.trusted)
			_, port, _ := net.SplitHostPort(s.Addr())
			want := strings.NewReplacer("ADDR", s.Addr(), "PORT", port).Replace(test.want)
			_, got, err := harness.Fetch(harness.HTTPClient(t, harness.ClientConfig(pki), nil), "GET", "https://"+s.Addr()+"/",
				nil, test.fields...)
			if err != nil || got != want {
				t.Errorf("got %q, %v\nwant %q", got, err, want)
			}
		})
	}
}

// TestWebSocket: messages of all sizes pass both ways, and so do pings and the
// closing handshake.
func TestWebSocket(t *testing.T) {
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo"}})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(-1)
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if string(message) == "goodbye" {
				conn.Close(4321, "as you wish")
				return
			}
			conn.Write(r.Context(), kind, message)
		}
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend))
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, "wss://"+s.Addr()+"/", &websocket.DialOptions{
		HTTPClient: harness.HTTPClient(t, harness.ClientConfig(pki), nil), Subprotocols: []string{"echo"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if conn.Subprotocol() != "echo" || resp.StatusCode != 101 {
		t.Errorf("subprotocol %q, status %d", conn.Subprotocol(), resp.StatusCode)
	}
	conn.SetReadLimit(-1)
	for _, n := range []int64{0, 1, 125, 126, 65535, 65536, 4 * harness.MiB} {
		message, _ := io.ReadAll(nettest.NewPattern(uint64(n), n))
		go conn.Write(ctx, websocket.MessageBinary, message)
		_, got, err := conn.Read(ctx)
		if err != nil || string(got) != string(message) {
			t.Fatalf("message of %d bytes: got %d, %v", n, len(got), err)
		}
	}
	read := make(chan error)
	go func() {
		_, _, err := conn.Read(ctx)
		read <- err
	}()
	if err := conn.Ping(ctx); err != nil {
		t.Error(err)
	}
	conn.Write(ctx, websocket.MessageText, []byte("goodbye"))
	if err := <-read; websocket.CloseStatus(err) != 4321 {
		t.Errorf("got %v, want the backend's close frame", err)
	}
	if got := s.Document().Engine.HTTP.Responses["1xx"]; got != 1 {
		t.Errorf("%d switches counted, want 1", got)
	}
}

// TestRedirectToHTTPS: every request is sent to the same place by https.
func TestRedirectToHTTPS(t *testing.T) {
	addr := nettest.FreeAddr(t)
	pki := testpki.New(t)
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter,
		r *http.Request,
	) {
		io.WriteString(w, r.RequestURI)
	})
	s := harness.Start(t, harness.HTTPS(pki.Server(testpki.ECDSA, "localhost")), harness.HTTPTo(backend), "--http-to-https", addr+",8443",
		"--add-header", "X-Edge: 1", "--hsts=300")
	conn := harness.DialRaw(t, addr)
	io.WriteString(conn, "GET /a%20b?c=d HTTP/1.1\r\nHost: example.test:80\r\n\r\n"+
		"HEAD / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n"+
		"OPTIONS * HTTP/1.1\r\nHost: example.test\r\n\r\n"+
		"POST /upload HTTP/1.1\r\nHost: example.test\r\nContent-Length: 4\r\n\r\nbody")
	r := bufio.NewReader(conn)
	for _, test := range []struct{ method, want string }{
		{"GET", "https://example.test:8443/a%20b?c=d"},
		{"HEAD", "https://[2001:db8::1]:8443/"},
		{"OPTIONS", "https://example.test:8443/"},
		{"POST", "https://example.test:8443/upload"},
	} {
		a, err := harness.ReadAnswer(r, test.method)
		if err != nil || a.Status != 301 || a.Header.Get("Location") != test.want || a.Header.Get("X-Edge") != "1" {
			t.Fatalf("%s: got %+v, %v, want %s", test.method, a, err, test.want)
		}
		// RFC 6797, Section 7.2: not over plain HTTP.
		if a.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: HSTS without TLS", test.method)
		}
	}
	conn = harness.DialRaw(t, addr)
	io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	if all := harness.Answers(t, conn); len(all) != 1 || all[0].Status != 400 {
		t.Errorf("without a host: got %+v, want 400", all)
	}
	harness.WantPage(t, harness.HTTPClient(t, harness.ClientConfig(pki), nil), "https://"+s.Addr()+"/x?y", "/x?y")
}

// TestKeepAliveOff: one request per connection, as the client is told.
func TestKeepAliveOff(t *testing.T) {
	backend := harness.Record(t, nil)
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend.Addr), "--http-keepalive=false", "--http-backend-keepalive", "0")
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	io.WriteString(conn, get+"\r\n"+get+"\r\n")
	if all := harness.Answers(t, conn); len(all) != 1 || all[0].Status != 200 || !all[0].Close {
		t.Errorf("got %+v, want one answer that closes", all)
	}
	if _, requests := backend.Take(t, s); len(requests) != 1 {
		t.Errorf("the backend got %q", requests)
	}
}

// TestSlowRequests: a head has a time of its own from its first byte to its last, however steadily
// it drips; an idle client gets a proper close.
func TestSlowRequests(t *testing.T) {
	backend := harness.Record(t, nil)
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend.Addr), "--http-headers-timeout", "300ms", "--http-keepalive=1s", "--http-timeout", "500ms", "--http-backend-keepalive", "0")
	for _, test := range []struct {
		name, in, drip, want string
	}{
		{"half a head", "GET / HTTP/1.1\r\nHo", "", "408 close"},
		{"dripping head", "GET / HTTP/1.1\r\nX: ", "x", "408 close"},
		{"half a body", post + "Content-Length: 10\r\n\r\nab", "", "408 close"},
		{"half a chunk", chunked + "5\r\nab", "", "408 close"},
		{"nothing", "", "", ""},
		{"nothing after a request", get + "\r\n", "", "200"},
		{"half a head after a request", get + "\r\nGET", "", "200 408 close"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
			io.WriteString(conn, test.in)
			if test.drip != "" {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				go func() {
					for range tick.C {
						if _, err := io.WriteString(conn, test.drip); err != nil {
							return
						}
					}
				}()
			}
			if got := describeAnswers(conn); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestMaxBody: content beyond the limit is refused however it is framed, before it can look
// complete.
func TestMaxBody(t *testing.T) {
	backend := harness.Record(t, nil)
	app := harness.StartUWSGI(t, harness.EchoApplication)
	for _, test := range []struct{ name, to string }{
		{"http", harness.HTTPTo(backend.Addr)},
		{"uwsgi", harness.UWSGITo(app)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, pki := harness.StartHTTPS(t, test.to, "--http-max-body", "1000", "--http-backend-keepalive", "0")
			for _, c := range []struct {
				name, in, want string
			}{
				{"length at the limit", post + "Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000), "200"},
				{"length above it", post + "Content-Length: 1001\r\n\r\n" + strings.Repeat("x", 1001), "413 close"},
				{"length above it, asked first", post + "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n", "413 close"},
				{"chunks at the limit", chunked + strings.Repeat("64\r\n"+strings.Repeat("x", 100)+"\r\n", 10) + "0\r\n\r\n", "200"},
				{"chunks above it", chunked + strings.Repeat("64\r\n"+strings.Repeat("x", 100)+"\r\n", 11) + "0\r\n\r\n", "413 close"},
			} {
				conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
				io.WriteString(conn, c.in)
				conn.CloseWrite()
				if got := describeAnswers(conn); got != c.want {
					t.Errorf("%s: got %s, want %s", c.name, got, c.want)
				}
				if test.name == "http" {
					if _, requests := backend.Take(t, s); len(requests) > 0 != (c.want == "200") {
						t.Errorf("%s: the backend got %d requests", c.name, len(requests))
					}
				}
			}
		})
	}
}

// TestPipelining: many requests at once are answered in their order.
func TestPipelining(t *testing.T) {
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend))
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	const n = 500
	go func() {
		var all strings.Builder
		for i := range n {
			if i%3 == 0 {
				fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", i)
			} else {
				fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
			}
		}
		io.WriteString(conn, all.String())
		conn.CloseWrite()
	}()
	all := harness.Answers(t, conn)
	if len(all) != n {
		t.Fatalf("%d answers, want %d", len(all), n)
	}
	for i, a := range all {
		want := fmt.Sprintf("/%d ", i)
		if i%3 == 0 {
			want += "body"
		}
		if a.Status != 200 || a.Body != want {
			t.Fatalf("answer %d: got %d %q, want %q", i, a.Status, a.Body, want)
		}
	}
}

// TestLargeBodies: uploads and downloads are exact, by length and in chunks, and
// both at the same time.
func TestLargeBodies(t *testing.T) {
	n := harness.Bulk()
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/up":
			if err := nettest.CheckPattern(r.Body, 1, n); err != nil {
				http.Error(w, err.Error(), 500)
			}
		case "/down-length":
			w.Header().Set("Content-Length", fmt.Sprint(n))
			io.Copy(w, nettest.NewPattern(2, n))
		case "/down-chunked":
			io.Copy(w, nettest.NewPattern(2, n))
		case "/both":
			http.NewResponseController(w).EnableFullDuplex()
			io.Copy(w, r.Body)
		}
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend))
	client, url := harness.HTTPClient(t, harness.ClientConfig(pki), nil), "https://"+s.Addr()
	for _, length := range []int64{n, -1} {
		t.Run(fmt.Sprint("upload of ", length), func(t *testing.T) {
			req, _ := http.NewRequest("PUT", url+"/up", struct{ io.Reader }{nettest.NewPattern(1, n)})
			req.ContentLength = length
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if why, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
				t.Errorf("got %d %s", resp.StatusCode, why)
			}
		})
	}
	for _, path := range []string{"/down-length", "/down-chunked"} {
		t.Run(path, func(t *testing.T) {
			resp, err := client.Get(url + path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if err := nettest.CheckPattern(resp.Body, 2, n); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("both at the same time", func(t *testing.T) {
		testBothWays(t, s, pki, n)
	})
	if d := s.Document(); d.Engine.HTTP.Responses["4xx"]+d.Engine.HTTP.Responses["5xx"] > 0 {
		t.Errorf("got %+v", d.Engine.HTTP)
	}
}

// testBothWays uploads and downloads at the same time.
func testBothWays(t *testing.T, s *harness.Server, pki *testpki.PKI, n int64) {
	// Go's client does not read before it has written: a raw one does.
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	go func() {
		fmt.Fprintf(conn, "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", n)
		io.Copy(conn, nettest.NewPattern(3, n))
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := nettest.CheckPattern(resp.Body, 3, n); err != nil || !resp.Close {
		t.Errorf("%v, close %v: want all of it, and no more on a connection whose request outlived the head of its response", err, resp.Close)
	}
}

// TestDrainHTTP: idle clients are closed at once; a request in progress is finished, and its client
// is told to close.
func TestDrainHTTP(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(started)
			<-release
		}
		io.WriteString(w, "done")
	})
	// One loop, because each begins to drain in its own time.
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend), "--http-processes", "1", "--drain-timeout", harness.Patience.String())
	dialHTTP := func(path string) (*tls.Conn, *bufio.Reader) {
		conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
		return conn, bufio.NewReader(conn)
	}
	idleConn, idle := dialHTTP("/")
	if a := harness.MustAnswer(t, idle); a.Close || a.Body != "done" {
		t.Errorf("before the drain: %+v", a)
	}
	busyConn, busy := dialHTTP("/slow")
	<-started
	s.Signal(syscall.SIGTERM)
	if _, err := idle.ReadByte(); err != io.EOF {
		t.Errorf("the idle client saw %v, want a close_notify", err)
	}
	idleConn.Close()
	close(release)
	if a := harness.MustAnswer(t, busy); !a.Close || a.Body != "done" {
		t.Errorf("the request under way: %+v, want it whole and Connection: close", a)
	}
	if _, err := busy.ReadByte(); err != io.EOF {
		t.Errorf("behind it: %v, want a close_notify", err)
	}
	busyConn.Close()
	s.Match(`"connections_cut":0`)
	if code := s.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
