package sessions

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"time"

	"reprise/cache"
	"reprise/tlsconn"
)

// A Scope says which sessions a [Rule] covers. It is sent between nodes.
type Scope uint8

// The scopes. One of a later version is treated as ForgetAll: forgetting too much costs handshakes,
// but a rule must never forget too little.
const (
	ForgetAll     Scope = 0
	ForgetName    Scope = 1 // of one server name: tlsconn.NameHash
	ForgetContext Scope = 2 // of a session context: tlsconn.ContextHash
	ForgetParent  Scope = 3 // of all names one label below a domain: tlsconn.ParentHash
)

// A RuleID is random. A rule that replaces two others has an ID derived from theirs.
type RuleID [16]byte

// NewRuleID returns the id of a new rule.
func NewRuleID() (id RuleID) {
	_, _ = rand.Read(id[:])
	return id
}

// A Rule forgets the sessions of a scope that were born before it was given.
type Rule struct {
	ID   RuleID
	What Scope
	Hash uint64
	Age  time.Duration // since it was given
	Left time.Duration // how long it must still be kept
}

const (
	// maxRules bounds the rules in force.
	maxRules = 1024
	// ruleMargin is how much longer than the longest session a new rule is kept: rounding and
	// transit between nodes take much less.
	ruleMargin = time.Minute
	// ruleEnd is how long before its end a rule is no longer passed on, so that nodes which drop it
	// one after another do not pass it to each other for ever.
	ruleEnd = 2 * time.Second
	// longestLife is the longest life of any session (RFC 8446, Section 4.6.1), and so the longest
	// effect of a rule.
	longestLife = 7 * 24 * time.Hour
)

// rule is a Rule in force here. Except for its walk it is immutable.
type rule struct {
	id    RuleID
	what  Scope
	hash  uint64
	given instant
	until instant
	*walk
}

// walk is a rule's progress through the cache. Memory.mu guards it.
type walk struct {
	over    bool // all of the cache has been visited
	dropped int
	waiting []func(dropped int)
}

// rulebook is an immutable set of rules in the form that the gate needs: of rules for the same
// sessions only the newest counts.
type rulebook struct {
	list    []*rule // in the order in which they were given
	all     instant
	byName  map[uint64]instant
	context map[uint64]instant
	parent  map[uint64]instant
}

func newRulebook(list []*rule) *rulebook {
	slices.SortStableFunc(list, func(a, b *rule) int { return cmp.Compare(a.given, b.given) })
	b := &rulebook{
		list: list, all: math.MinInt64,
		byName: make(map[uint64]instant), context: make(map[uint64]instant),
		parent: make(map[uint64]instant),
	}
	for _, r := range list { // later ones overwrite earlier ones
		switch r.what {
		case ForgetName:
			b.byName[r.hash] = r.given
		case ForgetContext:
			b.context[r.hash] = r.given
		case ForgetParent:
			b.parent[r.hash] = r.given
		default:
			b.all = r.given
		}
	}
	return b
}

// forgets reports whether a session born at that instant is forgotten.
func (b *rulebook) forgets(state []byte, born instant) bool {
	if b == nil {
		return false
	}
	if born <= b.all {
		return true
	}
	name, parent, context, ok := tlsconn.StateHashes(state)
	return !ok || forgottenBy(b.byName, name, born) || forgottenBy(b.parent, parent, born) ||
		forgottenBy(b.context, context, born)
}

func forgottenBy(rules map[uint64]instant, hash uint64, born instant) bool {
	given, ok := rules[hash]
	return ok && born <= given
}

// covers reports whether r forgets every session that o forgets.
func (r *rule) covers(o *rule) bool {
	return r.given >= o.given && r.until >= o.until &&
		(r.what == o.what && r.hash == o.hash || r.what == ForgetAll || r.what > ForgetParent)
}

// AddRule puts a rule in force and reports whether it is new. From then on the gate refuses the
// sessions it covers; those in the cache are dropped in the background. done, if not nil, is called
// once when that is complete, even if the rule was known, with the number of sessions that the rule
// has dropped here; it may be called on any goroutine.
func (m *Memory) AddRule(r Rule, done func(dropped int)) (isNew bool) {
	if done == nil {
		done = func(int) {}
	}
	now := m.clock.now()
	n := &rule{id: r.ID, what: r.What, hash: r.Hash, walk: new(walk)}
	n.given = now - int64(min(max(r.Age, 0), longestLife+ruleMargin))
	n.until = max(now+int64(min(r.Left, longestLife+ruleMargin)), n.given+int64(m.lifetime))
	if n.what > ForgetParent || n.what == ForgetAll {
		n.hash = 0 // it has no meaning
	}

	m.mu.Lock()
	old := m.rulesAt(now)
	if i := slices.IndexFunc(old, func(o *rule) bool { return o.id == n.id }); i >= 0 {
		known := old[i]
		if !known.over {
			known.waiting = append(known.waiting, done)
			m.mu.Unlock()
			return false
		}
		dropped := known.dropped
		m.mu.Unlock()
		done(dropped)
		return false
	}
	if n.until-now < int64(ruleEnd) || len(old) >= maxRules &&
		slices.ContainsFunc(old, func(o *rule) bool { return o.covers(n) }) {
		m.mu.Unlock()
		done(0) // the sessions it covers have all ended, or another rule forgets them already
		return false
	}
	n.waiting = append(n.waiting, done)
	list := shorten(append(slices.Clone(old), n))
	m.rules.Store(newRulebook(list))
	stores := m.stores
	m.mu.Unlock()
	m.counts.RulesGiven.Inc()
	m.inBackground(func() { m.dropForgotten(n) })
	for _, st := range stores {
		st.Sync(nil)
	}
	return true
}

