package engine

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"reprise/backend"
	"reprise/backend/exchange"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// keys has the text that an authority expects for a token at a host.
type keys map[string]string

func (k keys) KeyAuthorization(host, token []byte) string { return k[string(host)+" "+string(token)] }

// TestChallengesOverHTTP: the router itself answers a certificate authority, in each version of
// HTTP; requests that only look like the authority's are served like all others.
func TestChallengesOverHTTP(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			h := httpOptions()
			h.Challenges = keys{"asked.example token": "token.thumb"}
			start := startRouter
			if version == "HTTP/2" {
				start = startHTTP2
			}
			_, addr, client := start(t, h, describe)
			ask := func(method, path string) (int, string) {
				t.Helper()
				req, err := http.NewRequest(method, "https://"+addr+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = "asked.example"
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return resp.StatusCode, string(text)
			}
			for range 2 { // the connection goes on
				if status, text := ask("GET", exchange.ChallengePath+"token"); status != 200 || text != "token.thumb\n" {
					t.Errorf("got %d %q", status, text)
				}
			}
			for _, other := range []struct{ method, path string }{
				{"GET", exchange.ChallengePath + "another"}, {"POST", exchange.ChallengePath + "token"}, {"GET", "/x" + exchange.ChallengePath + "token"},
			} {
				if status, text := ask(other.method, other.path); status != 200 || text == "token.thumb\n" {
					t.Errorf("%s %s: got %d %q", other.method, other.path, status, text)
				}
			}
		})
	}
}

// TestChallengesOfOthers: a listener that redirects passes an authority's request to another client
// if there is a pool for it.
func TestChallengesOfOthers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(describe))
	defer server.Close()
	for _, served := range []bool{true, false} {
		h := httpOptions()
		h.RedirectPort, h.ServeChallenges = 443, served
		_, addr := startListener(t, testOptions(),
			Listener{HTTP: h, Pools: newRouter(t, backend.HTTP, server.Listener.Addr().String())}, false)
		client := &http.Client{CheckRedirect: func(*http.Request,
			[]*http.Request,
		) error {
			return http.ErrUseLastResponse
		}}
		for path, want := range map[string]int{exchange.ChallengePath + "token": 200, "/": 301} {
			if !served {
				want = 301
			}
			resp, err := client.Get("http://" + addr + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: got %d, want %d", path, resp.StatusCode, want)
			}
		}
	}
}

type shown struct{ cert tls.Certificate }

func (s shown) Challenge(string) *tls.Certificate { return &s.cert }

// TestChallengeByHandshake: the handshake is all that an authority gets, at a listener for HTTP and
// at one that relays; no backend gets a connection.
func TestChallengeByHandshake(t *testing.T) {
	pki := testpki.New(t)
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: pki.Server(testpki.ECDSA,
		"localhost").TLS}})
	if err != nil {
		t.Fatal(err)
	}
	challenge := shown{pki.Server(testpki.ECDSA, "asked.example").TLS}
	for name, h := range map[string]*HTTP{"HTTP": httpOptions(), "relay": nil} {
		t.Run(name, func(t *testing.T) {
			echo := nettest.Serve(t, nettest.Echo)
			e, addr := startListener(t, testOptions(), Listener{
				HTTP: h, Pools: newRouter(t, backend.TCP, echo.Addr),
				TLS: func(now func() time.Time) (tlsconn.Server, error) {
					return tlsconn.New(tlsconn.Config{
						Certificates: certs, Now: now, ALPN: []string{"h2", "http/1.1"},
						Challenges: challenge,
					})
				},
			}, false)
			c, err := tls.Dial("tcp", addr, &tls.Config{
				InsecureSkipVerify: true, ServerName: "asked.example", NextProtos: []string{tlsconn.ChallengeProtocol},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(challenge.cert.Leaf) {
				t.Errorf("got the certificate of %v", got.DNSNames)
			}
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
				t.Errorf("got %q, %v, want the end", rest, err)
			}
			c.Close()
			nettest.Eventually(t, 20*time.Second, func() bool { return e.Stats().Flows.Open.Load() == 0 }, "the flow goes on")
			if echo.Accepted() > 0 {
				t.Error("a backend was asked")
			}
		})
	}
}
