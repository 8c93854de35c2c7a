package http1

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// rules reads each rule as an operator writes it.
func rules(t testing.TB, texts ...string) *Rules {
	t.Helper()
	r, err := NewRules(ruleList(texts...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ruleList(texts ...string) (list []Rule) {
	for _, text := range texts {
		op, rest, _ := strings.Cut(text, " ")
		name, value, _ := strings.Cut(rest, ": ")
		list = append(list, Rule{map[string]Op{"set": Set, "add": Add, "remove": Remove}[op], name, value})
	}
	return list
}

// someFacts are about a client whose names are chosen to do harm.
var someFacts = Facts{
	Client: netip.MustParseAddrPort("[2001:db8::1%eth0]:1234"), Protocol: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ServerName: "a.test",
	Resumed: true, Subject: `CN=a\, b\\ \+c\0D\0AX-Evil: 1,O=Acmé\ `, Issuer: "CN=\r\nX-Evil: 1\x00", Serial: "0A", Fingerprint: "ab12",
	ID: [12]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
}

// TestVariables checks the value of each variable, with and without TLS.
func TestVariables(t *testing.T) {
	plain := Facts{Client: netip.MustParseAddrPort("192.0.2.1:80")}
	for name, want := range map[string][2]string{
		"REMOTE_ADDR": {"2001:db8::1", "192.0.2.1"}, "REMOTE_PORT": {"1234", "80"},
		"SSL_PROTOCOL": {"TLSv1.3", ""}, "SSL_CIPHER": {"TLS_AES_128_GCM_SHA256", ""}, "SSL_SERVER_NAME": {"a.test", ""},
		"SSL_SESSION_RESUMED": {"Resumed", ""}, "SSL_CLIENT_VERIFY": {"SUCCESS", ""},
		"SSL_CLIENT_S_DN": {`CN=a\, b\\ \+c\0D\0AX-Evil: 1,O=Acm\C3\A9\20`, ""}, "SSL_CLIENT_I_DN": {`CN=\0D\0AX-Evil: 1\00`, ""},
		"SSL_CLIENT_M_SERIAL": {"0A", ""}, "SSL_CLIENT_FINGERPRINT": {"ab12", ""},
		"REQUEST_ID": {"0102030405060708090a0b0c0000000b", "00000000000000000000000" + "00000000b"},
	} {
		r := rules(t, "set X: ${"+name+"}")
		for i, f := range []*Facts{&someFacts, &plain} {
			if got := string(r.AppendValue(nil, 0, f, 11)); got != want[i] {
				t.Errorf("%s: got %q, want %q", name, got, want[i])
			}
		}
	}
	for name := range variables {
		if got := rules(t, "set X: a${"+name+"}b").AppendValue(nil, 0, &Facts{}, 0); !strings.HasPrefix(string(got), "a") ||
			!strings.HasSuffix(string(got), "b") {
			t.Errorf("%s without anything known: got %q", name, got)
		}
	}
	r := rules(t, "set X: ${SSL_CLIENT_VERIFY} ${SSL_SESSION_RESUMED}")
	if got := string(r.AppendValue(nil, 0, &Facts{Protocol: "TLSv1.2"}, 0)); got != "NONE Initial" {
		t.Errorf("got %q", got)
	}
}

// TestRequestRules checks what a backend gets once rules have been applied.
func TestRequestRules(t *testing.T) {
	const told = "X-Forwarded-Proto: http|Forwarded: for=unknown;proto=http|"
	for _, tc := range []struct {
		name  string
		rules []string
		head  string // fields; lines end in "|"
		want  string
	}{
		{"set", []string{"set X-A: 1"}, "", told + "X-A: 1|"},
		{"set over the client's", []string{"set X-A: 1"}, "X-A: 0|x-a: 0|X-B: 2|", "X-B: 2|" + told + "X-A: 1|"},
		{"set over what is taken for it", []string{"set X-A: 1"}, "X_A: 0|X.a: 0|x!A: 0|X-AB: 2|XA: 3|", "X-AB: 2|XA: 3|" + told + "X-A: 1|"},
		{"set by a name with an underscore", []string{"set X_A: 1"}, "X-A: 0|X_A: 0|", told + "X_A: 1|"},
		{"add", []string{"add Via: 1.1 us"}, "Via: 1.0 a|", "Via: 1.0 a|" + told + "Via: 1.1 us|"},
		{"remove", []string{"remove Accept-Encoding"}, "Accept-Encoding: gzip|accept_encoding: br|Accept: a|", "Accept: a|" + told},
		{"in order", []string{"set X-A: 1", "add X-A: 2", "set X-B: 3", "remove X_B", "set X-C: 4", "set x-c: 5"}, "X-B: 0|", told + "X-A: 1|X-A: 2|x-c: 5|"},
		{"variables", []string{"set X-A: a ${SSL_PROTOCOL}/${SSL_CIPHER}${SSL_SERVER_NAME} $ {x}"}, "", told + "X-A: a TLSv1.3/TLS_AES_128_GCM_SHA256a.test $ {x}|"},
		{"nothing to say", []string{"set X-A: ${REMOTE_ADDR}"}, "X-A: 0|", told},
		{"what names the client", []string{"set X-Real-IP: ${SSL_SERVER_NAME}", "set X-SSL-Client-CN: ${SSL_CLIENT_FINGERPRINT}"}, "X-Real-IP: 0|X-SSL-Client-CN: 0|", told + "X-Real-IP: a.test|X-SSL-Client-CN: ab12|"},
		{"forwarded otherwise", []string{"set X-Forwarded-Proto: wss", "remove Forwarded"}, "X-Forwarded-Proto: 0|", "X-Forwarded-Proto: wss|"},
		{"named by Connection", []string{"set X-A: 1", "add X-B: 2"}, "Connection: X-A, X-B|X-A: 0|X-B: 0|", told + "X-A: 1|X-B: 2|"},
		{"long name", []string{"set " + strings.Repeat("x", 80) + ": 1", "remove " + strings.Repeat("y", 63)}, strings.Repeat("X", 80) + ": 0|" +
			strings.Repeat("y", 63) + ": 0|" + strings.Repeat("y", 64) + ": 2|", strings.Repeat("y", 64) + ": 2|" + told +
			strings.Repeat("x", 80) + ": 1|"},
	} {
		for _, trusted := range []bool{false, true} {
			t.Run(tc.name, func(t *testing.T) {
				facts := someFacts
				facts.Client = netip.AddrPort{}
				var r Request
				if err := r.Parse(lines("GET / HTTP/1.0|"+tc.head+"|"), &testLimits); err != nil {
					t.Fatal(describeError(err))
				}
				got := string(AppendRequest(nil, &r,
					&Forward{
						Host: "us", Trusted: trusted, KeepAlive: true, Rules: rules(t, tc.rules...),
						Facts: &facts,
					}))
				if want := string(lines("GET / HTTP/1.1|Host: us|" + tc.want + "|")); got != want {
					t.Errorf("trusted %t: got  %q\nwant %q", trusted, got, want)
				}
			})
		}
	}
}

// TestResponseRules checks what a client gets once rules have been applied.
func TestResponseRules(t *testing.T) {
	const sts = "set Strict-Transport-Security: max-age=1"
	for _, tc := range []struct {
		name  string
		rules []string
		head  string // lines end in "|"
		want  string
	}{
		{"one Strict-Transport-Security", []string{sts}, "HTTP/1.1 200 OK|Strict-Transport-Security: max-age=0|strict-transport-security: a|Content-Length: 0|", "HTTP/1.1 200 OK|Date: d|Content-Length: 0|Strict-Transport-Security: max-age=1|"},
		{"dated", []string{sts}, "HTTP/1.1 200 OK|date: x|Content-Length: 0|", "HTTP/1.1 200 OK|date: x|Content-Length: 0|Strict-Transport-Security: max-age=1|"},
		{"date by rule", []string{"set Date: y"}, "HTTP/1.1 200 OK|date: x|Content-Length: 0|", "HTTP/1.1 200 OK|Content-Length: 0|Date: y|"},
		{"no date", []string{"remove Date"}, "HTTP/1.1 200 OK|date: x|Content-Length: 0|", "HTTP/1.1 200 OK|Content-Length: 0|"},
		{"remove", []string{"remove Server", "remove X-Powered-By"}, "HTTP/1.1 204 No Content|Server: a|X-Powered-By: b|", "HTTP/1.1 204 No Content|Date: d|"},
		{"several cookies", []string{"add Set-Cookie: c"}, "HTTP/1.1 200 OK|Set-Cookie: a|Set-Cookie: b|Content-Length: 0|", "HTTP/1.1 200 OK|Set-Cookie: a|Set-Cookie: b|Date: d|Content-Length: 0|Set-Cookie: c|"},
		{"interim", []string{"set X-A: 1", "remove Link"}, "HTTP/1.1 103 Early Hints|Link: a|X-A: 0|X-B: 2|", "HTTP/1.1 103 Early Hints|X-B: 2|"},
		{"switch", []string{"set X-A: 1"}, "HTTP/1.1 101 Switching Protocols|Connection: upgrade|Upgrade: websocket|X-A: 0|", "HTTP/1.1 101 Switching Protocols|X-A: 1|Connection: Upgrade|Upgrade: websocket|"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r Response
			if err := r.Parse(lines(tc.head+"|"), []byte("GET"), &testLimits); err != nil {
				t.Fatal(describeError(err))
			}
			out := Outgoing{
				Minor: 1, Framing: r.Framing, Length: r.Length, Date: lines("Date: d|"),
				Rules: rules(t, tc.rules...),
			}
			if got, want := string(AppendResponse(nil, &r, &out)), string(lines(tc.want+"|")); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
	out := Outgoing{Minor: 1, Date: lines("Date: d|"), Rules: rules(t, "set Content-Type: text/html", sts)}
	response, _ := readBack(t, AppendError(nil, 404, &out), "GET")
	if h := response.Header; len(h["Content-Type"]) != 1 || h.Get("Content-Type") != "text/html" || len(h["Strict-Transport-Security"]) != 1 || h.Get("Date") != "d" {
		t.Errorf("an answer of our own has %v", h)
	}
}

// TestRulesInTrailers: a field that rules drop from a head is dropped from a trailer too.
func TestRulesInTrailers(t *testing.T) {
	var b Body
	b.Start(Chunked, 0, &testLimits)
	b.Without(rules(t, "set X-A: 1", "remove X-B", "add X-C: 1"))
	const body = "0\r\nX-A: 0\r\nx_b: 0\r\nX-C: 0\r\nX-D: 0\r\n\r\n"
	if got, want := readStarted(&b, body, func() int { return 1 }), "|X-C: 0\r\nX-D: 0\r\n|"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBadRules(t *testing.T) {
	for _, text := range []string{
		"set Host: a", "set Connection: close", "add Transfer-Encoding: chunked", "remove Content-Length", "set Upgrade: a", "set Keep-Alive: a", "set TE: a",
		"set Expect: a", "set Proxy: a", "set Proxy-Connection: a", "set Content_Length: 1", "set X_Forwarded_For: 1", "set X A: 1", "set : 1", "set X\r: 1",
		"set X: a\r\nY: b", "set X: a\nb", "set X: a\x00", "add X: \x7f", "set X: ${NOTHING}", "set X: ${}", "set X: ${REMOTE_ADDR", "set X: ${REMOTE_ADDR}\n${REMOTE_PORT}",
	} {
		if r, err := NewRules(ruleList(text)); err == nil {
			t.Errorf("%q: got %v, want an error", text, r)
		}
	}
	if r, err := NewRules(nil); r != nil || err != nil || r.Len() != 0 || r.Drops([]byte("X")) {
		t.Errorf("got %v, %v for no rules", r, err)
	}
}

func TestClock(t *testing.T) {
	var c Clock
	now := time.Date(1994, 11, 6, 8, 49, 37, 999, time.FixedZone("", 3600))
	first := c.Line(now)
	if want := "Date: Sun, 06 Nov 1994 07:49:37 GMT\r\n"; string(first) != want {
		t.Errorf("got %q, want %q", first, want)
	}
	if _, err := http.ParseTime(string(first[6 : len(first)-2])); err != nil {
		t.Error(err)
	}
	if again := c.Line(now.Add(999 * time.Millisecond)); &again[0] != &first[0] ||
		string(again) != string(first) {
		t.Errorf("the same second gives %q", again)
	}
	if want := "Date: Sun, 06 Nov 1994 07:49:38 GMT\r\n"; string(c.Line(now.Add(time.Second))) != want {
		t.Errorf("the next second gives %q", c.line)
	}
}
