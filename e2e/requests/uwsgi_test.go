package requests

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestHTTP2ToUWSGI: an application learns of HTTP/2.
func TestHTTP2ToUWSGI(t *testing.T) {
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(harness.StartUWSGI(t, harness.EchoApplication)))
	client := harness.HTTPClient(t, harness.ClientConfig(pki),
		func(tr *http.Transport) { tr.ForceAttemptHTTP2 = true })
	if got := harness.AskUWSGI(t, client, "POST", "https://"+s.Addr()+"/", strings.NewReader("payload")); got["SERVER_PROTOCOL"] != "HTTP/2.0" || got["size"] != "7" {
		t.Errorf("got %v", got)
	}
}

// TestVariablesOfUWSGI: a real application sees the request, the client and the state of TLS, and
// nothing that the client forged.
func TestVariablesOfUWSGI(t *testing.T) {
	app := harness.StartUWSGI(t, harness.EchoApplication)
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(app))
	host, _ := os.Hostname()
	port := s.Addr()[strings.LastIndexByte(s.Addr(), ':')+1:]
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			config := harness.With(harness.ClientConfig(pki), func(c *tls.Config) { c.MaxVersion = version })
			var state tls.ConnectionState
			for i, resumed := range []string{"Initial", "Resumed"} {
				var local string
				client := harness.HTTPClient(t, config,
					func(tr *http.Transport) { tr.DisableKeepAlives = i == 0 })
				req, _ := http.NewRequest("POST", "https://"+s.Addr()+"/caf%C3%A9/a;b?q=%20&r", strings.NewReader("payload"))
				req.Host = "www.example.test"
				for _, f := range []string{
					"Content-Type: text/x", "X-One: 1", "X-One: 2", "Cookie: a=b", "X_Under: spoof", "Https: off", "Ssl-Client-Verify: SUCCESS", "Proxy: http://evil",
					"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "Forwarded: for=192.0.2.1", "Keep-Alive: 5", "Te: trailers",
				} {
					name, value, _ := strings.Cut(f, ": ")
					req.Header[name] = append(req.Header[name], value)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				state = *resp.TLS
				env := harness.DecodeJSON[map[string]string](t, string(text))
				local = env["REMOTE_PORT"]
				if local == "" || local == "0" || local == port {
					t.Errorf("REMOTE_PORT is %q", local)
				}
				wantVariables(t, env, host, port, strings.Replace(tls.VersionName(version), "TLS ", "TLSv", 1), resumed)
				if cipher := env["SSL_CIPHER"]; !harness.OpenSSLNames(state.CipherSuite, cipher) {
					t.Errorf("SSL_CIPHER is %q, want %s", cipher, tls.CipherSuiteName(state.CipherSuite))
				}
			}
			if !state.DidResume {
				t.Error("the second connection did not resume")
			}
		})
	}
}

// wantVariables compares the application's variables for the forging request.
func wantVariables(t *testing.T, env map[string]string, host, port, version, resumed string) {
	for key, want := range map[string]string{
		"REQUEST_METHOD": "POST", "PATH_INFO": "/caf\u00c3\u00a9/a;b", "REQUEST_URI": "/caf%C3%A9/a;b?q=%20&r", "QUERY_STRING": "q=%20&r",
		"SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": "", "SERVER_NAME": host, "SERVER_PORT": port, "UWSGI_ROUTER": "http",
		"HTTPS": "on", "REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": "7", "CONTENT_TYPE": "text/x",
		"HTTP_HOST": "www.example.test", "HTTP_X_ONE": "1, 2", "HTTP_COOKIE": "a=b", "wsgi.url_scheme": "https",
		"SSL_PROTOCOL": version, "SSL_SERVER_NAME": "localhost",
		"SSL_SESSION_RESUMED": resumed, "SSL_CLIENT_VERIFY": "NONE", "body": digest(strings.NewReader("payload")),
	} {
		if got, found := env[key]; !found || got != want {
			t.Errorf("%s, %s: got %q, %v, want %q", resumed, key, got, found, want)
		}
	}
	for _, key := range []string{
		"HTTP_X_UNDER", "HTTP_PROXY", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED", "HTTP_KEEP_ALIVE",
		"HTTP_TE", "HTTP_CONNECTION", "HTTP_CONTENT_LENGTH", "HTTPS_DN", "HTTPS_CC", "HTTPS_CLIENT_CERTIFICATE", "SSL_CLIENT_S_DN",
	} {
		if got, found := env[key]; found {
			t.Errorf("%s, %s: got %q, want nothing", resumed, key, got)
		}
	}
}

func digest(r io.Reader) string {
	h := sha256.New()
	io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil))
}

