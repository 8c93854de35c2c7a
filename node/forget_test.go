package node

import (
	"strings"
	"testing"

	"reprise/sessions"
	"reprise/tlsconn"
)

// TestForgetName: a name is taken as clients write it; a name that no client can have sent is an
// error that says what to write, not a success that forgets nothing.
func TestForgetName(t *testing.T) {
	name := func(s string) (sessions.Scope, uint64) { return sessions.ForgetName, tlsconn.NameHash(s) }
	for given, want := range map[string]func() (sessions.Scope, uint64){
		"www.example.com":        func() (sessions.Scope, uint64) { return name("www.example.com") },
		"WWW.Example.COM.":       func() (sessions.Scope, uint64) { return name("www.example.com") },
		"localhost":              func() (sessions.Scope, uint64) { return name("localhost") },
		"xn--bcher-kva.example":  func() (sessions.Scope, uint64) { return name("xn--bcher-kva.example") },
		"_dmarc.example.com":     func() (sessions.Scope, uint64) { return name("_dmarc.example.com") },
		"*.Example.com.":         func() (sessions.Scope, uint64) { return sessions.ForgetParent, tlsconn.ParentHash("example.com") },
		"bücher.example":         nil,
		"192.0.2.1":              nil,
		"::1":                    nil,
		"www..example":           nil,
		".example":               nil,
		"example..":              nil,
		"*":                      nil,
		"*.":                     nil,
		"www.*.example":          nil,
		"*.*.example":            nil,
		"https://www.example":    nil,
		"www.example.com:443":    nil,
		"www.example.com, other": nil,
	} {
		what, hash, err := ForgetName(given)
		if want == nil {
			if err == nil || !strings.Contains(err.Error(), "www.example.com") && !strings.Contains(err.Error(), "--all") {
				t.Errorf("%q: got %v, want an error that says what to write", given, err)
			}
			continue
		}
		if wantWhat, wantHash := want(); err != nil || what != wantWhat || hash != wantHash {
			t.Errorf("%q: got %v %x, %v, want %v %x", given, what, hash, err, wantWhat, wantHash)
		}
	}
}
