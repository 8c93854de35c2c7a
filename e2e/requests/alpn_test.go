package requests

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"

	"github.com/pires/go-proxyproto"
)

const bothALPN = "--sslrouter-alpn=h2,http/1.1"

// TestH2LoadThroughALPN: HTTP/2 clients reach a backend that speaks it without TLS,
// and no request fails.
func TestH2LoadThroughALPN(t *testing.T) {
	nettest.Need(t, "h2load")
	requests := 20000
	if harness.RaceEnabled {
		requests = 2000
	}
	nginx, unused := nettest.FreeAddr(t), nettest.FreeAddr(t)
	harness.StartNginx(t, unused, fmt.Sprintf("listen %s http2; http2_max_requests 1000000; location / { return 200 page; }", nginx))
	haproxy := nettest.FreeAddr(t)
	harness.StartHAProxy(t, haproxy, fmt.Sprintf(`
frontend in
 mode http
 bind %s accept-proxy proto h2
 http-request return status 200 content-type text/plain string page
`, haproxy))
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	for _, test := range []struct {
		name string
		args []string
	}{
		{"nginx", []string{harness.To(nginx)}},
		{"haproxy, with a PROXY header", []string{harness.To(haproxy), "--sslrouter-send-proxy=v2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := harness.Start(t, append(test.args, harness.Listen(cert), bothALPN)...)
			r := nettest.Run(t, nettest.Command{
				Path: "h2load", Timeout: harness.Patience,
				Args: []string{"-n", fmt.Sprint(requests), "-c", "20", "-m", "10", "--npn-list=h2", "https://" + s.Addr() + "/"},
			})
			want := fmt.Sprintf("requests: %[1]d total, %[1]d started, %[1]d done, %[1]d succeeded, 0 failed, 0 errored, 0 timeout", requests)
			if r.ExitCode != 0 || !strings.Contains(r.Stdout, want) || !strings.Contains(r.Stdout, "Application protocol: h2") {
				t.Errorf("exit code %d, want %q in:\n%s%s", r.ExitCode, want, r.Stdout, r.Stderr)
			}
			t.Log(regexp.MustCompile(`finished in .*`).FindString(r.Stdout))
			s.AwaitIdle()
			if got := s.Document().Engine.Flows.Closed["done"]; got != 20 {
				t.Errorf("closed: %v, want 20 done", s.Document().Engine.Flows.Closed)
			}
		})
	}
}

// A toldConn is a connection whose PROXY header names the ALPN protocol.
type toldConn struct{}

// serveTold runs a server of HTTP/1.1 and HTTP/2 without TLS behind PROXY headers. It
// answers with the protocol that it speaks and the one it was told of.
func serveTold(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			told, _ := r.Context().Value(toldConn{}).(string)
			fmt.Fprintf(w, "%s, told %s, by %s", r.Proto, told, r.RemoteAddr[:strings.LastIndexByte(r.RemoteAddr, ':')])
		}),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			header := conn.(*proxyproto.Conn).ProxyHeader()
			if header == nil {
				return ctx
			}
			tlvs, _ := header.TLVs()
			return context.WithValue(ctx, toldConn{}, harness.Tlv(tlvs, proxyproto.PP2_TYPE_ALPN))
		},
		Protocols: new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go s.Serve(&proxyproto.Listener{Listener: l})
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// TestBackendIsToldALPN: with version 2 a backend learns the negotiated protocol, and real clients
// of both protocols are served by it.
func TestBackendIsToldALPN(t *testing.T) {
	nettest.Need(t, "curl")
	pki := testpki.New(t)
	s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost", "127.0.0.1")), bothALPN,
		harness.To(serveTold(t)), "--sslrouter-send-proxy=v2")
	for _, test := range []struct{ flag, want string }{
		{"--http2", "HTTP/2.0, told h2"},
		{"--http1.1", "HTTP/1.1, told http/1.1"},
		{"--no-alpn", "HTTP/1.1, told "},
	} {
		t.Run(test.flag, func(t *testing.T) {
			r := nettest.Run(t, nettest.Command{Path: "curl", Args: []string{
				"--silent", "--show-error", "--cacert", pki.CAFile, "--interface", harness.ClientIP, test.flag, "https://" + s.Addr() + "/",
			}})
			if want := test.want + ", by " + harness.ClientIP; r.ExitCode != 0 || r.Stdout != want {
				t.Errorf("got %q, want %q\n%s", r.Stdout, want, r.Stderr)
			}
		})
	}
}

// TestNoCommonProtocol: a client gets the alert for it (RFC 7301, Section 3.2), and no backend is
// asked.
func TestNoCommonProtocol(t *testing.T) {
	pki := testpki.New(t)
	backend := nettest.Serve(t, nettest.Echo)
	s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost")), bothALPN,
		harness.To(backend.Addr))
	_, err := harness.Handshake(s.Addr(),
		harness.With(harness.ClientConfig(pki), func(c *tls.Config) { c.NextProtos = []string{"smtp"} }))
	if err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("got %v, want no_application_protocol", err)
	}
	if got := backend.Accepted(); got != 0 {
		t.Errorf("the backend got %d connections", got)
	}
	conn := harness.Connect(t, s.Addr(),
		harness.With(harness.ClientConfig(pki), func(c *tls.Config) { c.NextProtos = []string{"smtp", "http/1.1"} }))
	if got := conn.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("agreed on %q, want http/1.1", got)
	}
}