// TestTrustedProxyOfUWSGI: a proxy's fields about its client reach the application.
func TestTrustedProxyOfUWSGI(t *testing.T) {
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(harness.StartUWSGI(t, harness.EchoApplication)), "--http-trusted",
		"127.0.0.0/8")
	env := harness.AskUWSGI(t, harness.HTTPClient(t, harness.ClientConfig(pki), nil), "GET", "https://"+s.Addr()+"/",
		nil,
		"X-Forwarded-For", "192.0.2.1", "X-Forwarded-Proto", "https", "Forwarded", "for=192.0.2.1")
	for key, want := range map[string]string{
		"HTTP_X_FORWARDED_FOR": "192.0.2.1", "HTTP_X_FORWARDED_PROTO": "https", "HTTP_FORWARDED": "for=192.0.2.1", "REMOTE_ADDR": "127.0.0.1",
	} {
		if env[key] != want {
			t.Errorf("%s: got %q, want %q", key, env[key], want)
		}
	}
}

// TestClientCertificates: optional or required, they reach the application, on
// resumed connections too.
func TestClientCertificates(t *testing.T) {
	app := harness.StartUWSGI(t, harness.EchoApplication)
	pki := testpki.New(t)
	cert, other := pki.Client("client1"), testpki.New(t).Client("stranger")
	present := func(c *testpki.Cert) func(*tls.Config) {
		return func(config *tls.Config) {
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (
				*tls.Certificate, error,
			) {
				return &c.TLS, nil
			}
		}
	}
	for _, required := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("required=%v/%s", required, tls.VersionName(version)), func(t *testing.T) {
				ca := pki.CAFile
				if required {
					ca = "!" + ca
				}
				s := harness.Start(t, harness.HTTPS(pki.Server(testpki.ECDSA, "localhost"), "clientca="+ca), harness.UWSGITo(app), "--https-export-cert")
				url := "https://" + s.Addr() + "/"
				base := harness.With(harness.ClientConfig(pki), func(c *tls.Config) { c.MaxVersion = version })

				config := harness.With(base, present(cert))
				fingerprint := sha256.Sum256(cert.TLS.Leaf.Raw)
				for _, resumed := range []string{"Initial", "Resumed"} {
					env, err := askFresh(t, url, config)
					if err != nil {
						t.Fatal(err)
					}
					for key, want := range map[string]string{
						"SSL_SESSION_RESUMED": resumed, "SSL_CLIENT_VERIFY": "SUCCESS", "HTTPS_DN": "/CN=client1", "HTTPS_CC": string(cert.CertPEM),
						"SSL_CLIENT_S_DN": "CN=client1", "SSL_CLIENT_I_DN": "CN=Reprise test CA",
						"SSL_CLIENT_M_SERIAL":      fmt.Sprintf("%02X", cert.TLS.Leaf.SerialNumber.Bytes()),
						"SSL_CLIENT_FINGERPRINT":   hex.EncodeToString(fingerprint[:]),
						"HTTPS_CLIENT_CERTIFICATE": latin1(cert.TLS.Leaf.Raw),
					} {
						if env[key] != want {
							t.Errorf("%s, %s: got %q, want %q", resumed, key, env[key], want)
						}
					}
				}

				env, err := askFresh(t, url, harness.With(base,
					func(c *tls.Config) { c.ClientSessionCache = nil }))
				if (err != nil) != required {
					t.Errorf("without a certificate: %v", err)
				}
				if err == nil && (env["SSL_CLIENT_VERIFY"] != "NONE" || env["HTTPS_DN"] != "") {
					t.Errorf("without a certificate: verify %q, DN %q", env["SSL_CLIENT_VERIFY"], env["HTTPS_DN"])
				}
				if env, err := askFresh(t, url, harness.With(harness.With(base, harness.NoResumption),
					present(other))); err == nil {
					t.Errorf("a certificate of another authority: got %q", env["SSL_CLIENT_VERIFY"])
				}
			})
		}
	}
}

