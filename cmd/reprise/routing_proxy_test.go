package main

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

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"

	"reprise/backend/proxy"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// clientIP is who the clients of these tests are, so that no proxy is taken for one.
const clientIP = "127.0.0.77"

// TestClientAddressReachesApplication: whoever passes connections on to an HTTPS
// router, as TCP and with a PROXY header, the application knows the client.
func TestClientAddressReachesApplication(t *testing.T) {
	node, pki := startHTTPS(t, uwsgiTo(startUWSGI(t, echoApplication)), "--http-accept-proxy=127.0.0.1", "--http-accept-proxy=::1")
	byHAProxy := func(to, send string) string {
		addr := nettest.FreeAddr(t)
		startHAProxy(t, addr, fmt.Sprintf("listen in\n mode tcp\n bind %s\n server node %s %s\n", addr, to, send))
		return addr
	}
	byRaw := func(to, send string, more ...string) string {
		return startRawRouter(t, []string{to}, append(more, "--rawrouter-send-proxy="+send)...).addr()
	}
	through := byRaw(node.addr(), "v2", "--rawrouter-accept-proxy=127.0.0.1")
	for _, test := range []struct{ name, addr string }{
		{"raw router, version 1", byRaw(node.addr(), "v1")},
		{"raw router, version 2", byRaw(node.addr(), "v2")},
		{"haproxy, send-proxy", byHAProxy(node.addr(), "send-proxy")},
		{"haproxy, send-proxy-v2", byHAProxy(node.addr(), "send-proxy-v2")},
		{"haproxy, send-proxy-v2-ssl", byHAProxy(node.addr(), "send-proxy-v2-ssl")},
		{"haproxy and raw router", byHAProxy(through, "send-proxy-v2")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var client string
			env := askUWSGI(t, httpClient(t, clientConfig(pki), dialing(noting(&client))), "GET", "https://"+test.addr+"/", nil)
			if got := env["REMOTE_ADDR"] + ":" + env["REMOTE_PORT"]; got != client {
				t.Errorf("the application sees %s, want %s", got, client)
			}
		})
	}
}

// noting connects from clientIP and notes in client from where exactly.
func noting(client *string) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := from(clientIP)(ctx, network, addr)
		if err == nil {
			*client = conn.LocalAddr().String()
		}
		return conn, err
	}
}

// A proxyFront is a node with a listener of each kind, all of which want a header
// from trustedIP, and of nobody else.
type proxyFront struct {
	*server
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
	args = append(args, https(cert), "--http=127.0.0.1:0", httpTo(serveName(t)), listen(cert), to(echo), rawListen, rawTo(echo))
	for _, router := range []string{"http", "sslrouter", "rawrouter"} {
		args = append(args, "--"+router+"-accept-proxy="+trustedIP)
	}
	s := start(t, args...)
	overTLS := func(use func(net.Conn) error) func(net.Conn) error {
		return func(conn net.Conn) error { return use(tls.Client(conn, clientConfig(pki))) }
	}
	return &proxyFront{s, []frontRouter{
		{"https", s.addresses[0], overTLS(getPage)},
		{"http", s.addresses[1], getPage},
		{"sslrouter", s.addresses[2], overTLS(ping)},
		{"rawrouter", s.addresses[3], ping},
	}}
}

// getPage makes a request.
func getPage(conn net.Conn) error {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return err
	}
	a, err := readAnswer(bufio.NewReader(conn), "GET")
	if err == nil && (a.status != http.StatusOK || a.err != nil) {
		err = fmt.Errorf("status %d, %v", a.status, a.err)
	}
	return err
}

// The headers that a proxy could send.
var (
	someClient = proxy.Header{Source: netip.MustParseAddrPort("192.0.2.7:4711"), Destination: netip.MustParseAddrPort("192.0.2.1:443")}
	headerV1   = string(proxy.AppendV1(nil, &someClient))
	headerV2   = string(proxy.AppendV2(nil, &someClient))
	localV1    = string(proxy.AppendV1(nil, &proxy.Header{Local: true}))
	localV2    = string(proxy.AppendV2(nil, &proxy.Header{Local: true}))
)

