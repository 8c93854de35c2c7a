package routing

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// TestClientAddressReachesApplication: the application learns the client's address through every
// proxy that passes TCP on to an HTTPS router with a PROXY header.
func TestClientAddressReachesApplication(t *testing.T) {
	node, pki := harness.StartHTTPS(t, harness.UWSGITo(harness.StartUWSGI(t, harness.EchoApplication)),
		"--http-accept-proxy=127.0.0.1", "--http-accept-proxy=::1")
	byHAProxy := func(to, send string) string {
		addr := nettest.FreeAddr(t)
		harness.StartHAProxy(t, addr, fmt.Sprintf("listen in\n mode tcp\n bind %s\n server node %s %s\n", addr, to, send))
		return addr
	}
	byRaw := func(to, send string, more ...string) string {
		return harness.StartRawRouter(t, []string{to}, append(more, "--rawrouter-send-proxy="+send)...).Addr()
	}
	through := byRaw(node.Addr(), "v2", "--rawrouter-accept-proxy=127.0.0.1")
	for _, test := range []struct{ name, addr string }{
		{"raw router, version 1", byRaw(node.Addr(), "v1")},
		{"raw router, version 2", byRaw(node.Addr(), "v2")},
		{"haproxy, send-proxy", byHAProxy(node.Addr(), "send-proxy")},
		{"haproxy, send-proxy-v2", byHAProxy(node.Addr(), "send-proxy-v2")},
		{"haproxy, send-proxy-v2-ssl", byHAProxy(node.Addr(), "send-proxy-v2-ssl")},
		{"haproxy and raw router", byHAProxy(through, "send-proxy-v2")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var client string
			env := harness.AskUWSGI(t, harness.HTTPClient(t, harness.ClientConfig(pki),
				harness.Dialing(noting(&client))), "GET", "https://"+test.addr+"/", nil)
			if got := env["REMOTE_ADDR"] + ":" + env["REMOTE_PORT"]; got != client {
				t.Errorf("the application sees %s, want %s", got, client)
			}
		})
	}
}

// noting connects from clientIP and notes in client from where exactly.
func noting(client *string) harness.Dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := harness.From(harness.ClientIP)(ctx, network, addr)
		if err == nil {
			*client = conn.LocalAddr().String()
		}
		return conn, err
	}
}

// A proxyFront is a node with a listener of each kind, all of which require a header from
// trustedIP, and from no other.
type proxyFront struct {
	*harness.Server
	routers []frontRouter
}

type frontRouter struct {
	name, addr string
	use        func(net.Conn) error // does something that must succeed
}

const trustedIP = "127.0.0.2"

func startProxyFront(t *testing.T, args ...string) *proxyFront {
	t.Helper()
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	echo := nettest.Serve(t, nettest.Echo).Addr
	args = append(args, harness.HTTPS(cert), "--http=127.0.0.1:0", harness.HTTPTo(harness.ServeName(t)),
		harness.Listen(cert), harness.To(echo), harness.RawListen, harness.RawTo(echo))
	for _, router := range []string{"http", "sslrouter", "rawrouter"} {
		args = append(args, "--"+router+"-accept-proxy="+trustedIP)
	}
	s := harness.Start(t, args...)
	overTLS := func(use func(net.Conn) error) func(net.Conn) error {
		return func(conn net.Conn) error { return use(tls.Client(conn, harness.ClientConfig(pki))) }
	}
	return &proxyFront{s, []frontRouter{
		{"https", s.Addresses[0], overTLS(getPage)},
		{"http", s.Addresses[1], getPage},
		{"sslrouter", s.Addresses[2], overTLS(harness.Ping)},
		{"rawrouter", s.Addresses[3], harness.Ping},
	}}
}

// getPage makes a request.
func getPage(conn net.Conn) error {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	a, err := harness.ReadAnswer(bufio.NewReader(conn), "GET")
	if err == nil && (a.Status != http.StatusOK || a.Err != nil) {
		err = fmt.Errorf("status %d, %v", a.Status, a.Err)
	}
	return err
}

// The headers that a proxy could send.
const someClient = "192.0.2.7:4711"

var (
	headerV1 = proxyHeader(1, someClient)
	headerV2 = proxyHeader(2, someClient)
	localV1  = proxyHeader(1, "")
	localV2  = proxyHeader(2, "")
)

