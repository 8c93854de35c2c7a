package routing

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// requestFor is a request for a host.
func requestFor(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }

// askAs makes a request on a connection of its own; the status is 0 if there was no
// answer.
func askAs(t *testing.T, addr string, config *tls.Config, request string) (resumed bool,
	status int,
) {
	t.Helper()
	conn, err := harness.Handshake(addr, config)
	if err != nil {
		return false, 0
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		return false, 0
	}
	method, _, _ := strings.Cut(request, " ")
	a, err := harness.ReadAnswer(bufio.NewReader(conn), method)
	if err != nil {
		return false, 0
	}
	return conn.ConnectionState().DidResume, a.Status
}

// A guarded server has names with different client policies.
type guarded struct {
	*harness.Server
	pki, otherPKI *testpki.PKI
	log           string
	served        atomic.Int64 // requests that the backend has seen
}

// startGuarded runs it: www.example asks for nothing, as the listener does,
// secure.example and twin.example require our certificates, maybe.example takes
// them, and *.wild.example requires those of another CA.
func startGuarded(t *testing.T, args ...string) *guarded {
	g := &guarded{pki: testpki.New(t), otherPKI: testpki.New(t)}
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		g.served.Add(1)
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Host"))
	})
	cert := g.pki.Server(testpki.ECDSA, "www.example", "secure.example", "twin.example", "maybe.example", "*.wild.example")
	var option string
	option, g.log = harness.AccessLog(t)
	sni := func(name, clientCA string) string {
		return fmt.Sprintf("--sni=%s %s,%s,,%s", name, cert.CertFile, cert.KeyFile, clientCA)
	}
	g.Server = harness.Start(t, append(args, option, harness.HTTPS(cert), harness.HTTPTo(backend),
		sni("www.example", ""), sni("secure.example", "!"+g.pki.CAFile),
		sni("twin.example", "!"+g.pki.CAFile), sni("maybe.example", g.pki.CAFile), sni("*.wild.example", "!"+g.otherPKI.CAFile))...)
	return g
}

// client is a client that asks for a name, or for none, with the certificate that the name
// requires, if any.
func (g *guarded) client(name string) *tls.Config {
	pki := g.pki
	if strings.HasSuffix(name, ".wild.example") {
		pki = g.otherPKI
	}
	cert := pki.Client("somebody").TLS
	// One without a name verifies none.
	return &tls.Config{
		ServerName: name, InsecureSkipVerify: true,
		GetClientCertificate: harness.Sends(&cert),
	}
}

// forEachTLSEngine runs test with each engine and with the default, as options.
func forEachTLSEngine(t *testing.T, test func(t *testing.T, options ...string)) {
	t.Run("default", func(t *testing.T) { test(t) })
	for _, engine := range []string{"own", "standard"} {
		t.Run(engine, func(t *testing.T) { test(t, "--tls-engine="+engine) })
	}
}

// TestNoHostNoPolicy: a request without Host must meet the policy of its implied host too: the
// machine's name, or the name in the handshake, which may be written as no name at all.
func TestNoHostNoPolicy(t *testing.T) {
	hosts := make(chan string, 1)
	backend := harness.ServeHTTP(t, func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host })
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "secure.example", machine)
	sni := func(name string) string {
		return fmt.Sprintf("--sni=%s %s,%s,,!%s", name, cert.CertFile, cert.KeyFile, pki.CAFile)
	}
	forEachTLSEngine(t, func(t *testing.T, options ...string) {
		s := harness.Start(t, append(options, harness.HTTPS(cert), harness.HTTPTo(backend), sni("secure.example"),
			sni(machine))...)
		for _, name := range []string{"", "www.example", "secure.example:443", "secure.example:", "x@secure.example"} {
			_, status := askAs(t, s.Addr(), &tls.Config{ServerName: name, InsecureSkipVerify: true}, "GET / HTTP/1.0\r\n\r\n")
			host := ""
			select {
			case host = <-hosts:
			default:
			}
			if host != "" && host != "www.example" {
				t.Errorf("SNI %q: answered with %d, the backend was asked for %q without a certificate", name, status, host)
			}
		}
	})
}

