package backend

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// A Rule sends the connections or requests it matches to a pool. An empty field matches everything.
type Rule struct {
	// SNI and Host are names in lower case and without a final dot. "*.example.com" stands for one
	// label, as in certificates. Host may be an address too.
	SNI, Host string
	// Path is a prefix of a path that ends at a segment boundary: "/api" matches "/api" and
	// "/api/v1", not "/apis". It has the form that appendPath writes.
	Path string
	Pool *Pool
}

// A Router chooses the pool of a connection or request by its names and path. It is immutable
// except for the names that SetSubscribed replaces as a whole; all loops share it.
//
// The most specific rule decides, not the first: one with a Host before one without, a name before
// a wildcard, then the same for SNI, then the longest path. If no rule matches, the pool that
// subscribed to the host is chosen, and otherwise the default.
type Router struct {
	other      *Pool // nil: without a match there is no pool
	rules      table[table[paths]]
	any        bool // there are rules
	byPath     bool // some rule has a path
	pools      []*Pool
	subscribed atomic.Pointer[map[string]*Pool] // never nil
}

const (
	// longest name that a rule can match, in bytes (RFC 1035, Section 2.3.4), with its port
	maxName = 255
	// MaxRulePath is the greatest length of a rule's path, in bytes.
	MaxRulePath = 255
)

// NewRouter makes a router; other is the default pool, nil for none.
func NewRouter(other *Pool, rules ...Rule) (*Router, error) {
	r := &Router{other: other, any: len(rules) > 0}
	r.subscribed.Store(&map[string]*Pool{})
	if other != nil {
		r.pools = append(r.pools, other)
	}
	for _, rule := range rules {
		if len(rule.Path) > MaxRulePath || string(appendPath(nil, []byte(rule.Path))) != rule.Path {
			return nil,
				fmt.Errorf(
					"path %q: write one such as /api, of at most %d bytes, without anything to decode and without parameters behind a semicolon", rule.Path, MaxRulePath)
		}
		if rule.Pool == nil {
			return nil, fmt.Errorf("rule for %q: no pool", rule.SNI+rule.Host+rule.Path)
		}
		list := r.rules.entry(rule.Host).entry(rule.SNI)
		if list.has(rule.Path) {
			return nil, fmt.Errorf("two rules for SNI %q, host %q, path %q: leave one", rule.SNI,
				rule.Host, rule.Path)
		}
		*list = append(*list, pathRule{rule.Path, rule.Pool})
		slices.SortStableFunc(*list, func(a, b pathRule) int { return len(b.path) - len(a.path) })
		r.byPath = r.byPath || rule.Path != ""
		if !slices.Contains(r.pools, rule.Pool) {
			r.pools = append(r.pools, rule.Pool)
		}
	}
	return r, nil
}

// Pools returns the pools of the rules and the default, which comes first.
// The slice must not be changed.
func (r *Router) Pools() []*Pool { return r.pools }

// Default returns the pool for what nothing else matches; it may be nil.
func (r *Router) Default() *Pool { return r.other }

// Sole reports whether every connection goes to the default.
func (r *Router) Sole() bool { return !r.any && len(*r.subscribed.Load()) == 0 }

// SetSubscribed gives hosts that no rule matches their own pools. Keys are hosts in lower case,
// with a port or without; one with the port of the request takes precedence. The map must not be
// changed afterwards. It may be called from any goroutine.
func (r *Router) SetSubscribed(hosts map[string]*Pool) { r.subscribed.Store(&hosts) }

// Pool returns the pool for a TLS server name, a Host field with its port, and the path of a
// request as it was sent; each may be empty. It returns nil if nothing matches and there is no
// default. It takes no lock and allocates nothing.
//
// Names are compared without regard to case, to one dot at the end and, in host, to a
// port. Paths are compared as a server reads them: see appendPath.
func (r *Router) Pool(sni string, host, path []byte) *Pool {
	subscribed := *r.subscribed.Load()
	if !r.any && len(subscribed) == 0 {
		return r.other
	}
	var hostRoom, sniRoom, pathRoom [maxName + 1]byte
	name, port := appendHost(hostRoom[:0], host)
	if r.any {
		server := appendName(sniRoom[:0], sni)
		var p []byte
		if r.byPath {
			p = appendPath(pathRoom[:0], path)
		}
		for _, byServer := range r.rules.find(name) {
			if byServer == nil {
				continue
			}
			for _, list := range byServer.find(server) {
				if list == nil {
					continue
				}
				if pool := list.find(p); pool != nil {
					return pool
				}
			}
		}
	}
	if len(subscribed) > 0 && len(name) > 0 {
		if port > 0 && len(name)+port <= maxName {
			name = append(name, host[len(host)-port:]...)
			if pool := subscribed[string(name)]; pool != nil {
				return pool
			}
			name = name[:len(name)-port]
		}
		if pool := subscribed[string(name)]; pool != nil {
			return pool
		}
	}
	return r.other
}

// A table maps names to entries.
type table[T any] struct {
	names     map[string]*T
	wildcards map[string]*T // by what follows "*."
	all       *T
}

// entry returns the entry for a rule's name and makes it if there is none.
func (t *table[T]) entry(name string) *T {
	if name == "" {
		if t.all == nil {
			t.all = new(T)
		}
		return t.all
	}
	m := &t.names
	if len(name) > 2 && name[:2] == "*." {
		m, name = &t.wildcards, name[2:]
	}
	if *m == nil {
		*m = make(map[string]*T)
	}
	if (*m)[name] == nil {
		(*m)[name] = new(T)
	}
	return (*m)[name]
}

// find returns the entries that match a name, the most specific first; an entry is nil if there is
// none.
func (t *table[T]) find(name []byte) (found [3]*T) {
	found[2] = t.all
	if len(name) == 0 {
		return found
	}
	if len(t.names) > 0 {
		found[0] = t.names[string(name)]
	}
	if len(t.wildcards) > 0 {
		for i, c := range name {
			if c == '.' {
				found[1] = t.wildcards[string(name[i+1:])]
				break
			}
		}
	}
	return found
}

// paths are the rules for one pair of names, the longest path first.
type paths []pathRule

type pathRule struct {
	path string
	pool *Pool
}

func (list paths) has(path string) bool {
	return slices.ContainsFunc(list, func(r pathRule) bool { return r.path == path })
}

func (list *paths) find(path []byte) *Pool {
	for i := range *list {
		r := &(*list)[i]
		if n := len(r.path); len(path) >= n && string(path[:n]) == r.path &&
			(len(path) == n || n == 0 || path[n] == '/') {
			return r.pool
		}
	}
	return nil
}
