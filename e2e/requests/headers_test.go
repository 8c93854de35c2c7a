package requests

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestHeaderRulesOfUWSGI: rules reach an application as variables, and only they.
func TestHeaderRulesOfUWSGI(t *testing.T) {
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(harness.StartUWSGI(t, harness.EchoApplication)),
		"--request-header", "set X-Edge: ${SSL_PROTOCOL}, ${SSL_SERVER_NAME}", "--request-header", "set X-Client-DN: ${SSL_CLIENT_S_DN}",
		"--request-header", "add Via: 1.1 edge", "--request-header", "remove X-Debug")
	env := harness.AskUWSGI(t, harness.HTTPClient(t, harness.ClientConfig(pki), nil), "GET", "https://"+s.Addr()+"/",
		nil,
		"X-Edge", "spoofed", "X-Client-DN", "CN=root", "X-Debug", "1", "X-Other", "2", "Via", "1.0 a", "X-Real-IP", "192.0.2.1")
	for key, want := range map[string]string{
		"HTTP_X_EDGE": "TLSv1.3, localhost", "HTTP_X_CLIENT_DN": "", "HTTP_X_DEBUG": "", "HTTP_X_OTHER": "2", "HTTP_VIA": "1.0 a, 1.1 edge", "HTTP_X_REAL_IP": "",
	} {
		if got, found := env[key]; got != want || found != (want != "") {
			t.Errorf("%s: got %q, %t, want %q", key, got, found, want)
		}
	}
}

// TestRequestIDs: each request has its own, on kept connections and new ones.
func TestRequestIDs(t *testing.T) {
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter,
		r *http.Request,
	) {
		io.WriteString(w, r.Header.Get("X-Request-ID"))
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend), "--request-header", "set X-Request-ID: ${REQUEST_ID}", "--response-header", "set X-Request-ID: ${REQUEST_ID}")
	seen := make(map[string]bool)
	for range 5 {
		client := harness.HTTPClient(t, harness.ClientConfig(pki), nil)
		for range 5 {
			resp, body, err := harness.Fetch(client, "GET", "https://"+s.Addr()+"/", nil)
			if err != nil || len(body) != 32 || resp.Header.Get("X-Request-ID") != body || seen[body] {
				t.Fatalf("got %q and %v, %v", body, resp.Header, err)
			}
			seen[body] = true
		}
	}
}

// TestDate: a final response has one Date, the backend's if there is one (RFC 9110,
// Section 6.6.1).
func TestDate(t *testing.T) {
	app := harness.StartUWSGI(t, `
def application(env, start_response):
    start_response("200 OK", [("Date", "x")] if env["PATH_INFO"] == "/dated" else [])
    return [b"page"]
`)
	s, pki := harness.StartHTTPS(t, harness.UWSGITo(app))
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	io.WriteString(conn, "GET /dated HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET bad HTTP/1.1\r\nHost: a\r\n\r\n")
	all := harness.Answers(t, conn)
	if len(all) != 3 || all[2].Status != 400 {
		t.Fatalf("got %+v", all)
	}
	for i, a := range all {
		dates := a.Header.Values("Date")
		if i == 0 {
			if !slices.Equal(dates, []string{"x"}) {
				t.Errorf("the application's became %q", dates)
			}
			continue
		}
		if len(dates) != 1 {
			t.Fatalf("answer %d: got %q, want one", i, dates)
		}
		date, err := http.ParseTime(dates[0])
		if age := time.Since(date); err != nil || age < -2*time.Second || age > time.Minute {
			t.Errorf("answer %d: got %q, %v, %v ago", i, dates[0], err, age)
		}
	}
}

// TestHTTP10WithoutHost: real servers answer a request without Host, which they get as one of
// HTTP/1.1.
func TestHTTP10WithoutHost(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, addr string){
		"nginx": func(t *testing.T, addr string) { harness.StartNginx(t, addr, `location / { return 200 "page\n"; }`) },
		"haproxy": func(t *testing.T, addr string) {
			harness.StartHAProxy(t, addr, "frontend f\n mode http\n bind "+addr+"\n http-request return status 200 content-type text/plain string page\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			addr := nettest.FreeAddr(t)
			start(t, addr)
			s, pki := harness.StartHTTPS(t, harness.HTTPTo(addr))
			conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
			io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			if all := harness.Answers(t, conn); len(all) != 1 || all[0].Status != 200 {
				t.Errorf("got %+v", all)
			}
		})
	}
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s, %s", r.Host, r.Header.Get("X-Forwarded-Host"))
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend))
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	if all := harness.Answers(t, conn); len(all) != 1 || all[0].Body != "localhost, " {
		t.Errorf("got %+v, want the name in the handshake", all)
	}
}

// TestOneOfWhatIsAdded: add-header and hsts are in every response, also in our own, and replace the
// backend's field, except those of which there may be several.
func TestOneOfWhatIsAdded(t *testing.T) {
	backend := harness.ServeHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Strict-Transport-Security": "max-age=0", "X-Frame-Options": "ALLOWALL", "Set-Cookie": "a=b", "Vary": "Cookie", "X-Two": "0",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(404)
	})
	s, pki := harness.StartHTTPS(t, harness.HTTPTo(backend), "--hsts=300;includeSubDomains", "--add-header", "X-Frame-Options: DENY", "--add-header", "Set-Cookie: c=d",
		"--add-header", "Vary: Accept", "--add-header", "X-Two: a: b", "--add-header", "X-Two: 2")
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	io.WriteString(conn, get+"\r\nGET bad HTTP/1.1\r\nHost: a\r\n\r\n")
	all := harness.Answers(t, conn)
	if len(all) != 2 || all[0].Status != 404 || all[1].Status != 400 {
		t.Fatalf("got %+v, want 404 and 400", all)
	}
	for name, want := range map[string][2][]string{
		"Strict-Transport-Security": {{"max-age=300; includeSubDomains"}, {"max-age=300; includeSubDomains"}},
		"X-Frame-Options":           {{"DENY"}, {"DENY"}},
		"X-Two":                     {{"a: b", "2"}, {"a: b", "2"}},
		"Set-Cookie":                {{"a=b", "c=d"}, {"c=d"}},
		"Vary":                      {{"Cookie", "Accept"}, {"Accept"}},
	} {
		for i, a := range all {
			if got := a.Header.Values(name); !slices.Equal(got, want[i]) {
				t.Errorf("%d, %s: got %q, want %q", a.Status, name, got, want[i])
			}
		}
	}
}