// TestMisdirectedRequests: which name a request is for decides what its client must
// have shown in the handshake, however that name is written, and whichever other
// name the handshake was for. It is long because it is a table.
func TestMisdirectedRequests(t *testing.T) {
	const secure, refused = "secure.example", http.StatusMisdirectedRequest
	tests := []struct {
		name    string
		sni     string
		request string
		want    int
	}{
		{"its own name", secure, requestFor(secure), 200},
		{"no SNI", "", requestFor(secure), refused},
		{"SNI of another name", "www.example", requestFor(secure), refused},
		{"SNI of a name that nobody knows", "unknown.example", requestFor(secure), refused},
		{"a name without policy", "www.example", requestFor("www.example"), 200},
		{"a name without policy and no SNI", "", requestFor("www.example"), 200},
		{"a name that nobody knows", "www.example", requestFor("unknown.example"), 200},

		{"in capitals", "", requestFor("SECURE.Example"), refused},
		{"in capitals, its own", secure, requestFor("SECURE.Example"), 200},
		{"SNI in capitals", "SECURE.Example", requestFor(secure), 200},
		{"a dot at the end", "", requestFor(secure + "."), refused},
		{"a dot at the end, its own", secure, requestFor(secure + "."), 200},
		{"a port", "www.example", requestFor(secure + ":443"), refused},
		{"a port, its own", secure, requestFor(secure + ":8443"), 200},
		{"a dot and a port", "", requestFor("Secure.example.:443"), refused},
		{"two dots at the end", "", requestFor(secure + ".."), refused},
		{"two dots inside", "", requestFor("secure..example"), refused},
		{"a dot before", "", requestFor("." + secure), refused},
		{"only a dot", "", requestFor("."), refused},
		{"an address", "", requestFor("127.0.0.1:443"), 200},
		{"an IPv6 address", "", requestFor("[::1]:443"), 200},
		{"an address where a name was asked for", secure, requestFor("[::1]"), refused},

		{"absolute form", "", "GET https://secure.example/ HTTP/1.1\r\nHost: secure.example\r\n\r\n", refused},
		{"absolute form, its own", secure, "GET https://secure.example/ HTTP/1.1\r\nHost: secure.example\r\n\r\n", 200},
		{"absolute form in capitals", "", "GET HTTP://SECURE.EXAMPLE:443/ HTTP/1.1\r\nHost: secure.example:443\r\n\r\n", refused},
		{"absolute form of HTTP/1.0", "", "GET http://secure.example/ HTTP/1.0\r\n\r\n", refused},
		{"absolute form and another Host", "", "GET http://secure.example/ HTTP/1.1\r\nHost: www.example\r\n\r\n", 400},
		{"Host and another absolute form", "", "GET http://www.example/ HTTP/1.1\r\nHost: secure.example\r\n\r\n", 400},
		{"two Hosts", "", "GET / HTTP/1.1\r\nHost: www.example\r\nHost: secure.example\r\n\r\n", 400},
		{"HTTP/1.0 without Host", "", "GET / HTTP/1.0\r\n\r\n", 200},
		{"HTTP/1.0 without Host under a name", secure, "GET / HTTP/1.0\r\n\r\n", 200},
		{"HTTP/1.0 with Host", "", "GET / HTTP/1.0\r\nHost: secure.example\r\n\r\n", refused},

		{"a name with the same policy", "twin.example", requestFor(secure), 200},
		{"a name with none", secure, requestFor("www.example"), refused},
		{"optional, required wanted", "maybe.example", requestFor(secure), refused},
		{"required, optional wanted", secure, requestFor("maybe.example"), refused},
		{"none, optional wanted", "", requestFor("maybe.example"), refused},
		{"optional", "maybe.example", requestFor("maybe.example"), 200},
		{"a wildcard's name", "", requestFor("a.wild.example"), refused},
		{"a wildcard's name in capitals", "", requestFor("A.WILD.example."), refused},
		{"two names of a wildcard", "a.wild.example", requestFor("b.wild.example"), 200},
		{"certificates of another CA", secure, requestFor("a.wild.example"), refused},
		{"certificates of another CA, the other way", "a.wild.example", requestFor(secure), refused},
		{"more labels than a wildcard has", "", requestFor("a.b.wild.example"), 200},
		{"fewer labels than a wildcard has", "", requestFor("wild.example"), 200},
		{"the wildcard itself", "", requestFor("*.wild.example"), 400},

		{"HEAD", "", "HEAD / HTTP/1.1\r\nHost: secure.example\r\n\r\n", refused},
		{"a body", "", "POST / HTTP/1.1\r\nHost: secure.example\r\nContent-Length: 2\r\n\r\nhi", refused},
		{"a body that waits", "", "POST / HTTP/1.1\r\nHost: secure.example\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", refused},
		{"every path", "", "OPTIONS * HTTP/1.1\r\nHost: secure.example\r\n\r\n", refused},
		{"upgrade to h2c", "", "GET / HTTP/1.1\r\nHost: secure.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", refused},
		{"a WebSocket", "", "GET / HTTP/1.1\r\nHost: secure.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", refused},
		{"what was forwarded does not open", "", "GET / HTTP/1.1\r\nHost: secure.example\r\nX-Forwarded-Host: www.example\r\nForwarded: host=www.example\r\n\r\n", refused},
		{"what was forwarded does not close", "", "GET / HTTP/1.1\r\nHost: www.example\r\nX-Forwarded-Host: secure.example\r\nForwarded: host=secure.example\r\n\r\n", 200},
	}
	forEachTLSEngine(t, func(t *testing.T, options ...string) {
		g := startGuarded(t, options...)
		counts := map[int]int{}
		for _, test := range tests {
			counts[test.want]++
			if _, status := askAs(t, g.Addr(), g.client(test.sni), test.request); status != test.want {
				t.Errorf("%s: got %d, want %d", test.name, status, test.want)
			}
		}
		if got := g.Document().Engine.HTTP.Refused["misdirected"]; got != uint64(counts[refused]) {
			t.Errorf("refused as misdirected: got %d, want %d", got, counts[refused])
		}
		if got := g.served.Load(); got != int64(counts[200]) {
			t.Errorf("the backend has seen %d requests, want %d", got, counts[200])
		}
		for _, l := range awaitLog(t, g.log, len(tests)) {
			if (l.Cause == "misdirected") != (l.Status == refused) {
				t.Errorf("status %d and cause %q in the log", l.Status, l.Cause)
			}
		}
	})
}

