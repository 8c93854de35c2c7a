package accesslog

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

var started = time.Date(2026, 11, 22, 21, 48, 0, 123456789, time.FixedZone("", 3600))

// request returns an entry with every field set.
func request() *Entry {
	return &Entry{
		Time: started, Client: netip.MustParseAddrPort("[2001:db8::1]:4711"), Listener: ":443", Router: "https",
		TLSVersion: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ServerName: "www.example", ALPN: "http/1.1",
		Resumed: "pushed", Outcome: "resumed_pushed", ClientCert: "Alice",
		Method: []byte("GET"), Target: []byte("/a?b=c"), Proto: []byte("HTTP/1.1"), Host: []byte("www.example"),
		Referer: []byte("https://r.example/"), UserAgent: []byte("curl/8"), Status: 502,
		Backend: "127.0.0.1:9000", Retries: 1, KeptAlive: true, Cause: "backend_reset", Reason: "no answer", Request: 2,
		BytesIn: 10, BytesOut: 2000,
		Handshake: 1500 * time.Microsecond, Connect: 20 * time.Microsecond, FirstByte: time.Second,
		Total: 61*time.Second + 42*time.Microsecond,
	}
}

// connection returns an entry with few fields set.
func connection() *Entry {
	return &Entry{Time: started, Listener: "/run/reprise", BytesIn: 1, Total: time.Millisecond}
}

func TestFormats(t *testing.T) {
	for _, test := range []struct {
		name   string
		format func([]byte, *Entry) []byte
		entry  *Entry
		want   []string // the line, in parts
	}{
		{"a request as JSON", appendJSON, request(), []string{
			`{"time":"2026-11-22T20:48:00.123456Z","client":"[2001:db8::1]:4711","listener":":443","router":"https",`,
			`"tls":"TLSv1.3","cipher":"TLS_AES_128_GCM_SHA256","sni":"www.example","alpn":"http/1.1",`,
			`"resumed":"pushed","outcome":"resumed_pushed","client_cert":"Alice",`,
			`"method":"GET","target":"/a?b=c","proto":"HTTP/1.1","host":"www.example","status":502,`,
			`"referer":"https://r.example/","user_agent":"curl/8",`,
			`"backend":"127.0.0.1:9000","retries":1,"kept_alive":true,"cause":"backend_reset","reason":"no answer",`,
			`"request":2,"bytes_in":10,"bytes_out":2000,`,
			`"handshake":0.001500,"connect":0.000020,"first_byte":1.000000,"total":61.000042}`,
		}},
		{"a connection as JSON", appendJSON, connection(), []string{
			`{"time":"2026-11-22T20:48:00.123456Z","listener":"/run/reprise","bytes_in":1,"bytes_out":0,"total":0.001000}`,
		}},
		{"a request as Combined", appendCombined, request(), []string{
			`2001:db8::1 - - [22/Nov/2026:21:48:00 +0100] "GET /a?b=c HTTP/1.1" 502 2000 "https://r.example/" "curl/8"`,
			` tls="TLSv1.3" cipher="TLS_AES_128_GCM_SHA256" resumed="pushed" sni="www.example"`,
			` backend="127.0.0.1:9000" cause="backend_reset" reason="no answer"`,
			` handshake=0.001500 connect=0.000020 first_byte=1.000000 total=61.000042`,
		}},
		{"a connection as Combined", appendCombined, connection(), []string{
			`- - - [22/Nov/2026:21:48:00 +0100] "-" - - "-" "-"`,
			` tls="-" cipher="-" resumed="-" sni="-" backend="-" cause="-" reason="-" handshake=- connect=- first_byte=- total=0.001000`,
		}},
	} {
		if got, want := string(test.format(nil, test.entry)), strings.Join(test.want, "")+"\n"; got != want {
			t.Errorf("%s:\ngot  %swant %s", test.name, got, want)
		}
	}
}

func TestEscapes(t *testing.T) {
	for _, test := range []struct {
		name, text, json, apache string
	}{
		{"plain", "abc ~", "abc ~", "abc ~"},
		{"quote and backslash", `"\`, `\"\\`, `\"\\`},
		{"a line of its own", "a\r\n{}", `a\u000d\u000a{}`, `a\r\n{}`},
		{"C escapes", "\b\t\v", `\u0008\u0009\u000b`, `\b\t\v`},
		{"NUL, form feed, escape, delete", "\x00\f\x1b\x7f", `\u0000\u000c\u001b\u007f`, `\x00\x0c\x1b\x7f`},
		{"UTF-8", "é€😀", "é€😀", `\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80`},
		{"a terminal's command in one character", "\u009b", `\u009b`, `\xc2\x9b`},
		{"line separator, right to left", "\u2028\u202e", `\u2028\u202e`, `\xe2\x80\xa8\xe2\x80\xae`},
		{"unprintable beyond 16 bits", "\U000e0001", `\udb40\udc01`, `\xf3\xa0\x80\x81`},
		{"not UTF-8", "a\xffb\xc3", "a\ufffdb\ufffd", `a\xffb\xc3`},
		{"a surrogate", "\xed\xa0\x80", "\ufffd\ufffd\ufffd", `\xed\xa0\x80`},
	} {
		if got := string(escapeJSON(nil, test.text)); got != test.json {
			t.Errorf("%s as JSON: got %s, want %s", test.name, got, test.json)
		}
		if got := string(escapeApache(nil, []byte(test.text))); got != test.apache {
			t.Errorf("%s as Apache has it: got %s, want %s", test.name, got, test.apache)
		}
	}
}

// A line is not much longer than maxText for each text, whatever a client sends.
func TestLongTextsAreCut(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"plain", strings.Repeat("a", 2*maxText)},
		{"all escaped", strings.Repeat("\x00", maxText)},
		{"characters of two escapes", strings.Repeat("\U000e0001", maxText)},
	} {
		for name, got := range map[string][]byte{
			"JSON":     escapeJSON(nil, test.text),
			"Combined": escapeApache(nil, test.text),
		} {
			const longest = len(`\udb40\udc01`) + len(ellipsis)
			if len(got) < maxText || len(got) > maxText+longest ||
				!strings.HasSuffix(string(got), ellipsis) {
				t.Errorf("%s in %s: got %d bytes that end in %q", test.name, name, len(got), got[len(got)-3:])
			}
		}
	}
	whole := strings.Repeat("a", maxText)
	if got := string(escapeJSON(nil, whole)); got != whole {
		t.Errorf("a text of %d bytes was cut to %d", len(whole), len(got))
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1:                                "0.000000",
		999_999:                          "0.000999",
		time.Second - 1:                  "0.999999",
		100*time.Hour + 5*time.Second/10: "360000.500000",
		-time.Second:                     "0.000000",
	} {
		if got := string(appendSeconds(nil, d)); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestFailed(t *testing.T) {
	for _, test := range []struct {
		name  string
		entry Entry
		want  bool
	}{
		{"an answer", Entry{Status: 404}, false},
		{"the backend's error", Entry{Status: 500}, true},
		{"an answer that broke off", Entry{Status: 200, Cause: "client_gone"}, true},
		{"a connection", Entry{}, false},
		{"a connection that broke off", Entry{Cause: "truncated"}, true},
	} {
		if got := test.entry.Failed(); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
