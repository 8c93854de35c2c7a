package engine

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"reprise/backend"
	"reprise/backend/proxy"
	"reprise/internal/nettest"
)

// proxied are the ways in which a header and the bytes behind it can reach a listener that takes
// headers from clients of this machine.
var proxied = []struct {
	name, sent string
	want       string // what the backend gets; "" if the connection ends
	cause      cause
}{
	{"version 1", "PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\nhello", "hello", causeDone},
	{"version 1, unknown", "PROXY UNKNOWN\r\nhello", "hello", causeDone},
	{"version 2", headerV2 + "hello", "hello", causeDone},
	{"no header", "hello, world!", "", causeProxyHeader},
	{"cut off", "PROXY TCP4 192.0.2.7", "", causeProxyHeader},
	{"no address", "PROXY TCP4 192.0.2.700 192.0.2.1 4000 443\r\n", "", causeProxyHeader},
	{"without an end", "PROXY TCP4 " + strings.Repeat("1", 200), "", causeProxyHeader},
}

var headerV2 = string(proxy.AppendV2(nil, &proxy.Header{
	Source:      netip.MustParseAddrPort("192.0.2.7:4000"),
	Destination: netip.MustParseAddrPort("192.0.2.1:443"),
}))

// However a header is cut into segments, the backend gets what stands behind it and nothing else.
func TestProxyHeaderInAnyPieces(t *testing.T) {
	e, addr := startProxied(t, Listener{AcceptProxy: loopbackPrefix})
	for _, test := range proxied {
		t.Run(test.name, func(t *testing.T) {
			for _, pieceLen := range []int{1, 7, len(test.sent)} {
				before := e.Stats().Flows.Closed.Load(test.cause)
				c := dialRaw(t, addr)
				sendPieces(c, []byte(test.sent), pieceLen)
				got, _ := io.ReadAll(c)
				c.Close()
				if string(got) != test.want {
					t.Errorf("in pieces of %d: the backend echoed %q, want %q", pieceLen, got, test.want)
				}
				nettest.Eventually(t, 10*time.Second, func() bool {
					return e.Stats().Flows.Closed.Load(test.cause) == before+1
				}, "in pieces of %d: closed %v", pieceLen, e.Stats().Flows.Closed.Counts())
			}
		})
	}
}

// A client outside the networks that may send headers cannot claim another address, but one that
// sends none is served.
func TestProxyHeaderOfUntrustedSource(t *testing.T) {
	far := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	e, addr := startProxied(t, Listener{AcceptProxy: far})
	for _, test := range []struct{ name, sent, want string }{
		{"a header", headerV2 + "hello", ""},
		{"no header", "hello", "hello"},
		{"what begins like a header", "PROXY is a word", "PROXY is a word"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dialRaw(t, addr)
			defer c.Close()
			sendPieces(c, []byte(test.sent), len(test.sent))
			if got, _ := io.ReadAll(c); string(got) != test.want {
				t.Errorf("the backend echoed %q, want %q", got, test.want)
			}
		})
	}
	nettest.Eventually(t, 10*time.Second, func() bool {
		return e.Stats().Flows.Closed.Load(causeProxyHeader) == 1
	}, "not counted once: %v", e.Stats().Flows.Closed.Counts())
}

// A client that sends no whole header is cut off when a handshake would be.
func TestProxyHeaderThatNeverEnds(t *testing.T) {
	o := testOptions()
	o.HandshakeTimeout = 50 * time.Millisecond
	echo := nettest.Serve(t, nettest.Echo)
	pools := newRouter(t, backend.TCP, echo.Addr)
	e, addr := startListener(t, o, Listener{AcceptProxy: loopbackPrefix, Pools: pools}, true)
	c := dialRaw(t, addr)
	defer c.Close()
	_, _ = io.WriteString(c, "PROXY TCP4 ")
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Errorf("got %q, want the end", got)
	}
	if n := e.Stats().Flows.Closed.Load(causeHandshakeTimeout); n != 1 {
		t.Errorf("closed %v, want one handshake_timeout", e.Stats().Flows.Closed.Counts())
	}
}

// A ClientHello may come in the same segment as the header.
func TestProxyHeaderWithHello(t *testing.T) {
	echo := nettest.Serve(t, nettest.Echo)
	pools := newRouter(t, backend.TCP, echo.Addr)
	ln := Listener{AcceptProxy: loopbackPrefix, Pools: pools}
	_, addr := startListener(t, testOptions(), ln, true)
	for _, apart := range []bool{false, true} {
		raw := dialRaw(t, addr)
		conn := net.Conn(&prefixedConn{Conn: raw, prefix: []byte(headerV2)})
		if apart {
			_, _ = io.WriteString(raw, headerV2)
			conn = raw
		}
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		echoes(t, c, "hello\n")
		c.Close()
	}
}

// A prefixedConn sends prefix in front of what is written first.
type prefixedConn struct {
	net.Conn
	prefix []byte
}

func (c *prefixedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(append(c.prefix, p...))
	n -= len(c.prefix)
	c.prefix = nil
	return max(n, 0), err
}

var loopbackPrefix = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// startProxied serves ln without TLS in front of an echo.
func startProxied(t *testing.T, ln Listener) (*Engine, string) {
	t.Helper()
	ln.Pools = newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr)
	return startListener(t, testOptions(), ln, false)
}

// sendPieces writes p in pieces that leave as segments of their own, and ends what c sends. The
// other end may have closed meanwhile.
func sendPieces(c *net.TCPConn, p []byte, pieceLen int) {
	_ = c.SetNoDelay(true)
	for len(p) > 0 {
		n := min(pieceLen, len(p))
		if _, err := c.Write(p[:n]); err != nil {
			return
		}
		p = p[n:]
	}
	_ = c.CloseWrite()
}

// A uwsgi backend gets no PROXY header, for which its protocol has no place: its variables name the
// client.
func TestNoProxyHeaderForUWSGI(t *testing.T) {
	begins := make(chan byte, 1)
	addr := nettest.Serve(t, func(c net.Conn) {
		b := make([]byte, 1)
		_, _ = io.ReadFull(c, b)
		begins <- b[0]
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	}).Addr
	_, router := startListener(t, testOptions(),
		Listener{HTTP: httpOptions(), Pools: proxyRouter(t, 1, backend.UWSGI, addr)}, false)
	for _, framing := range []string{"Content-Length: 1\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"} {
		c := dialRaw(t, router)
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n"+framing)
		if got := <-begins; got != 0 { // modifier1
			t.Errorf("the backend got %q first", got)
		}
	}
}