// askFresh asks on a connection of its own, and returns the variables.
func askFresh(t *testing.T, url string, config *tls.Config) (map[string]string, error) {
	client := harness.HTTPClient(t, config, func(tr *http.Transport) { tr.DisableKeepAlives = true })
	resp, text, err := harness.Fetch(client, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return harness.DecodeJSON[map[string]string](t, text), nil
}

// latin1 is how WSGI shows bytes.
func latin1(p []byte) string {
	runes := make([]rune, len(p))
	for i, b := range p {
		runes[i] = rune(b)
	}
	return string(runes)
}

// TestBodiesOfUWSGI: bodies reach the application whole, whatever the client does
// to frame and send them, and so do files on their way back.
func TestBodiesOfUWSGI(t *testing.T) {
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(harness.StartUWSGI(t, harness.EchoApplication)))
	client := harness.HTTPClient(t, harness.ClientConfig(pki),
		func(tr *http.Transport) { tr.ExpectContinueTimeout = harness.Patience })
	url := "https://" + s.Addr() + "/"
	n := harness.Bulk()
	for _, test := range []struct {
		name   string
		n      int64
		length int64 // -1: chunked
		field  string
	}{
		{"none", 0, 0, ""},
		{"small", 10, 10, ""},
		{"large", n, n, ""},
		{"small, chunked", 10, -1, ""},
		{"no bytes, chunked", 0, -1, ""},
		{"as large as is held, chunked", 256 << 10, -1, ""},
		{"expects 100", 100_000, 100_000, "100-continue"},
		{"expects 100, chunked", 100_000, -1, "100-continue"},
	} {
		t.Run("upload/"+test.name, func(t *testing.T) {
			req, _ := http.NewRequest("POST", url, struct{ io.Reader }{nettest.NewPattern(1, test.n)})
			if req.ContentLength = test.length; test.n == 0 && test.length == 0 {
				req.Body = http.NoBody
			}
			if test.field != "" {
				req.Header.Set("Expect", test.field)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			env := harness.DecodeJSON[map[string]string](t, string(text))
			if want := digest(nettest.NewPattern(1, test.n)); env["body"] != want || env["CONTENT_LENGTH"] != env["size"] && test.n > 0 {
				t.Errorf("the application got %s bytes of %s announced, want %d with digest %s", env["size"], env["CONTENT_LENGTH"], test.n, want)
			}
		})
	}
	t.Run("too much to hold", func(t *testing.T) {
		resp, text, err := harness.Fetch(client, "POST", url,
			struct{ io.Reader }{nettest.NewPattern(1, 256<<10+1)})
		if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("got %+v, %q, %v, want 413", resp, text, err)
		}
	})

	testDownloads(t, client, url, n)
}

// testDownloads has the application send a file.
func testDownloads(t *testing.T, client *http.Client, url string, n int64) {
	file := filepath.Join(t.TempDir(), "pattern")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(f, nettest.NewPattern(2, n))
	f.Close()
	for _, path := range []string{"file-length", "file-until-close"} {
		t.Run("download/"+path, func(t *testing.T) {
			req, _ := http.NewRequest("GET", url+path, nil)
			req.Header.Set("X-File", file)
			req.Header.Set("X-Length", fmt.Sprint(n))
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if wantLength := map[string]int64{"file-length": n, "file-until-close": -1}[path]; resp.ContentLength != wantLength {
				t.Errorf("Content-Length %d, want %d", resp.ContentLength, wantLength)
			}
			if err := nettest.CheckPattern(resp.Body, 2, n); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestChunkedInputOfUWSGI: with http-chunked-input an application reads chunks
// itself, as many as there are.
func TestChunkedInputOfUWSGI(t *testing.T) {
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(harness.StartUWSGI(t, harness.EchoApplication)), "--http-chunked-input")
	const n = 4 * harness.MiB
	env := harness.AskUWSGI(t, harness.HTTPClient(t, harness.ClientConfig(pki), nil), "POST", "https://"+s.Addr()+"/chunked",
		struct{ io.Reader }{nettest.NewPattern(3, n)})
	if want := digest(nettest.NewPattern(3, n)); env["body"] != want {
		t.Errorf("the application read %s bytes, digest %s, want %d, %s", env["size"], env["body"], n, want)
	}
}

// TestUWSGIWithoutAnAnswer: an application that breaks off is a 502, and a worker's own error
// response is passed on.
func TestUWSGIWithoutAnAnswer(t *testing.T) {
	app := harness.StartUWSGI(t, `
import os
def application(env, start_response):
    if env["PATH_INFO"] == "/die":
        os._exit(1)
    if env["PATH_INFO"] == "/raise":
        raise ValueError()
    start_response("200 OK", [])
    return [b"alive"]
`, "--master", "--die-on-term")
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(app))
	client, url := harness.HTTPClient(t, harness.ClientConfig(pki), nil), "https://"+s.Addr()
	nettest.Eventually(t, harness.Patience, func() bool {
		_, body, err := harness.Fetch(client, "GET", url+"/", nil)
		return err == nil && body == "alive"
	}, "the application is there")
	for path, want := range map[string]int{"/die": 502, "/raise": 502} {
		if resp, body, err := harness.Fetch(client, "POST", url+path, strings.NewReader("x")); err != nil ||
			resp.StatusCode != want {
			t.Errorf("%s: got %+v %q, %v, want %d", path, resp, body, err, want)
		}
	}
	nettest.Eventually(t, harness.Patience, func() bool {
		_, body, err := harness.Fetch(client, "GET", url+"/", nil)
		return err == nil && body == "alive"
	}, "the application is there again")
}
