package backend_test

import (
	"fmt"
	"strings"
	"testing"

	"reprise/backend"
)

// namedPools makes pools by name on demand.
type namedPools struct {
	t      testing.TB
	byName map[string]*backend.Pool
}

func newNamedPools(t testing.TB) *namedPools {
	return &namedPools{t, make(map[string]*backend.Pool)}
}

func (p *namedPools) pool(name string) *backend.Pool {
	if name == "" {
		return nil
	}
	if p.byName[name] == nil {
		p.byName[name] = newPool(p.t, specs(1), backend.Options{Name: name})
	}
	return p.byName[name]
}

// router makes a router from rules "SNI HOST PATH POOL", where "-" is empty.
func (p *namedPools) router(other string, rules ...string) *backend.Router {
	p.t.Helper()
	var list []backend.Rule
	for _, rule := range rules {
		f := strings.Split(strings.ReplaceAll(rule, "-", ""), " ")
		list = append(list, backend.Rule{SNI: f[0], Host: f[1], Path: f[2], Pool: p.pool(f[3])})
	}
	r, err := backend.NewRouter(p.pool(other), list...)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func nameOf(p *backend.Pool) string {
	if p == nil {
		return "none"
	}
	return p.Options().Name
}

// TestRouter: the most specific rule decides, and no spelling evades it. It is long because it is
// a table.
func TestRouter(t *testing.T) {
	rules := []string{
		"- a.example - a",
		"- a.example /api api",
		"- a.example /api/v2 v2",
		"- a.example /api/v2/x deep",
		"- *.example - wild",
		"- *.sub.example - sub",
		"- - /api anyapi",
		"- 192.0.2.1 - address",
		"- [2001:db8::1] - address6",
		"sni.example - - sni",
		"*.tls.example - - wildsni",
		"sni.example b.example - both",
		"- b.example - b",
	}
	tests := []struct{ sni, host, path, want string }{
		{"", "a.example", "/", "a"},
		{"", "A.Example", "/", "a"},
		{"", "a.example.", "/", "a"},
		{"", "a.example:8443", "/", "a"},
		{"", "A.EXAMPLE.:8443", "/x", "a"},
		{"", "a.example..", "/", "other"},
		{"", "a..example", "/", "other"},
		{"", ".a.example", "/", "other"},
		{"", ".", "/", "other"},
		{"", "", "/", "other"},
		{"", "c.example", "/", "wild"},
		{"", "c.d.example", "/", "other"},
		{"", "example", "/", "other"},
		{"", "c.sub.example", "/", "sub"},
		{"", "sub.example", "/", "wild"},
		{"", "192.0.2.1:80", "/", "address"},
		{"", "[2001:DB8::1]:80", "/", "address6"},
		{"", "[2001:db8::2]", "/", "other"},

		{"", "a.example", "/api", "api"},
		{"", "a.example", "/api/", "api"},
		{"", "a.example", "/api/x", "api"},
		{"", "a.example", "/apis", "a"},
		{"", "a.example", "/API", "a"},
		{"", "a.example", "/api/v2", "v2"},
		{"", "a.example", "/api/v2x", "api"},
		{"", "a.example", "/api/v2/x/y", "deep"},
		{"", "a.example", "//api", "api"},
		{"", "a.example", "/./api", "api"},
		{"", "a.example", "/x/../api", "api"},
		{"", "a.example", "/x/%2e%2E/api", "api"},
		{"", "a.example", "/%61pi", "api"},
		{"", "a.example", "/%2561pi", "a"},
		{"", "a.example", "/api%2Fv2", "v2"},
		{"", "a.example", "/api//v2", "v2"},
		{"", "a.example", "/api/../x", "a"},
		{"", "a.example", "/api/v2/..", "api"},
		{"", "a.example", "/../api", "api"},
		{"", "a.example", "/..", "a"},
		{"", "a.example", "/x/..;/api", "api"}, // a servlet container drops parameters
		{"", "a.example", "/x/..;y=..;z/./api", "api"},
		{"", "a.example", "/x/%2e%2E;/api", "api"},
		{"", "a.example", "/.;/;y/api;x=1/v2;", "v2"},
		{"", "a.example", "/x/..%3B/api", "a"}, // cut off before it is decoded
		{"", "a.example", "/api%3Bx", "a"},
		{"", "a.example", "/api%", "a"},
		{"", "a.example", "/api/%zz", "api"},
		{"", "a.example", "*", "a"},
		{"", "other.test", "/api/v2", "anyapi"},
		{"", "other.test", "/ap", "other"},
		{"", "c.example", "/api", "wild"}, // a host before a path
		{"", "a.example", "/" + strings.Repeat("x", 300) + "/../api", "api"},
		{"", "a.example", "/api/" + strings.Repeat("x/", 300), "api"},
		{"", "a.example", "/" + strings.Repeat("x/", 300) + strings.Repeat("../", 300) + "api", "api"},
		{"", "a.example", "/" + strings.Repeat("x/", 300) + strings.Repeat("../", 299) + "api", "a"},

		{"sni.example", "", "", "sni"},
		{"SNI.example.", "other.test", "/", "sni"},
		{"sni.example", "a.example", "/", "a"}, // a Host before an SNI
		{"sni.example", "b.example", "/", "both"},
		{"x.tls.example", "b.example", "/", "b"},
		{"x.tls.example", "", "", "wildsni"},
		{"x.y.tls.example", "", "", "other"},
		{"unknown.test", "", "", "other"},
		{strings.Repeat("a", 300), strings.Repeat("b.", 200), "/", "other"},
	}
	p := newNamedPools(t)
	r := p.router("other", rules...)
	for _, test := range tests {
		if got := nameOf(r.Pool(test.sni, []byte(test.host), []byte(test.path))); got != test.want {
			t.Errorf("SNI %.40q, host %.40q, path %.40q: got %s, want %s", test.sni, test.host, test.path, got, test.want)
		}
	}
}

// TestRouterWithoutDefault: without a match there is no pool.
func TestRouterWithoutDefault(t *testing.T) {
	r := newNamedPools(t).router("", "- a.example - a")
	if got := nameOf(r.Pool("", []byte("b.example"), nil)); got != "none" {
		t.Errorf("got %s, want none", got)
	}
	if r.Sole() || len(r.Pools()) != 1 || r.Default() != nil {
		t.Errorf("got sole %v, %d pools, default %v, want false, 1, nil", r.Sole(), len(r.Pools()), r.Default())
	}
}

func TestRouterRefuses(t *testing.T) {
	pool := newPool(t, specs(1), backend.Options{})
	for _, path := range []string{"api", "/api/", "//api", "/a/../b", "/%61", "/a;b", "/" + strings.Repeat("a", backend.MaxRulePath)} {
		if _, err := backend.NewRouter(nil, backend.Rule{Path: path, Pool: pool}); err == nil {
			t.Errorf("path %.20q: accepted", path)
		}
	}
	if _, err := backend.NewRouter(nil, backend.Rule{Host: "a", Pool: pool},
		backend.Rule{Host: "a", Pool: pool}); err == nil {
		t.Error("the same rule twice: accepted")
	}
}

// TestSubscribedHosts: a rule comes before a subscription, and that before the default.
func TestSubscribedHosts(t *testing.T) {
	p := newNamedPools(t)
	r := p.router("other", "- a.example - a")
	r.SetSubscribed(map[string]*backend.Pool{
		"a.example": p.pool("sub a"), "b.example": p.pool("sub b"), "b.example:81": p.pool("sub b81"), "[::1]": p.pool("sub 6"),
	})
	for host, want := range map[string]string{
		"a.example": "a", "b.example": "sub b", "B.example.": "sub b", "b.example:80": "sub b", "b.example:81": "sub b81",
		"b.example.:81": "sub b81", "c.example": "other", "": "other", "[::1]:80": "sub 6", "b..example": "other",
	} {
		if got := nameOf(r.Pool("", []byte(host), []byte("/"))); got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
	r.SetSubscribed(nil)
	if got := nameOf(r.Pool("", []byte("b.example"), nil)); got != "other" {
		t.Errorf("after the end of all subscriptions: got %s, want other", got)
	}
}

func TestRouterDoesNotAllocate(t *testing.T) {
	p := newNamedPools(t)
	r := p.router("other", "- a.example /api api", "- *.example - wild", "s.example - - sni")
	r.SetSubscribed(map[string]*backend.Pool{"x.test:80": p.pool("x")})
	host, path, sni := []byte("B.example.:8443"), []byte("/a/%2e%2e//b/"+strings.Repeat("c/", 200)), "S.Example."
	other := []byte("unknown.test:80")
	if allocs := testing.AllocsPerRun(100, func() {
		r.Pool(sni, host, path)
		r.Pool(sni, other, path)
	}); allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}

// FuzzRouterPath: a path is matched like one cleaned segment by segment.
func FuzzRouterPath(f *testing.F) {
	for _, s := range []string{"/api", "//api/../x", "/%2e%2e/api", "/a%2Fb", "*", "/api;x", "/x/..;/api", "/api%3b", "/%", "/a/./b/..", "/" + strings.Repeat("y/", 200) + "../api"} {
		f.Add(s)
	}
	p := newNamedPools(f)
	r := p.router("other", "- - /api api", "- - /api/v2 v2", "- - /x/y/z xyz")
	f.Fuzz(func(t *testing.T, path string) {
		want := "other"
		for _, rule := range []struct{ path, pool string }{{"/api", "api"}, {"/api/v2", "v2"}, {"/x/y/z", "xyz"}} {
			if clean := cleaned(path); clean == rule.path || strings.HasPrefix(clean, rule.path+"/") {
				want = rule.pool
			}
		}
		if got := nameOf(r.Pool("", nil, []byte(path))); got != want {
			t.Errorf("%q: got %s, want %s", path, got, want)
		}
	})
}

// cleaned decodes and resolves a path in the simplest way.
func cleaned(path string) string {
	var decoded strings.Builder
	inParameter := false
	for i := 0; i < len(path); i++ {
		var c byte
		if n, err := fmt.Sscanf(path[i:min(i+3, len(path))], "%%%02x", &c); err == nil && n == 1 &&
			i+2 < len(path) &&
			strings.Trim(path[i+1:i+3], "0123456789abcdefABCDEF") == "" {
			i += 2
		} else {
			c = path[i]
			inParameter = inParameter || c == ';'
		}
		if inParameter = inParameter && c != '/'; !inParameter {
			decoded.WriteByte(c)
		}
	}
	var segments []string
	for segment := range strings.SplitSeq(decoded.String(), "/") {
		switch segment {
		case "", ".":
		case "..":
			segments = segments[:max(0, len(segments)-1)]
		default:
			segments = append(segments, segment)
		}
	}
	return "/" + strings.Join(segments, "/")
}

// BenchmarkRouter is the choice of a pool for a request.
func BenchmarkRouter(b *testing.B) {
	p := newNamedPools(b)
	many := []string{}
	for i := range 1000 {
		many = append(many, fmt.Sprintf("- h%d.example - p", i))
	}
	for _, c := range []struct {
		name       string
		r          *backend.Router
		host, path string
	}{
		{"rules=0", p.router("other"), "h7.example", "/index.html"},
		{"rules=1", p.router("other", "- h7.example - a"), "h7.example", "/index.html"},
		{"rules=1000", p.router("other", many...), "h7.example:443", "/index.html"},
		{"rules=1000/miss", p.router("other", many...), "unknown.example", "/index.html"},
		{"paths=3", p.router("other", "- h7.example /api a", "- h7.example /api/v2 b", "- h7.example /static c"), "h7.example", "/api/v2/things/17?x=y"},
		{"paths=1/hostile", p.router("other", "- - /api a"), "h7.example", "/" + strings.Repeat("%2e%2e/x/", 3500)},
	} {
		host, path := []byte(c.host), []byte(c.path)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.r.Pool("h7.example", host, path)
			}
		})
	}
}
