package tlsconn

import (
	"bytes"
	"crypto/rand"
	"testing"

	"reprise/tlsconn/primitive"
)

// states returns a state of each suite and kind.
func states(t testing.TB) []sessionState {
	t.Helper()
	var scope Scope
	scope, _, good := ParseScope(bytes.Repeat([]byte{7}, ScopeLen))
	if !good {
		t.Fatal("a scope of sevens does not parse")
	}
	var list []sessionState
	for _, suites := range [][]*primitive.Suite{primitive.Suites13, primitive.Suites12} {
		for _, suite := range suites {
			for _, cert := range [][]byte{nil, bytes.Repeat([]byte{0x30}, 700)} {
				for _, ems := range []bool{false, true} {
					st := sessionState{version: version12, suite: suite, ems: ems, scope: scope, cert: cert}
					if suite.TLS13 {
						st.version = version13
					}
					_, _ = rand.Read(st.secret[:st.secretLen()])
					list = append(list, st)
				}
			}
		}
	}
	return list
}

func TestSessionStateRoundTrip(t *testing.T) {
	for _, want := range states(t) {
		b := want.append(AppendStatePrefix(nil, 1, 2, CodecOwn))
		if n := len(b) - len(want.cert); n > 200 {
			t.Errorf("%s: %d bytes without the certificate, want 200 at most", want.suite.Name, n)
		}
		body, miss, good := OpenState(b, CodecOwn)
		if !good {
			t.Fatal(miss)
		}
		var got sessionState
		if !got.parse(body) {
			t.Fatalf("%s: does not parse", want.suite.Name)
		}
		if got.version != want.version || got.suite != want.suite || got.ems != want.ems ||
			got.scope != want.scope ||
			got.secret != want.secret || !bytes.Equal(got.cert, want.cert) {
			t.Errorf("%s: got %+v, want %+v", want.suite.Name, got, want)
		}
		for n := range body {
			if got.parse(body[:n]) {
				t.Fatalf("%s: %d of %d bytes parse", want.suite.Name, n, len(body))
			}
		}
		if got.parse(append(body, 0)) {
			t.Errorf("%s: parses with a byte behind it", want.suite.Name)
		}
	}
}

// What parses is whole and has one encoding.
func FuzzSessionState(f *testing.F) {
	for _, st := range states(f) {
		f.Add(st.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var st sessionState
		if !st.parse(b) {
			return
		}
		if st.suite == nil || st.suite.TLS13 != (st.version == version13) {
			t.Errorf("half valid: %+v", st)
		}
		if got := st.append(nil); !bytes.Equal(got, b) {
			t.Errorf("encodes to\n%x, was\n%x", got, b)
		}
	})
}