// TestMisdirectedOnKeptConnection: a refused request does not end its connection, and is refused
// whatever was allowed before and after.
func TestMisdirectedOnKeptConnection(t *testing.T) {
	forEachTLSEngine(t, func(t *testing.T, options ...string) {
		g := startGuarded(t, options...)
		for _, test := range []struct {
			sni   string
			hosts []string
			want  []int
		}{
			{"", []string{"www.example", "secure.example", "WWW.example.", "maybe.example", "www.example"}, []int{200, 421, 200, 421, 200}},
			{"secure.example", []string{"secure.example", "www.example", "twin.example"}, []int{200, 421, 200}},
			{"a.wild.example", []string{"secure.example", "b.wild.example"}, []int{421, 200}},
		} {
			conn := harness.Connect(t, g.Addr(), g.client(test.sni))
			r := bufio.NewReader(conn)
			var got []int
			note := func() {
				a := harness.MustAnswer(t, r)
				if got = append(got, a.Status); a.Close {
					t.Errorf("SNI %q: the connection ends", test.sni)
				}
			}
			pipeline := ""
			for _, host := range test.hosts {
				pipeline += requestFor(host)
				io.WriteString(conn, requestFor(host))
				note()
			}
			io.WriteString(conn, pipeline)
			for range test.hosts {
				note()
			}
			if want := slices.Concat(test.want, test.want); !slices.Equal(got, want) {
				t.Errorf("SNI %q: got %v, want %v", test.sni, got, want)
			}
		}
	})
}

// TestMisdirectedAfterResumption: a resumed session stands for the policy of its first handshake,
// under its own name only.
func TestMisdirectedAfterResumption(t *testing.T) {
	forEachTLSEngine(t, func(t *testing.T, options ...string) {
		g := startGuarded(t, options...)
		harness.ForEachVersion(t, func(t *testing.T, version uint16) {
			for _, test := range []struct {
				sni, host string
				want      int
			}{
				{"secure.example", "secure.example", 200},
				{"secure.example", "twin.example", 200},
				{"secure.example", "www.example", 421},
				{"www.example", "www.example", 200},
				{"www.example", "secure.example", 421},
			} {
				w := new(harness.OneSession)
				config := harness.With(g.client(test.sni),
					func(c *tls.Config) { c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, w })
				for _, wantResumed := range []bool{false, true} {
					if resumed, status := askAs(t, g.Addr(), config, requestFor(test.host)); status != test.want ||
						resumed != wantResumed {
						t.Errorf("SNI %s, Host %s: got %d, resumed is %v, want %d and %v", test.sni, test.host, status, resumed, test.want, wantResumed)
					}
				}
				// Offering it under another name gives no access.
				other := harness.Offering(harness.With(config, func(c *tls.Config) { c.ServerName = "" }),
					w.Session)
				if _, status := askAs(t, g.Addr(), other, requestFor("secure.example")); status != 421 {
					t.Errorf("a session of %s without SNI: got %d, want 421", test.sni, status)
				}
			}
		})
	})
}

