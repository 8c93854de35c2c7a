package tlsconn

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"testing"
)

func scopeOf(edit func(*Config), name string) Scope {
	c := Config{MinVersion: tls.VersionTLS12}
	edit(&c)
	p := NewPolicyScope(&c, &c.Policy)
	s, _ := p.For(name)
	return s
}

func TestScopeRoundTrip(t *testing.T) {
	made := scopeOf(func(c *Config) { c.Context = "shop" }, "www.example.test")
	wire := made.Append(nil)
	if len(wire) != ScopeLen {
		t.Fatalf("got %d bytes, want %d", len(wire), ScopeLen)
	}
	got, rest, ok := ParseScope(append(bytes.Clone(wire), "rest"...))
	if !ok || got != made || string(rest) != "rest" {
		t.Errorf("got %x, %q, %t, want %x", got, rest, ok, made)
	}
	if _, _, ok := ParseScope(wire[:ScopeLen-1]); ok {
		t.Error("truncated: taken for a scope")
	}
}

// Each part makes its own difference, and its outcome names the part.
func TestScopeDiffers(t *testing.T) {
	ca := &x509.Certificate{Raw: []byte("CA")}
	base := scopeOf(func(*Config) {}, "www.example.test")
	for what, test := range map[string]struct {
		edit func(*Config)
		name string
		want Outcome
	}{
		"context": {func(c *Config) { c.Context = "shop" }, "www.example.test", MissScopeContext},
		"version": {func(c *Config) { c.MinVersion = tls.VersionTLS13 }, "www.example.test", MissScopePolicy},
		"suites":  {func(c *Config) { c.CipherSuites = []uint16{1} }, "www.example.test", MissScopePolicy},
		"client auth": {
			func(c *Config) { c.ClientAuth, c.ClientCAs = OptionalClientCert, []*x509.Certificate{ca} }, "www.example.test",
			MissScopeClient,
		},
		"name":         {func(*Config) {}, "www.example.com", MissScopeName},
		"first of two": {func(c *Config) { c.Context = "shop" }, "", MissScopeContext},
	} {
		other := scopeOf(test.edit, test.name)
		if got, differs := base.Differs(&other); !differs || got != test.want {
			t.Errorf("%s: got %v, %t, want %v", what, got, differs, test.want)
		}
	}
	same := scopeOf(func(*Config) {}, "WWW.EXAMPLE.TEST.")
	if _, differs := base.Differs(&same); differs {
		t.Error("a name in another spelling makes a difference")
	}
}

// The hash decides alone: that two hints of two bytes agree means nothing.
func TestScopeDiffersWhereHintsAgree(t *testing.T) {
	made := scopeOf(func(*Config) {}, "www.example.test")
	other := made
	other.all[15] ^= 1
	if _, differs := made.Differs(&other); !differs {
		t.Error("taken for equal")
	}
}

func TestPolicyScopeCostsNoAllocation(t *testing.T) {
	p := NewPolicyScope(&Config{}, &Policy{})
	if got := testing.AllocsPerRun(100, func() { p.For("www.example.test") }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// FuzzScope: whatever is accepted round-trips, and equals only itself.
func FuzzScope(f *testing.F) {
	made := scopeOf(func(*Config) {}, "www.example.test")
	wire := made.Append(nil)
	for _, seed := range [][]byte{wire, wire[:ScopeLen-1], flip(wire, 0), flip(wire, 8*16), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, rest, ok := ParseScope(b)
		if !ok {
			return
		}
		if again := append(got.Append(nil), rest...); !bytes.Equal(again, b) {
			t.Fatalf("accepted % x, which would be made as % x", b, again)
		}
		if outcome, differs := got.Differs(&made); differs == (got.all == made.all) || outcome.Resumed() {
			t.Fatalf("differs: got %v, %t", outcome, differs)
		}
	})
}
