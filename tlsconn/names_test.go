package tlsconn

import "testing"

// Names go into statistics: each must exist and be unlike the others.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	check := func(kind, name string) {
		if name == "" || seen[kind+name] {
			t.Errorf("%s %q is empty or there twice", kind, name)
		}
		seen[kind+name] = true
	}
	for r := range reasons {
		check("reason", r.String())
	}
	for o := range outcomes {
		check("outcome", o.String())
	}
	for s := ExpectHandshakeBytes; s <= Failed; s++ {
		check("state", s.String())
	}
}