// TestMisdirectedCurl: curl gets 421.
func TestMisdirectedCurl(t *testing.T) {
	nettest.Need(t, "curl")
	g := startGuarded(t)
	_, port, _ := strings.Cut(g.Addr(), ":")
	curl := func(args ...string) string {
		args = append([]string{"--silent", "--insecure", "--max-time", "60", "--write-out", "%{http_code} ", "--output", "/dev/null"}, args...)
		return strings.TrimSpace(nettest.Run(t, nettest.Command{Path: "curl", Args: args}).Stdout)
	}
	cert := g.pki.Client("ours")
	if got := curl("--header", "Host: secure.example", "https://"+g.Addr()+"/"); got != "421" {
		t.Errorf("by address: got %s, want 421", got)
	}
	if got := curl("--cert", cert.CertFile, "--key", cert.KeyFile, "--resolve", "secure.example:"+port+":127.0.0.1", "https://secure.example:"+port+"/"); got != "200" {
		t.Errorf("by name: got %s, want 200", got)
	}
}

// TestRequestAfterReload: a connection does not outlive the policy of its handshake. Its client
// must reconnect and meet the new one.
func TestRequestAfterReload(t *testing.T) {
	forEachTLSEngine(t, func(t *testing.T, options ...string) {
		pki, otherPKI := testpki.New(t), testpki.New(t)
		cas := harness.WriteFile(t, "ca.pem", string(pki.CA.CertPEM()))
		s := harness.Start(t, append(options, harness.HTTPTo(harness.ServeName(t)),
			harness.HTTPS(pki.Server(testpki.ECDSA, "localhost"), "clientca=!"+cas))...)
		client := func(pki *testpki.PKI) *tls.Config {
			cert := pki.Client("somebody").TLS
			return &tls.Config{
				ServerName: "localhost", InsecureSkipVerify: true,
				GetClientCertificate: harness.Sends(&cert),
			}
		}
		conn := harness.Connect(t, s.Addr(), client(pki))
		r := bufio.NewReader(conn)
		ask := func() harness.Answer {
			io.WriteString(conn, requestFor("localhost"))
			return harness.MustAnswer(t, r)
		}
		reload := func(ca *testpki.PKI, times int) {
			if err := os.WriteFile(cas, ca.CA.CertPEM(), 0o600); err != nil {
				t.Fatal(err)
			}
			s.Signal(syscall.SIGHUP)
			nettest.Eventually(t, harness.Patience,
				func() bool { return strings.Count(s.Stderr(), "reloaded certificates") == times }, "reloaded")
		}
		if a := ask(); a.Status != 200 {
			t.Fatalf("got %d, want 200", a.Status)
		}
		reload(pki, 1)
		if a := ask(); a.Status != 200 || a.Close {
			t.Errorf("the same CA read again: got %d, the end is %v, want 200 and none", a.Status, a.Close)
		}
		reload(otherPKI, 2)
		// Loops change over one after the other, each between two events.
		nettest.Eventually(t, harness.Patience, func() bool {
			_, status := askAs(t, s.Addr(), client(otherPKI), requestFor("localhost"))
			return status == 200
		}, "the other CA is in force")
		if a := ask(); a.Status != 421 || !a.Close {
			t.Errorf("another CA: got %d, the end is %v, want 421 and the end", a.Status, a.Close)
		}
	})
}

// TestHTTP2Misdirected asks for other names on one HTTP/2 connection, as browsers do that
// coalesce: 421 is the stream's, and the connection goes on.
func TestHTTP2Misdirected(t *testing.T) {
	g := startGuarded(t)
	transport := &http.Transport{TLSClientConfig: g.client("www.example"), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: harness.Patience}
	for _, test := range []struct {
		host string
		want int
	}{
		{"www.example", 200}, {"secure.example", 421}, {"www.example", 200}, {"x.wild.example", 421}, {"www.example", 200},
	} {
		r, err := http.NewRequest("GET", "https://"+g.Addr()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = test.host
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.want || resp.ProtoMajor != 2 {
			t.Errorf("%s: got %s %s, want %d", test.host, resp.Proto, resp.Status, test.want)
		}
	}
	if got := g.served.Load(); got != 3 {
		t.Errorf("the backend saw %d requests, want 3", got)
	}
}