// rulesAt returns the rules that are still in force. The lock must be held.
func (m *Memory) rulesAt(now instant) []*rule {
	book := m.rules.Load()
	if book == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(book.list), func(r *rule) bool { return r.until <= now })
}

// shorten makes room for more rules without restoring any session: first it drops rules that others
// cover, then it replaces the oldest two by a wider one, which covers all sessions, but only those
// older than the second of the two.
func shorten(list []*rule) []*rule {
	if len(list) <= maxRules {
		return list
	}
	slices.SortStableFunc(list, func(a, b *rule) int { return cmp.Compare(a.given, b.given) })
	kept := list[:0:0]
	for i, r := range list {
		if !slices.ContainsFunc(list[i+1:], func(o *rule) bool { return o.covers(r) }) {
			kept = append(kept, r)
		}
	}
	for len(kept) > maxRules {
		a, b := kept[0], kept[1]
		kept = slices.Replace(kept, 0, 2, &rule{
			id: mergedID(a.id, b.id), what: ForgetAll, given: b.given, until: max(a.until, b.until),
			walk: &walk{over: true},
		})
		// Callers that wait for the two are answered by their walks, which continue.
	}
	return kept
}

// mergedID is the same at all nodes that replace the same two rules.
func mergedID(a, b RuleID) (id RuleID) {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	sum := sha256.Sum256(slices.Concat([]byte("reprise merged rules"), a[:], b[:]))
	copy(id[:], sum[:])
	return id
}

// dropForgotten walks the cache for sessions that the rules in force cover, a segment at a time.
func (m *Memory) dropForgotten(r *rule) {
	dropped := 0
	for cursor := cache.Cursor(0); ; {
		n, next := m.cache.DeleteFunc(cursor, func(_, value []byte, e cache.Entry) bool {
			return m.rules.Load().forgets(value, e.Born)
		})
		dropped += n
		if cursor = next; cursor == 0 {
			break
		}
		runtime.Gosched()
	}
	m.counts.Forgotten.Add(uint64(dropped))
	m.mu.Lock()
	r.over, r.dropped = true, dropped
	waiting := r.waiting
	r.waiting = nil
	m.mu.Unlock()
	for _, done := range waiting {
		done(dropped)
	}
}

// Rules appends the rules to pass on.
func (m *Memory) Rules(dst []Rule) []Rule {
	book := m.rules.Load()
	if book == nil {
		return dst
	}
	now := m.clock.now()
	for _, r := range book.list {
		if r.until-now >= int64(ruleEnd) {
			dst = append(dst, Rule{
				ID: r.id, What: r.what, Hash: r.hash,
				Age: time.Duration(now - r.given), Left: time.Duration(r.until - now),
			})
		}
	}
	return dst
}

// RulesDigest is the exclusive or of the first eight bytes of the IDs of the rules to pass on, big
// endian: nodes with the same rules have the same digest. Different digests do not prove that a
// node lacks a rule: the clocks by which rules end differ.
func (m *Memory) RulesDigest() (digest uint64) {
	book := m.rules.Load()
	if book == nil {
		return 0
	}
	now := m.clock.now()
	for _, r := range book.list {
		if r.until-now >= int64(ruleEnd) {
			digest ^= binary.BigEndian.Uint64(r.id[:])
		}
	}
	return digest
}

// NewRule returns a rule given now, kept as long as any session of this node can live.
func (m *Memory) NewRule(what Scope, hash uint64) Rule {
	return Rule{ID: NewRuleID(), What: what, Hash: hash, Left: m.lifetime + ruleMargin}
}

// dropRules drops rules for which no session can be old enough.
func (m *Memory) dropRules(now instant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	book := m.rules.Load()
	if book == nil {
		return
	}
	switch list := m.rulesAt(now); {
	case len(list) == len(book.list):
	case len(list) == 0:
		m.rules.Store(nil)
	default:
		m.rules.Store(newRulebook(list))
	}
}