// TestPROXYHeaderWhereItBelongs: with a header from a trusted source, or none from
// another, clients are served, however the bytes are cut.
func TestPROXYHeaderWhereItBelongs(t *testing.T) {
	front := startProxyFront(t)
	const elsewhere = "127.0.0.1"
	byteByByte := append(slices.Repeat([]int{1}, len(headerV1)+10), 1<<20) // and the beginning of what follows
	for _, test := range []struct{ name, source, header string }{
		{"version 1", trustedIP, headerV1},
		{"version 2", trustedIP, headerV2},
		{"version 1, unknown", trustedIP, localV1},
		{"version 2, local", trustedIP, localV2},
		{"none from elsewhere", elsewhere, ""},
	} {
		for cuts, lengths := range map[string][]int{"one segment": nil, "byte by byte": byteByByte, "three segments": {5, 11, 1 << 20}, "in the middle of both": {20, 40, 1 << 20}} {
			for _, router := range front.routers {
				t.Run(test.name+"/"+cuts+"/"+router.name, func(t *testing.T) {
					conn := dialFrom(t, test.source, router.addr)
					if err := router.use(&prefacedConn{conn, []byte(test.header), lengths}); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	if got := front.document().Engine.Flows.Closed["proxy_header"]; got != 0 {
		t.Errorf("closed proxy_header: got %d, want 0", got)
	}
}

// TestPROXYHeaderRefused: what is missing, broken or from somebody who may not say
// such things ends the connection, and no backend hears of it.
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
				before := front.document()
				conn := dialFrom(t, test.source, router.addr)
				if err := router.use(&prefacedConn{Conn: conn, preface: []byte(test.header)}); err == nil {
					t.Error("it was served")
				}
				front.await("it is counted", func(d document) bool {
					return d.Engine.Flows.Closed["proxy_header"] == before.Engine.Flows.Closed["proxy_header"]+1
				})
				if got, want := hits(front.document()), hits(before); got != want {
					t.Errorf("backends got %d connections", got-want)
				}
			})
		}
	}
}

// hits is how many connections all backends have got.
func hits(d document) (n uint64) {
	for _, row := range d.Backends.Nodes {
		n += row.Hits
	}
	return n
}

// TestPROXYHeaderCutOrLate: an end within the header is one of those as well, and a
// header that never ends takes no longer than a handshake may.
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
				conn := dialFrom(t, trustedIP, router.addr)
				io.WriteString(conn, headerV2[:20])
				if test.fin {
					conn.(*net.TCPConn).CloseWrite()
				}
				if n, err := conn.Read(make([]byte, 1)); err == nil {
					t.Errorf("got %d bytes, want an end", n)
				}
				front.await("it is counted", func(d document) bool { return d.Engine.Flows.Closed[test.cause] == uint64(i+1) })
			})
		}
	}
}

