package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// maxFuzzLen is below net/http's limit on chunk overhead, which is relative to the data there and
// absolute here.
const maxFuzzLen = 4096

var fuzzLimits = Limits{
	HeadLen: 3 * maxFuzzLen, TargetLen: maxFuzzLen, FieldLen: maxFuzzLen,
	TrailerLen: maxFuzzLen,
}

// FuzzRequest compares accepted requests, and what is passed on of them, with net/http's reading.
func FuzzRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) <= maxFuzzLen {
			checkRequest(t, p)
		}
	})
}

// checkRequest reports whether p starts with an acceptable request.
func checkRequest(t *testing.T, p []byte) bool {
	var r Request
	n := HeadLen(p, 0)
	if n == 0 || r.Parse(p[:n], &fuzzLimits) != nil {
		return false
	}
	body := readWhole((*Body).Start, r.Framing, r.Length, p[n:])
	compareRequest(t, &r, body, skipEmptyLine(p), string(r.Target))
	if r.Host == nil {
		return true // it is passed on with a Host of ours
	}
	for _, trusted := range []bool{false, true} {
		forward := Forward{
			Client: netip.MustParseAddrPort("[2001:db8::1]:1"), Secure: true, ListenPort: 443,
			Trusted: trusted, KeepAlive: true,
		}
		sent := AppendRequest(nil, &r, &forward)
		var again Request
		if err := again.Parse(sent, &fuzzLimits); err != nil || HeadLen(sent, 0) != len(sent) {
			t.Fatalf("%q is passed on as %q: %v", p[:n], sent, err)
		}
		compareForwarded(t, &r, &again)
		compareRequest(t, &again, body, append(sent, p[n:]...), string(appendTarget(nil, &r)))
	}
	checkRules(t, &r, p)
	return true
}

// checkRules applies rules about a client whose certificate contains p, and checks that each field
// they write is there once with its value.
func checkRules(t *testing.T, r *Request, p []byte) {
	t.Helper()
	facts := Facts{Protocol: "TLSv1.3", ServerName: string(p), Subject: string(p)}
	forward := Forward{Trusted: true, Rules: rules(t, "set X-A: <${SSL_CLIENT_S_DN}>", "set X-Real-IP: <${SSL_SERVER_NAME}>", "remove Cookie"), Facts: &facts}
	var again Request
	limits := fuzzLimits
	limits.HeadLen *= 3 // each escaped byte becomes three
	if err := again.Parse(AppendRequest(nil, r, &forward), &limits); err != nil {
		t.Fatalf("with rules %+v is passed on wrongly: %v", r, err)
	}
	count := 0
	for _, f := range again.Fields {
		switch name := strings.Map(lettersAndDigits, strings.ToLower(string(f.Name))); name {
		case "x-a", "x-real-ip":
			count++
			if want := "<" + string(appendPrintable(nil, string(p))) + ">"; string(f.Value) != want {
				t.Errorf("%s: got %q, want %q", name, f.Value, want)
			}
		case "cookie":
			t.Errorf("%s is passed on", f.Name)
		}
	}
	if count != 2 {
		t.Errorf("%d fields of the rules', want 2", count)
	}
}

// lettersAndDigits turns all other runes into hyphens.
func lettersAndDigits(r rune) rune {
	if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
		return r
	}
	return '-'
}

// wholeBody is the result of a complete body.
type wholeBody struct {
	data     []byte
	rest     []byte // what follows it
	complete bool
}

func readWhole(start func(*Body, Framing, int64, *Limits), f Framing, length int64,
	p []byte,
) (w wholeBody) {
	var b Body
	start(&b, f, length, &fuzzLimits)
	for len(p) > 0 && !b.Done() {
		data, n, err := b.Next(p)
		if err != nil {
			return wholeBody{}
		}
		w.data, p = append(w.data, data...), p[n:]
	}
	w.rest, w.complete = p, b.End() == nil
	return w
}

