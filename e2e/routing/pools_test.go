package routing

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// serveText runs a page with its name, the requested path, and the proxy's fields.
func serveText(t *testing.T, name string) (addr string) {
	t.Helper()
	return harness.ServeHTTP(t, func(w http.ResponseWriter,
		r *http.Request,
	) {
		fmt.Fprintf(w, "%s %s", name, r.RequestURI)
	})
}

// pagesOf asks for host and path pairs on one connection and returns the pages.
func pagesOf(t *testing.T, conn net.Conn, targets ...string) (pages []string) {
	t.Helper()
	r := bufio.NewReader(conn)
	for _, target := range targets {
		host, path, _ := strings.Cut(target, " ")
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
		a := harness.MustAnswer(t, r)
		if a.Status != 200 {
			pages = append(pages, fmt.Sprint(a.Status))
		} else {
			pages = append(pages, a.Body)
		}
		if a.Close {
			t.Fatalf("%s: the connection ends", target)
		}
	}
	return pages
}

func wantPages(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("page %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

// TestPoolsByHostAndPath: one process serves two names and parts of them from pools of their own,
// chosen for each request of a connection, and no spelling of a path evades its rule.
func TestPoolsByHostAndPath(t *testing.T) {
	other, api, v2, wild := serveText(t, "other"), serveText(t, "api"), serveText(t, "v2"), serveText(t, "wild")
	s := harness.Start(t, "--http=127.0.0.1:0", harness.HTTPTo(other),
		"--http-pool=api to=http://"+api, "--http-pool=api max-retries=0", "--http-pool=v2 to=http://"+v2, "--http-pool=wild to=http://"+wild,
		"--http-use-pool=api host=api.example", "--http-use-pool=v2 host=api.example,path=/v2",
		"--http-use-pool=wild host=*.wild.example", "--http-use-pool=default host=api.example,path=/static", "--http-use-pool=v2 path=/both")
	conn := harness.DialRaw(t, s.Addr())
	wantPages(t, pagesOf(t, conn,
		"api.example /", "www.example /", "api.example /v2", "api.example /v2/x?y=/", "api.example /v20", "API.Example.:8080 /v2/",
		"a.wild.example /v2", "a.b.wild.example /", "wild.example /", "api.example /static/a", "www.example /both", "api.example /both"),
		"api /", "other /", "v2 /v2", "v2 /v2/x?y=/", "api /v20", "v2 /v2/",
		"wild /v2", "other /", "other /", "other /static/a", "v2 /both", "api /both")
	// The path is passed on as it was sent.
	wantPages(t, pagesOf(t, conn,
		"api.example //v2", "api.example /%762/a", "api.example /x/../v2", "api.example /v2/%2e%2e/a", "api.example /v2%2fa", "api.example /./v2"),
		"v2 //v2", "v2 /%762/a", "v2 /x/../v2", "api /v2/%2e%2e/a", "v2 /v2%2fa", "v2 /./v2")

	pools := map[string]string{}
	for _, row := range s.Document().Backends.Nodes {
		pools[row.Pool] = strings.TrimPrefix(row.Name, "http://")
	}
	for pool, addr := range map[string]string{"default": other, "api": api, "v2": v2, "wild": wild} {
		if pools[pool] != addr {
			t.Errorf("statistics of pool %s: got backend %q, want %q", pool, pools[pool], addr)
		}
	}
}

// TestPoolsByHTTP2: streams of one connection go to the pools of their own names, paths and server
// name.
func TestPoolsByHTTP2(t *testing.T) {
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(serveText(t, "other")), "--http-pool=api to=http://"+serveText(t, "api"), "--http-pool=sni to=http://"+serveText(t, "sni"),
		"--http-use-pool=api host=api.example", "--http-use-pool=api host=www.example,path=/api", "--http-use-pool=sni sni=localhost,path=/sni")
	client := harness.HTTPClient(t, harness.ClientConfig(pki),
		func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true })
	for target, want := range map[string]string{
		"www.example /": "other /", "api.example /": "api /", "www.example /api/x": "api /api/x", "www.example //api": "api //api", "www.example /sni": "sni /sni",
	} {
		host, path, _ := strings.Cut(target, " ")
		r, err := http.NewRequest("GET", "https://"+s.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != want || resp.ProtoMajor != 2 {
			t.Errorf("%s: got %q by %s, want %q", target, body, resp.Proto, want)
		}
	}
}

// TestNoPool: a request that no rule matches gets 404 if there is no default, and the connection
// goes on.
func TestNoPool(t *testing.T) {
	api := serveText(t, "api")
	option, log := harness.AccessLog(t)
	s := harness.Start(t, "--http=127.0.0.1:0", option, "--http-pool=api to=http://"+api, "--http-use-pool=api host=api.example")
	wantPages(t, pagesOf(t, harness.DialRaw(t, s.Addr()), "api.example /a", "other.example /b", "api.example /c"), "api /a", "404", "api /c")
	if lines := awaitLog(t, log, 3); lines[1].Cause != "no_pool" || lines[1].Status != 404 {
		t.Errorf("got %+v, want 404 because of no_pool", lines[1])
	}
}

// TestPoolsFailApart: a pool that is down or full concerns its own requests only.
func TestPoolsFailApart(t *testing.T) {
	other := serveText(t, "other")
	busy, conns := harness.FarEnds(t)
	s := harness.Start(t, "--http=127.0.0.1:0", harness.HTTPTo(other), "--http-pool=down to=http://"+nettest.FreeAddr(t), "--http-use-pool=down host=down.example",
		"--http-pool=busy to=http://"+busy+",max-connections=1", "--http-pool=busy queue=1", "--http-use-pool=busy host=busy.example")
	wantPages(t, pagesOf(t, harness.DialRaw(t, s.Addr()), "down.example /", "www.example /", "down.example /"), "503", "other /", "503")

	first, second, third := harness.DialRaw(t, s.Addr()), harness.DialRaw(t,
		s.Addr()), harness.DialRaw(t, s.Addr())
	io.WriteString(first, requestFor("busy.example"))
	backend := <-conns
	io.WriteString(second, requestFor("busy.example"))
	s.Await("one waits", func(d harness.Document) bool {
		for _, row := range d.Backends.Pools {
			if row.Pool == "busy" && row.Queued == 1 {
				return true
			}
		}
		return false
	})
	wantPages(t, pagesOf(t, third, "busy.example /", "www.example /"), "503", "other /")
	io.WriteString(backend, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1")
	if a := harness.MustAnswer(t, bufio.NewReader(first)); a.Body != "1" {
		t.Errorf("got %q, want 1", a.Body)
	}
	backend.Close()
	backend = <-conns // the one that waited
	io.WriteString(backend, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
	if a := harness.MustAnswer(t, bufio.NewReader(second)); a.Body != "2" {
		t.Errorf("got %q, want 2", a.Body)
	}
}

// TestPoolsHaveTheirProtocols: PROXY headers, uwsgi and HTTP stand side by side.
func TestPoolsHaveTheirProtocols(t *testing.T) {
	plain := serveText(t, "plain")
	proxied, conns := harness.FarEnds(t)
	s := harness.Start(t, "--http=127.0.0.1:0", harness.HTTPTo(plain), "--http-pool=p to=http://"+proxied, "--http-pool=p send-proxy=v1", "--http-use-pool=p host=p.example")
	conn := harness.DialRaw(t, s.Addr())
	wantPages(t, pagesOf(t, conn, "www.example /", "www.example /"), "plain /", "plain /")
	for range 2 { // a connection whose header names a client serves no other
		io.WriteString(conn, requestFor("p.example"))
		backend := <-conns
		r := bufio.NewReader(backend)
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
			t.Errorf("got %q, %v, want a PROXY header", line, err)
		}
		io.WriteString(backend, "HTTP/1.1 204 No Content\r\n\r\n")
		if a := harness.MustAnswer(t, bufio.NewReader(conn)); a.Status != 204 {
			t.Errorf("got %d, want 204", a.Status)
		}
	}
	wantPages(t, pagesOf(t, conn, "www.example /"), "plain /")
}

// TestPoolsOfSSLRouter: the name in the handshake decides, also what clients have to show there,
// and a client cannot reach the backends of a name that asks for certificates by another.
func TestPoolsOfSSLRouter(t *testing.T) {
	forEachTLSEngine(t, func(t *testing.T, options ...string) {
		pki := testpki.New(t)
		cert := pki.Server(testpki.ECDSA, "localhost", "secure.example", "*.wild.example")
		s := harness.Start(t, append(options, harness.Listen(cert),
			harness.To(nettest.Serve(t, harness.SayText("other")).Addr),
			fmt.Sprintf("--sni=secure.example %s,%s,,!%s", cert.CertFile, cert.KeyFile, pki.CAFile),
			"--sslrouter-pool=secure to="+nettest.Serve(t, harness.SayText("secure")).Addr, "--sslrouter-use-pool=secure sni=secure.example",
			"--sslrouter-pool=wild to="+nettest.Serve(t, harness.SayText("wild")).Addr, "--sslrouter-use-pool=wild sni=*.wild.example")...)
		identity := pki.Client("somebody").TLS
		for _, test := range []struct {
			sni  string
			want string
		}{
			{"secure.example", "secure"},
			{"SECURE.Example", "secure"},
			{"a.wild.example", "wild"},
			{"a.b.wild.example", "other"},
			{"", "other"},
			{"unknown.example", "other"},
			{"secure.example.other", "other"},
			{"localhost", "other"},
		} {
			config := &tls.Config{
				ServerName: test.sni, InsecureSkipVerify: true,
				GetClientCertificate: harness.Sends(&identity),
			}
			if got := harness.FirstLine(harness.Connect(t, s.Addr(), config)); got != test.want {
				t.Errorf("SNI %q: got %q, want %q", test.sni, got, test.want)
			}
		}
		bare := &tls.Config{ServerName: "secure.example", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
		if _, err := harness.Handshake(s.Addr(), bare); err == nil {
			t.Error("secure.example without a certificate: the handshake succeeds")
		}
	})
}

// TestNoPoolOfSSLRouter: a name without a pool gets a proper end.
func TestNoPoolOfSSLRouter(t *testing.T) {
	pki := testpki.New(t)
	s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost")),
		"--sslrouter-pool=a to="+nettest.Serve(t, harness.SayText("a")).Addr, "--sslrouter-use-pool=a sni=a.example")
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	if line := harness.FirstLine(conn); line != "EOF" {
		t.Errorf("got %q, want a close_notify", line)
	}
	s.Await("the reason is counted", func(d harness.Document) bool { return d.Engine.Flows.Closed["no_pool"] == 1 })
}

// serverOf runs openssl's server with a certificate for a name, which sends back nothing but lines
// that are reversed, and resumes sessions.
func serverOf(t *testing.T, cert *testpki.Cert) (addr string) {
	t.Helper()
	nettest.Need(t, "openssl")
	addr = nettest.FreeAddr(t)
	nettest.Start(t, nettest.Command{
		Path: "openssl", Args: []string{"s_server", "-accept", addr, "-cert", cert.CertFile, "-key", cert.KeyFile, "-rev", "-quiet"},
		Timeout: harness.Patience, StopSignal: syscall.SIGKILL,
	}, nettest.Accepts(addr))
	return addr
}

// cutConn sends its first bytes in pieces of a length, each a segment of its own.
type cutConn struct {
	net.Conn
	piece int
	cut   bool
}

func (c *cutConn) Write(p []byte) (n int, err error) {
	for !c.cut && len(p) > c.piece {
		m, err := c.Conn.Write(p[:c.piece])
		if n += m; err != nil {
			return n, err
		}
		p = p[c.piece:]
	}
	c.cut = true
	m, err := c.Conn.Write(p)
	return n + m, err
}

// recordConn puts its first record into records of some bytes.
type recordConn struct {
	net.Conn
	sent bool
}

func (c *recordConn) Write(p []byte) (int, error) {
	if c.sent {
		return c.Conn.Write(p)
	}
	c.sent = true
	length := 5 + int(p[3])<<8 + int(p[4])
	var cut []byte
	for b := range slices.Chunk(p[5:length], 3) {
		cut = append(append(cut, p[0], p[1], p[2], 0, byte(len(b))), b...)
	}
	if _, err := c.Conn.Write(append(cut, p[length:]...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// TestPassthrough: a raw router passes TLS through by the name in the ClientHello, however that is
// cut: the client sees the backend's own certificate and resumes there.
func TestPassthrough(t *testing.T) {
	pki := testpki.New(t)
	a, b := serverOf(t, pki.Server(testpki.ECDSA, "a.example")), serverOf(t, pki.Server(testpki.RSA, "b.example", "*.b.example"))
	s := harness.Start(t, harness.RawListen, harness.RawTo(nettest.Serve(t, harness.SayText("other")).Addr),
		"--rawrouter-pool=a to="+a, "--rawrouter-use-pool=a sni=a.example",
		"--rawrouter-pool=b to="+b, "--rawrouter-use-pool=b sni=b.example", "--rawrouter-use-pool=b sni=*.b.example")
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		for _, name := range []string{"a.example", "b.example", "x.b.example"} {
			config := &tls.Config{
				RootCAs: pki.CA.Pool(), ServerName: name, MinVersion: version, MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(1),
			}
			for i, cut := range []func(net.Conn) net.Conn{
				func(c net.Conn) net.Conn { return c },
				func(c net.Conn) net.Conn { return &cutConn{Conn: c, piece: 1} },
				func(c net.Conn) net.Conn { return &cutConn{Conn: c, piece: 100} },
				func(c net.Conn) net.Conn { return &recordConn{Conn: c} },
				func(c net.Conn) net.Conn { return &recordConn{Conn: &cutConn{Conn: c, piece: 7}} },
			} {
				state := talkThrough(t, cut(harness.DialRaw(t, s.Addr())), config)
				if leaf := state.PeerCertificates[0]; leaf.VerifyHostname(name) != nil {
					t.Errorf("%s: got the certificate of %v", name, leaf.DNSNames)
				}
				if state.DidResume != (i > 0) {
					t.Errorf("%s, way %d: resumed is %v at the backend", name, i, state.DidResume)
				}
			}
		}
	})
	for name, first := range map[string]string{
		"what is no TLS":       "GET / HTTP/1.1\r\n\r\n",
		"an end":               "",
		"an end in the header": "\x16\x03",
	} {
		conn := harness.DialRaw(t, s.Addr())
		io.WriteString(conn, first)
		if first == "" || len(first) == 2 {
			conn.(*net.TCPConn).CloseWrite()
		}
		if got := harness.FirstLine(conn); got != "other" {
			t.Errorf("%s: got %q, want the default", name, got)
		}
	}
	hello := tls.Client(harness.DialRaw(t, s.Addr()),
		&tls.Config{ServerName: "c.example", InsecureSkipVerify: true})
	if err := hello.Handshake(); err == nil || !strings.Contains(err.Error(), "first record does not look like a TLS handshake") {
		t.Errorf("another name: got %v, want the default's greeting", err)
	}
}

// talkThrough makes a handshake with the backend and has it answer.
func talkThrough(t *testing.T, raw net.Conn, config *tls.Config) tls.ConnectionState {
	t.Helper()
	defer raw.Close() // openssl serves one client after the other
	conn := tls.Client(raw, config)
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if got := harness.FirstLine(conn); got != "olleh" {
		t.Errorf("got %q, want olleh", got)
	}
	return conn.ConnectionState()
}

// TestPassthroughWithoutDefault: a client whose name has no pool is closed, within a bounded time.
func TestPassthroughWithoutDefault(t *testing.T) {
	s := harness.Start(t, harness.RawListen, "--rawrouter-pool=a to="+nettest.Serve(t, harness.SayText("a")).Addr, "--rawrouter-use-pool=a sni=a.example", "--handshake-timeout=100ms")
	for name, first := range map[string]string{"no TLS": "SSH-2.0-x\r\n", "nothing": "", "half a hello": "\x16\x03\x01\x02\x00\x01"} {
		conn := harness.DialRaw(t, s.Addr())
		io.WriteString(conn, first)
		if got := harness.FirstLine(conn); got != "EOF" && !strings.Contains(got, "reset") {
			t.Errorf("%s: got %q, want the end", name, got)
		}
	}
	s.Await("the reasons are counted", func(d harness.Document) bool {
		c := d.Engine.Flows.Closed
		return c["no_pool"] == 2 && c["handshake_timeout"] == 1
	})
}

// TestPassthroughToServerThatSpeaksFirst: a client that waits for the server's greeting gets the
// default's.
func TestPassthroughToServerThatSpeaksFirst(t *testing.T) {
	s := harness.Start(t, harness.RawListen, harness.RawTo(nettest.Serve(t, harness.SayText("220 ready")).Addr), "--rawrouter-pool=a to=127.0.0.1:1",
		"--rawrouter-use-pool=a sni=a.example",
		"--handshake-timeout=100ms")
	if got := harness.FirstLine(harness.DialRaw(t, s.Addr())); got != "220 ready" {
		t.Errorf("got %q, want the greeting", got)
	}
}

// TestPassthroughBehindProxy: the hello may come behind a PROXY header, and both may be passed on.
func TestPassthroughBehindProxy(t *testing.T) {
	backend, conns := harness.FarEnds(t)
	s := harness.Start(t, harness.RawListen, "--rawrouter-pool=a to="+backend, "--rawrouter-pool=a send-proxy=v1", "--rawrouter-use-pool=a sni=a.example", "--rawrouter-accept-proxy=127.0.0.0/8")
	raw := harness.DialRaw(t, s.Addr())
	go tls.Client(&harness.PrefacedConn{Conn: raw, Preface: []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n")},
		&tls.Config{ServerName: "a.example", InsecureSkipVerify: true}).
		HandshakeContext(t.Context())
	select {
	case conn := <-conns:
		r := bufio.NewReader(conn)
		if line, _ := r.ReadString('\n'); line != "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" {
			t.Errorf("got %q, want the client's header", line)
		}
		if first, err := r.Peek(1); err != nil || first[0] != 22 {
			t.Errorf("got %x, %v, want a handshake record", first, err)
		}
	case <-time.After(harness.Patience):
		t.Fatal("no connection to the backend")
	}
	raw.Close()
}

// TestRoutesInCheck: reprise check prints the routes.
func TestRoutesInCheck(t *testing.T) {
	got := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: []string{
		"check", "--http=:80", "--http-to=:81", "--http-pool=api to=http://:82", "--http-use-pool=api host=a.example,path=/x",
	}})
	want := "; What goes where:\n; http  host a.example, path /x  -> pool api (http://:82)\n; http  all else                 -> pool default (:81)\n"
	if !strings.Contains(got.Stdout, want) {
		t.Errorf("got %s\n%s\nwant %s", got.Stdout[max(0, len(got.Stdout)-500):], got.Stderr, want)
	}
	if again := nettest.Run(t, nettest.Command{
		Path: harness.Program(t),
		Args: []string{"check", harness.WriteFile(t, "again.ini", got.Stdout)},
	}); again.ExitCode != 0 {
		t.Errorf("what it prints is no configuration: %s", again.Stderr)
	}
}