// TestPROXYHeaderToBackends: haproxy and nginx read what we send them as what it is,
// from each kind of router.
func TestPROXYHeaderToBackends(t *testing.T) {
	nginx, unused := nettest.FreeAddr(t), nettest.FreeAddr(t)
	startNginx(t, unused, fmt.Sprintf(`listen %s proxy_protocol; location / { return 200 "$proxy_protocol_addr:$proxy_protocol_port"; }`, nginx))
	haproxy := nettest.FreeAddr(t)
	startHAProxy(t, haproxy, fmt.Sprintf(`
frontend in
 mode http
 bind %s accept-proxy
 http-request return status 200 content-type text/plain lf-string "%%ci:%%cp" hdr Authority %%[fc_pp_authority]
`, haproxy))
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	for _, version := range []string{"v1", "v2"} {
		for peer, addr := range map[string]string{"haproxy": haproxy, "nginx": nginx} {
			s := start(t, https(cert), "--http=127.0.0.1:0", httpTo(addr), listen(cert), to(addr), rawListen, rawTo(addr),
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
					c := httpClient(t, clientConfig(pki), dialing(noting(&client)))
					for range 2 { // the second must not come on the first one's connection
						resp, body, err := fetch(c, "GET", scheme+"://"+s.addresses[i]+"/", nil)
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

// TestPROXYHeaderTellsOfTLS: a backend learns from version 2 how TLS went, also
// through a raw router between, which passes on what it was told.
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
	between := startRawRouter(t, []string{peer.Addr}, "--rawrouter-accept-proxy=127.0.0.1", "--rawrouter-send-proxy=v2")
	pki := testpki.New(t)
	s := start(t, listen(pki.Server(testpki.ECDSA, "localhost"), "alpn=postgresql;smtp", "clientca="+pki.CAFile),
		to(peer.Addr), to(between.addr()), oneLoop, "--sslrouter-send-proxy=v2")
	forEachVersion(t, func(t *testing.T, version uint16) {
		for _, cert := range []*testpki.Cert{nil, pki.Client("Alice")} {
			config, _ := walletConfig(pki, version)
			config.NextProtos = []string{"smtp"}
			if cert != nil {
				config.Certificates = []tls.Certificate{cert.TLS}
			}
			for i := range 2 * 2 { // through both backends
				state := visit(t, s.addr(), config)
				want := toldTLS{
					alpn: "smtp", authority: "localhost", version: openSSLVersion(version),
					inSession: cert != nil, inConnection: cert != nil && i == 0, verified: cert != nil,
					resumed: i > 0, ownerKnown: true,
				}
				if cert != nil {
					want.name = "Alice"
				}
				got, cipher := readTold(t, <-headers)
				if got != want || state.DidResume != want.resumed || !openSSLNames(state.CipherSuite, cipher) {
					t.Errorf("connection %d: got %+v, %s, want %+v, %s", i, got, cipher, want, tls.CipherSuiteName(state.CipherSuite))
				}
			}
		}
	})
}

// toldTLS is what a header of version 2 tells of TLS, but for the cipher.
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
	own := tlv(tlvs, 0xe7)
	if !ok || len(own) != 6 || own[0] != 1 {
		t.Fatalf("it tells of TLS: %v, and of the session %x", ok, own)
	}
	told = toldTLS{
		alpn: tlv(tlvs, proxyproto.PP2_TYPE_ALPN), authority: tlv(tlvs, proxyproto.PP2_TYPE_AUTHORITY),
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

// tlv returns the value of a type.
func tlv(tlvs []proxyproto.TLV, typ proxyproto.PP2Type) string {
	for _, v := range tlvs {
		if v.Type == typ {
			return string(v.Value)
		}
	}
	return ""
}

// TestNoPROXYHeaderForUWSGI: the protocol has no place for one, and says all of it in
// variables.
func TestNoPROXYHeaderForUWSGI(t *testing.T) {
	s, pki := startHTTPS(t, uwsgiTo(startUWSGI(t, echoApplication)), "--http-send-proxy=v2")
	client := httpClient(t, clientConfig(pki), dialing(from(clientIP)))
	for _, body := range []io.Reader{nil, io.MultiReader(strings.NewReader("of unknown length"))} {
		if env := askUWSGI(t, client, "POST", "https://"+s.addr()+"/", body); env["REMOTE_ADDR"] != clientIP {
			t.Errorf("the application sees %s, want %s", env["REMOTE_ADDR"], clientIP)
		}
	}
}

// TestChecksBeginWithPROXYHeader: a backend that expects a header expects it of checks
// as well, or it would be down for ever.
func TestChecksBeginWithPROXYHeader(t *testing.T) {
	haproxy := nettest.FreeAddr(t)
	startHAProxy(t, haproxy, fmt.Sprintf("frontend in\n mode http\n bind %s accept-proxy\n http-request return status 200\n", haproxy))
	for _, version := range []string{"v1", "v2"} {
		s, client := startHTTP(t, httpTo(haproxy), "--http-send-proxy="+version, "--http-check=http", "--http-check-interval=20ms")
		s.await("checks are made", func(d document) bool { return d.Backends.Nodes[0].Checks > 5 })
		if row := s.row(haproxy); row.State != "up" || row.CheckFailures > 0 {
			t.Errorf("%s: got %+v, want up", version, row)
		}
		wantStatus(t, s, client, http.StatusOK)
	}
}