// compareRequest has net/http read input, which was parsed as r.
func compareRequest(t *testing.T, r *Request, body wholeBody, input []byte, target string) {
	t.Helper()
	in := bufio.NewReaderSize(bytes.NewReader(input), len(input)+16)
	want, err := http.ReadRequest(in)
	if err != nil {
		if !pickier(err) {
			t.Fatalf("%q: net/http says %v", input, err)
		}
		return
	}
	if string(r.Method) != want.Method || target != want.RequestURI ||
		r.Minor != min(want.ProtoMinor, 1) || string(r.Host) != want.Host {
		t.Errorf("%q: got %q %q %q, want %q %q %q", input, r.Method, target, r.Host, want.Method, want.RequestURI, want.Host)
	}
	if got := statedLength(r.Framing, r.Length); got != want.ContentLength ||
		r.KeepAlive == want.Close {
		t.Errorf("%q: got length %d, keep-alive %t, want %d, close %t", input, got, r.KeepAlive, want.ContentLength, want.Close)
	}
	compareFields(t, r.Fields, want.Header)
	compareBody(t, body, want.Body, in)
}

// pickier reports whether an error of net/http is about something a gateway leaves to others:
// percent signs, the numbers in an IPv6 address, and a Trailer field that announces what will be
// dropped from the trailer.
func pickier(err error) bool {
	var target *url.Error
	return errors.As(err, &target) || strings.Contains(err.Error(), "bad trailer key")
}

func statedLength(f Framing, length int64) int64 {
	switch f {
	case Chunked, UntilClose:
		return -1
	case ByLength:
		return length
	}
	return 0
}

// compareFields compares all fields except those that net/http removes or adds.
func compareFields(t *testing.T, fields []Field, want http.Header) {
	t.Helper()
	got := make(http.Header)
	for _, f := range fields {
		key := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		got[key] = append(got[key], string(f.Value))
	}
	for key := range got {
		switch key {
		case "Host", "Transfer-Encoding", "Trailer", "Content-Length", "Connection":
		default:
			if !slices.Equal(got[key], want[key]) {
				t.Errorf("%s: got %q, want %q", key, got[key], want[key])
			}
		}
	}
}

func compareBody(t *testing.T, got wholeBody, want io.Reader, in *bufio.Reader) {
	t.Helper()
	if !got.complete {
		return
	}
	data, err := io.ReadAll(want)
	rest, _ := io.ReadAll(in)
	if err != nil || !bytes.Equal(got.data, data) || !bytes.Equal(got.rest, rest) {
		t.Errorf("got body %q and then %q, want %q and %q, %v", got.data, got.rest, data, rest, err)
	}
}

// compareForwarded compares a request with its form for a backend.
func compareForwarded(t *testing.T, r, again *Request) {
	t.Helper()
	if !bytes.Equal(r.Method, again.Method) || !bytes.Equal(r.Path, again.Path) ||
		!bytes.Equal(r.Query, again.Query) ||
		!bytes.Equal(r.Host, again.Host) || !bytes.Equal(r.Upgrade, again.Upgrade) {
		t.Errorf("got %+v, want %+v", again, r)
	}
	if r.Framing != again.Framing || r.Length != again.Length || r.Expect100 != again.Expect100 ||
		!again.KeepAlive || again.Minor != 1 {
		t.Errorf("got %+v, want %+v", again, r)
	}
	if got, want := endToEnd(again.Fields), endToEnd(r.Fields); !slices.Equal(got, want) {
		t.Errorf("got fields %q, want %q", got, want)
	}
	for _, f := range again.Fields {
		written := f.kind == transferEncoding || f.kind == trailer || r.Upgrade != nil &&
			(f.kind == connection || f.kind == upgrade)
		if f.HopByHop() && !written {
			t.Errorf("%q was passed on", f.Name)
		}
	}
}

func endToEnd(fields []Field) (lines []string) {
	for _, f := range fields {
		if (f.kind == other || f.kind == date) && !f.hop {
			lines = append(lines, string(f.Name)+": "+string(f.Value))
		}
	}
	return lines
}