// proxyHeader is a PROXY header of a version for a client, or for the proxy itself.
func proxyHeader(version byte, client string) string {
	h := &proxyproto.Header{Version: version, Command: proxyproto.LOCAL}
	if client != "" {
		source := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client))
		h = proxyproto.HeaderProxyFromAddrs(version, source,
			&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443})
	}
	b, err := h.Format()
	if err != nil {
		panic(err) // none of the constants above
	}
	return string(b)
}

// TestPROXYHeaderWhereItBelongs: with a header from a trusted source, or none from
// another, clients are served, however the bytes are cut.
func TestPROXYHeaderWhereItBelongs(t *testing.T) {
	front := startProxyFront(t)
	const elsewhere = "127.0.0.1"
	// and the beginning of what follows
	byteByByte := append(slices.Repeat([]int{1}, len(headerV1)+10), 1<<20)
	for _, test := range []struct{ name, source, header string }{
		{"version 1", trustedIP, headerV1},
		{"version 2", trustedIP, headerV2},
		{"version 1, unknown", trustedIP, localV1},
		{"version 2, local", trustedIP, localV2},
		{"none from elsewhere", elsewhere, ""},
	} {
		for cuts, lengths := range map[string][]int{
			"one segment": nil, "byte by byte": byteByByte, "three segments": {5, 11, 1 << 20},
			"in the middle of both": {20, 40, 1 << 20},
		} {
			for _, router := range front.routers {
				t.Run(test.name+"/"+cuts+"/"+router.name, func(t *testing.T) {
					conn := harness.DialFrom(t, test.source, router.addr)
					if err := router.use(&harness.PrefacedConn{
						Conn: conn, Preface: []byte(test.header),
						Lengths: lengths,
					}); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	if got := front.Document().Engine.Flows.Closed["proxy_header"]; got != 0 {
		t.Errorf("closed proxy_header: got %d, want 0", got)
	}
}

// TestPROXYHeaderRefused: a header that is missing, broken or from an untrusted source ends the
// connection, which reaches no backend.
func TestPROXYHeaderRefused(t *testing.T) {
	front := startProxyFront(t)
	const elsewhere = "127.0.0.1"
	for _, test := range []struct{ name, source, header string }{
		{"missing", trustedIP, ""},
		{"garbage", trustedIP, "\x00\x01garbage"},
		{"lower case", trustedIP, strings.ToLower(headerV1)},
		{"no such family", trustedIP, strings.Replace(headerV1, "TCP4", "TCP5", 1)},
		{"no address", trustedIP, strings.Replace(headerV1, "192.0.2.7", "192.0.2.x", 1)},
		{"no such port", trustedIP, strings.Replace(headerV1, "4711", "70000", 1)},
		{"endless line", trustedIP, strings.TrimSuffix(headerV1, "\r\n") + strings.Repeat(" ", 200)},
		{"version 3", trustedIP, strings.Replace(headerV2, "\x0a\x21", "\x0a\x31", 1)},
		{"length too short for addresses", trustedIP, headerV2[:14] + "\x00\x04" + headerV2[16:]},
		{"length beyond any bound", trustedIP, headerV2[:14] + "\xff\xff" + headerV2[16:]},
		{"TLV that overruns", trustedIP, headerV2[:14] + "\x00\x0f" + headerV2[16:] + "\x01\x00\x09"},
		{"version 1 from elsewhere", elsewhere, headerV1},
		{"version 2 from elsewhere", elsewhere, headerV2},
		{"version 2, local, from elsewhere", elsewhere, localV2},
	} {
		for _, router := range front.routers {
			t.Run(test.name+"/"+router.name, func(t *testing.T) {
				before := front.Document()
				conn := harness.DialFrom(t, test.source, router.addr)
				if err := router.use(&harness.PrefacedConn{
					Conn:    conn,
					Preface: []byte(test.header),
				}); err == nil {
					t.Error("it was served")
				}
				front.Await("it is counted", func(d harness.Document) bool {
					return d.Engine.Flows.Closed["proxy_header"] == before.Engine.Flows.Closed["proxy_header"]+1
				})
				if got, want := hits(front.Document()), hits(before); got != want {
					t.Errorf("backends got %d connections", got-want)
				}
			})
		}
	}
}

// hits is how many connections all backends have got.
func hits(d harness.Document) (n uint64) {
	for _, row := range d.Backends.Nodes {
		n += row.Hits
	}
	return n
}

// TestPROXYHeaderCutOrLate: an end within the header is refused as well, and a header that never
// ends takes no longer than a handshake may.
func TestPROXYHeaderCutOrLate(t *testing.T) {
	for _, test := range []struct {
		name  string
		args  []string
		fin   bool
		cause string
	}{
		{"cut", nil, true, "proxy_header"},
		{"late", []string{"--handshake-timeout=200ms"}, false, "handshake_timeout"},
	} {
		front := startProxyFront(t, test.args...)
		for i, router := range front.routers {
			t.Run(test.name+"/"+router.name, func(t *testing.T) {
				conn := harness.DialFrom(t, trustedIP, router.addr)
				io.WriteString(conn, headerV2[:20])
				if test.fin {
					conn.(*net.TCPConn).CloseWrite()
				}
				if n, err := conn.Read(make([]byte, 1)); err == nil {
					t.Errorf("got %d bytes, want an end", n)
				}
				front.Await("it is counted",
					func(d harness.Document) bool { return d.Engine.Flows.Closed[test.cause] == uint64(i+1) })
			})
		}
	}
}

// TestPROXYHeaderToBackends: haproxy and nginx read our headers correctly, from each kind of
// router.
func TestPROXYHeaderToBackends(t *testing.T) {
	nginx, unused := nettest.FreeAddr(t), nettest.FreeAddr(t)
	harness.StartNginx(t, unused, fmt.Sprintf(`listen %s proxy_protocol; location / { return 200 "$proxy_protocol_addr:$proxy_protocol_port"; }`, nginx))
	haproxy := nettest.FreeAddr(t)
	harness.StartHAProxy(t, haproxy, fmt.Sprintf(`
frontend in
 mode http
 bind %s accept-proxy
 http-request return status 200 content-type text/plain lf-string "%%ci:%%cp" hdr Authority %%[fc_pp_authority]
`, haproxy))
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	for _, version := range []string{"v1", "v2"} {
		for peer, addr := range map[string]string{"haproxy": haproxy, "nginx": nginx} {
			s := harness.Start(t, harness.HTTPS(cert), "--http=127.0.0.1:0", harness.HTTPTo(addr), harness.Listen(cert),
				harness.To(addr), harness.RawListen, harness.RawTo(addr),
				"--http-send-proxy="+version, "--sslrouter-send-proxy="+version, "--rawrouter-send-proxy="+version)
			for i, router := range []string{"https", "http", "sslrouter", "rawrouter"} {
				t.Run(version+"/"+peer+"/"+router, func(t *testing.T) {
					var client, authority string
					scheme := "http"
					if router == "https" || router == "sslrouter" {
						scheme = "https"
						if version == "v2" && peer == "haproxy" {
							authority = "localhost"
						}
					}
					c := harness.HTTPClient(t, harness.ClientConfig(pki), harness.Dialing(noting(&client)))
					for range 2 { // the second must not come on the first one's connection
						resp, body, err := harness.Fetch(c, "GET", scheme+"://"+s.Addresses[i]+"/", nil)
						if err != nil {
							t.Fatal(err)
						}
						if body != client || resp.Header.Get("Authority") != authority {
							t.Errorf("the backend sees %s for %q, want %s for %q", body, resp.Header.Get("Authority"), client, authority)
						}
					}
				})
			}
		}
	}
}

// TestPROXYHeaderTellsOfTLS: a backend learns the state of TLS from version 2, also through a raw
// router between, which passes the header's fields on.
func TestPROXYHeaderTellsOfTLS(t *testing.T) {
	headers := make(chan *proxyproto.Header, 1)
	peer := nettest.Serve(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		h, err := proxyproto.Read(r)
		if err != nil {
			t.Error(err)
		}
		headers <- h
		io.Copy(conn, r)
	})
	between := harness.StartRawRouter(t, []string{peer.Addr}, "--rawrouter-accept-proxy=127.0.0.1", "--rawrouter-send-proxy=v2")
	pki := testpki.New(t)
	s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost"), "alpn=postgresql;smtp", "clientca="+pki.CAFile),
		harness.To(peer.Addr), harness.To(between.Addr()), harness.OneLoop, "--sslrouter-send-proxy=v2")
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		for _, cert := range []*testpki.Cert{nil, pki.Client("Alice")} {
			config, _ := harness.OneSessionConfig(pki, version)
			config.NextProtos = []string{"smtp"}
			if cert != nil {
				config.Certificates = []tls.Certificate{cert.TLS}
			}
			for i := range 2 * 2 { // through both backends
				state := harness.Visit(t, s.Addr(), config)
				want := toldTLS{
					alpn: "smtp", authority: "localhost", version: openSSLVersion(version),
					inSession: cert != nil, inConnection: cert != nil && i == 0, verified: cert != nil,
					resumed: i > 0, ownerKnown: true,
				}
				if cert != nil {
					want.name = "Alice"
				}
				got, cipher := readTold(t, <-headers)
				if got != want || state.DidResume != want.resumed ||
					!harness.OpenSSLNames(state.CipherSuite, cipher) {
					t.Errorf("connection %d: got %+v, %s, want %+v, %s", i, got, cipher, want, tls.CipherSuiteName(state.CipherSuite))
				}
			}
		}
	})
}

// toldTLS is the content of a header of version 2 about TLS, without the cipher.
type toldTLS struct {
	alpn, authority, version          string
	inSession, inConnection, verified bool // the client's certificate
	name                              string
	resumed, ownerKnown               bool // by our own TLV
}

func readTold(t *testing.T, h *proxyproto.Header) (told toldTLS, cipher string) {
	t.Helper()
	tlvs, err := h.TLVs()
	if err != nil {
		t.Fatal(err)
	}
	ssl, ok := tlvparse.FindSSL(tlvs)
	own := harness.Tlv(tlvs, 0xe7)
	if !ok || len(own) != 6 || own[0] != 1 {
		t.Fatalf("it tells of TLS: %v, and of the session %x", ok, own)
	}
	told = toldTLS{
		alpn: harness.Tlv(tlvs, proxyproto.PP2_TYPE_ALPN), authority: harness.Tlv(tlvs,
			proxyproto.PP2_TYPE_AUTHORITY),
		inSession: ssl.ClientCertSess(), inConnection: ssl.ClientCertConn(), verified: ssl.Verified(),
		resumed: own[1] == 1, ownerKnown: own[2:] != "\x00\x00\x00\x00",
	}
	told.version, _ = ssl.SSLVersion()
	told.name, _ = ssl.ClientCN()
	cipher, _ = ssl.SSLCipher()
	return told, cipher
}

// openSSLVersion returns the name that OpenSSL gives to a version.
func openSSLVersion(version uint16) string {
	return strings.Replace(tls.VersionName(version), "TLS ", "TLSv", 1)
}

// TestNoPROXYHeaderForUWSGI: the protocol has no place for one, and has all of it in variables.
func TestNoPROXYHeaderForUWSGI(t *testing.T) {
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(harness.StartUWSGI(t, harness.EchoApplication)), "--http-send-proxy=v2")
	client := harness.HTTPClient(t, harness.ClientConfig(pki),
		harness.Dialing(harness.From(harness.ClientIP)))
	for _, body := range []io.Reader{nil, io.MultiReader(strings.NewReader("of unknown length"))} {
		if env := harness.AskUWSGI(t, client, "POST", "https://"+s.Addr()+"/", body); env["REMOTE_ADDR"] != harness.ClientIP {
			t.Errorf("the application sees %s, want %s", env["REMOTE_ADDR"], harness.ClientIP)
		}
	}
}

// TestChecksBeginWithPROXYHeader: a backend that expects a header expects it of checks
// as well, or it would be down for ever.
func TestChecksBeginWithPROXYHeader(t *testing.T) {
	haproxy := nettest.FreeAddr(t)
	harness.StartHAProxy(t, haproxy, fmt.Sprintf("frontend in\n mode http\n bind %s accept-proxy\n http-request return status 200\n", haproxy))
	for _, version := range []string{"v1", "v2"} {
		s, client := harness.StartHTTP(t, harness.HTTPTo(haproxy), "--http-send-proxy="+version, "--http-check=http", "--http-check-interval=20ms")
		s.Await("checks are made", func(d harness.Document) bool { return d.Backends.Nodes[0].Checks > 5 })
		if row := s.Row(haproxy); row.State != "up" || row.CheckFailures > 0 {
			t.Errorf("%s: got %+v, want up", version, row)
		}
		wantStatus(t, s, client, http.StatusOK)
	}
}
