package documented

import (
	"crypto/tls"
	"net"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestDocumentedPools: names and a part of one go to the pools of the example.
func TestDocumentedPools(t *testing.T) {
	r := newReader(t)
	r.startBackends()
	r.start("pools/node.ini", "127.0.0.1:5001")
	for _, test := range []struct{ url, want string }{
		{"https://www.example.com:8443/", "/ by 127.0.0.10"},
		{"https://other.example:8443/api", "/api by 127.0.0.10"},
		{"https://shop.example.com:8443/api", "/api by 127.0.0.11"},
		{"https://eu.shop.example.com:8443/", "/ by 127.0.0.11"},
		{"https://www.example.com:8443/api", "/api by 127.0.0.12"},
		{"https://www.example.com:8443/api/x", "/api/x by 127.0.0.12"},
		{"https://www.example.com:8443/apis", "/apis by 127.0.0.10"},
		{"https://www.example.com:8443/%61pi", "/api by 127.0.0.12"},
		{"https://www.example.com:8443//api", "//api by 127.0.0.12"},
	} {
		host := strings.Split(strings.TrimPrefix(test.url, "https://"), ":")[0]
		if got := strings.TrimSpace(r.curl("--path-as-is", "--resolve", host+":8443:127.0.0.1", test.url)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.url, got, test.want)
		}
	}
}

// opensslAs connects with a name and returns the backend's text, and how the handshake ended.
func (r *reader) opensslAs(name string, more ...string) nettest.Result {
	r.t.Helper()
	args := append([]string{"s_client", "-connect", "127.0.0.1:8443", "-servername", name, "-ign_eof"}, more...)
	return nettest.Run(r.t, nettest.Command{
		Path: "openssl", Args: args, Dir: r.dir, Stdin: strings.NewReader("x\n"),
		Timeout: harness.Patience,
	})
}

// TestDocumentedNames: a name that asks for certificates has backends that no other name leads to.
func TestDocumentedNames(t *testing.T) {
	r := newReader(t)
	r.claim()
	for _, host := range []string{"127.0.0.10", "127.0.0.11"} {
		nettest.ServeAt(t, host+":7000", func(conn net.Conn) { conn.Write([]byte("this is " + host + "\n")) })
	}
	r.start("names/sslrouter.ini", "127.0.0.1:5001")
	for _, test := range []struct {
		name string
		args []string
		want string // empty: nothing is served
	}{
		{"www.example.com", nil, "127.0.0.10"},
		{"www.example.com", []string{"-cert", "foobar.crt", "-key", "foobar.key"}, "127.0.0.10"},
		{"admin.example.com", nil, ""},
		{"admin.example.com", []string{"-cert", "foobar.crt", "-key", "foobar.key"}, "127.0.0.11"},
		{"ADMIN.example.com", nil, ""},
	} {
		got := r.opensslAs(test.name, test.args...)
		served := strings.Contains(got.Stdout, "this is ")
		if served != (test.want != "") || served && !strings.Contains(got.Stdout, "this is "+test.want+"\n") {
			t.Errorf("%s with %v: got\n%s%s\nwant %q", test.name, test.args, got.Stdout, got.Stderr, test.want)
		}
	}
}

// TestDocumentedPassthrough: the client sees the certificates of the backends.
func TestDocumentedPassthrough(t *testing.T) {
	r := newReader(t)
	r.claim()
	pki := testpki.New(t)
	for host, name := range map[string]string{"127.0.0.10": "one.example.com", "127.0.0.11": "*.two.example.com", "127.0.0.12": "default.example.com"} {
		cert := pki.Server(testpki.ECDSA, name)
		nettest.Start(t, nettest.Command{
			Path: "openssl", Args: []string{"s_server", "-accept", host + ":8443", "-cert", cert.CertFile, "-key", cert.KeyFile, "-www", "-quiet"},
			StopSignal: syscall.SIGKILL, Timeout: harness.Patience,
		}, nettest.Accepts(host+":8443"))
	}
	r.start("passthrough/rawrouter.ini", "127.0.0.1:5001")
	for name, want := range map[string]string{
		"one.example.com": "one.example.com", "a.two.example.com": "*.two.example.com", "two.example.com": "*.two.example.com", "three.example.com": "default.example.com",
	} {
		conn, err := tls.Dial("tcp", "127.0.0.1:8443", &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := conn.ConnectionState().PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("%s: got the certificate of %s, want %s", name, got, want)
		}
		conn.Close()
	}
}

// TestDocumentedSubscriptions: a uwsgi announces itself to a router, with a signature and without.
func TestDocumentedSubscriptions(t *testing.T) {
	nettest.Need(t, "uwsgi")
	for _, prefix := range []string{"", "signed-"} {
		t.Run(prefix+"router", func(t *testing.T) {
			r := newReader(t)
			s := r.start("subscriptions/"+prefix+"router.ini", "127.0.0.1:5001")
			uwsgi := nettest.Start(t, nettest.Command{
				Path: "uwsgi", Args: []string{"subscriptions/" + prefix + "application.ini"}, Dir: r.dir,
				StopSignal: syscall.SIGINT, Timeout: harness.Patience, Grace: harness.Patience,
			}, nettest.Accepts("127.0.0.10:3031"))
			titles := regexp.MustCompile("<title>.*</title>")
			ask := func() string {
				got := nettest.Run(t, nettest.Command{
					Path: "curl", Args: []string{"--silent", "--header", "Host: www.example.com", "http://127.0.0.1:8080/"},
					Timeout: harness.Patience,
				})
				return titles.FindString(got.Stdout)
			}
			nettest.Eventually(t, harness.Patience, func() bool { return ask() == "<title>WSGI Information</title>" }, "the application answers")
			uwsgi.Stop()
			nettest.Eventually(t, harness.Patience,
				func() bool { return s.Document().Subscriptions.Members == 0 }, "its goodbye is heard")
			if got := ask(); got != "" {
				t.Errorf("after it has left: got %s", got)
			}
		})
	}
}

// TestDocumentedBackendsTLS: requests and bytes go to the backend that is verified, which prints
// the certificate that it was shown; the other one, which is self-signed, gets none.
func TestDocumentedBackendsTLS(t *testing.T) {
	r := newReader(t)
	r.claim()
	for host, name := range map[string]string{"127.0.0.10": "backend", "127.0.0.11": "foobar"} {
		nettest.Start(t, nettest.Command{
			Path: "openssl", Dir: r.dir, Args: []string{
				"s_server", "-accept", host + ":8443", "-cert", name + ".crt", "-key", name + ".key", "-CAfile", "ca.crt", "-Verify", "1", "-verify_return_error", "-www",
			}, StopSignal: syscall.SIGKILL, Timeout: harness.Patience,
		}, nettest.Accepts(host+":8443"))
	}
	s := r.start("backends-tls/node.ini", "127.0.0.1:5001")
	s.Await("the other is found out", func(d harness.Document) bool {
		return slices.ContainsFunc(d.Backends.Nodes,
			func(n harness.BackendRow) bool { return n.Name == "https://127.0.0.11:8443" && n.State == "down" })
	})
	for range 3 {
		for _, url := range []string{"https://127.0.0.1:8443/", "https://127.0.0.1:8444/"} {
			if got := r.curl(url); !regexp.MustCompile(`Subject: CN ?= ?edge`).MatchString(got) {
				t.Errorf("%s: got\n%s\nwant that the certificate of edge was shown", url, got)
			}
		}
	}
}