// FuzzResponse compares accepted responses of a backend, and what is passed on of them, with
// net/http's reading.
func FuzzResponse(f *testing.F) {
	f.Fuzz(func(t *testing.T, p []byte, isHead bool) {
		if len(p) <= maxFuzzLen {
			checkResponse(t, p, isHead)
		}
	})
}

// checkResponse reports whether p starts with an acceptable response.
func checkResponse(t *testing.T, p []byte, isHead bool) bool {
	method := "GET"
	if isHead {
		method = "HEAD"
	}
	var r Response
	n := HeadLen(p, 0)
	if n == 0 || r.Parse(p[:n], []byte(method), &fuzzLimits) != nil {
		return false
	}
	body := readWhole((*Body).StartResponse, r.Framing, r.Length, p[n:])
	compareResponse(t, &r, body, p, method)

	out := Outgoing{Close: r.Framing == UntilClose, Minor: 1, Framing: r.Framing, Length: r.Length}
	sent := AppendResponse(nil, &r, &out)
	var again Response
	if err := again.Parse(sent, []byte(method), &fuzzLimits); err != nil ||
		HeadLen(sent, 0) != len(sent) {
		t.Fatalf("%q is passed on as %q: %v", p[:n], sent, err)
	}
	if r.Status != again.Status || r.Framing != again.Framing || r.Length != again.Length ||
		!bytes.Equal(r.Upgrade, again.Upgrade) {
		t.Errorf("got %+v, want %+v", again, r)
	}
	compareResponse(t, &again, body, append(sent, p[n:]...), method)
	return true
}

func compareResponse(t *testing.T, r *Response, body wholeBody, input []byte, method string) {
	t.Helper()
	in := bufio.NewReaderSize(bytes.NewReader(input), len(input)+16)
	want, err := http.ReadResponse(in, &http.Request{Method: method})
	if err != nil {
		if !pickier(err) {
			t.Fatalf("%q: net/http says %v", input, err)
		}
		return
	}
	if r.Status != want.StatusCode || r.Minor != min(want.ProtoMinor, 1) || r.KeepAlive && want.Close {
		t.Errorf("%q: got %d, keep-alive %t, want %d, close %t", input, r.Status, r.KeepAlive, want.StatusCode, want.Close)
	}
	if got := statedLength(r.Framing, r.Length); r.Framing != NoBody && got != want.ContentLength {
		t.Errorf("%q: got length %d, want %d", input, got, want.ContentLength)
	}
	compareFields(t, r.Fields, want.Header)
	if r.Status != 101 { // what follows is not HTTP
		compareBody(t, body, want.Body, in)
	}
}

// FuzzChunked compares accepted chunks with net/http's reading, and with the same bytes in other
// pieces.
func FuzzChunked(f *testing.F) {
	f.Fuzz(func(t *testing.T, p []byte, size byte) {
		if len(p) > maxFuzzLen {
			return
		}
		whole := readBody(Chunked, 0, string(p), func() int { return len(p) })
		if got := readBody(Chunked, 0, string(p), func() int { return int(size) + 1 }); got != whole {
			t.Errorf("%q: got %q in pieces of %d, want %q", p, got, int(size)+1, whole)
		}
		ofClient, ofBackend := readWhole((*Body).Start, Chunked, 0, p), readWhole((*Body).StartResponse,
			Chunked, 0, p)
		if ofClient.complete && !(ofBackend.complete && bytes.Equal(ofClient.data, ofBackend.data)) {
			t.Errorf("%q: a client may send %q, a backend %q", p, ofClient.data, ofBackend.data)
		}
		if !ofBackend.complete {
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(p)))
		if err != nil && (bytes.Contains(p, []byte(" ;")) || bytes.Contains(p, []byte("\t;"))) {
			return // net/http takes blanks after a size, but not before an extension
		}
		if err != nil || !bytes.Equal(ofBackend.data, want) {
			t.Errorf("%q: got %q, want %q, %v", p, ofBackend.data, want, err)
		}
	})
}
