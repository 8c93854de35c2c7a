package accesslog

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// hostile are texts with which a client may try to forge a log.
var hostile = []string{
	"", "-", `"`, `\`, "\n", "a\r\nb", `","status":200,"x":"`, `" 200 5 "-`, "\x00\x1b[2J\x7f",
	"\xff\xfe", "\xed\xa0\x80", "\u009b\u2028\u202e", "\U000e0001😀", `\u000a\x0a`,
}

// sent returns an entry with text in every field that a client controls.
func sent(text []byte) *Entry {
	e := request()
	e.ServerName, e.ALPN, e.ClientCert = string(text), string(text), string(text)
	e.Method, e.Target, e.Proto, e.Host, e.Referer, e.UserAgent = text, text, text, text, text, text
	return e
}

func checkOneLine(t *testing.T, line []byte) {
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		t.Fatalf("not one line: %q", line)
	}
	for _, r := range string(line[:len(line)-1]) {
		if !unicode.IsPrint(r) {
			t.Fatalf("%U in %q", r, line)
		}
	}
}

func members(t *testing.T, line []byte) (m map[string]any) {
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	return m
}

// FuzzJSON: each entry is one line of printable characters, in which encoding/json finds exactly
// the members written, with the text that was sent.
func FuzzJSON(f *testing.F) {
	for _, s := range hostile {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		line := appendJSON(nil, sent(text))
		checkOneLine(t, line)
		got := members(t, line)
		want := string([]rune(string(text))) // each byte that is not UTF-8 becomes U+FFFD
		for _, key := range []string{"sni", "alpn", "client_cert", "method", "target", "proto", "host", "referer", "user_agent"} {
			value, _ := got[key].(string)
			if head, cut := strings.CutSuffix(value, ellipsis); value != want &&
				!(cut && strings.HasPrefix(want, head)) {
				t.Fatalf("%s: got %q, want %q", key, value, want)
			}
			delete(got, key)
		}
		if rest := members(t, appendJSON(nil, sent(nil))); !maps.Equal(got, rest) {
			t.Fatalf("other members: got %v, want %v", got, rest)
		}
	})
}

var combinedLine = func() *regexp.Regexp {
	const quoted = `"((?:[^"\\]|\\.)*)"`
	return regexp.MustCompile(`^2001:db8::1 - - \[[^]]+\] ` + quoted + ` 502 2000 ` + quoted + ` ` + quoted +
		` tls="TLSv1.3" cipher="\w+" resumed="pushed" sni=` + quoted +
		` backend="127.0.0.1:9000" cause="backend_reset" reason="no answer" handshake=\S+ connect=\S+ first_byte=\S+ total=\S+\n$`)
}()

// FuzzCombined: each entry is one line of printable ASCII, with as many fields as any other, which
// hold the text that was sent.
func FuzzCombined(f *testing.F) {
	for _, s := range hostile {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		line := appendCombined(nil, sent(text))
		checkOneLine(t, line)
		fields := combinedLine.FindSubmatch(line)
		if fields == nil {
			t.Fatalf("fields are missing or wrong: %q", line)
		}
		want := string(text)
		if want == "" {
			want = "-"
		}
		for _, field := range fields[2:] { // without the request
			got, err := strconv.Unquote(`"` + string(field) + `"`)
			if err != nil {
				t.Fatalf("%v: %q", err, field)
			}
			if head, cut := strings.CutSuffix(got, ellipsis); got != want &&
				!(cut && strings.HasPrefix(want, head)) {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	})
}
