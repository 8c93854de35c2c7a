package sessions

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"reprise/tlsconn"
)

// A rule stays in force as long as an older session can live, and is gone after that.
func TestRuleLivesAsLongAsItMust(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	forget(t, m, m.NewRule(ForgetAll, 0))
	for passed := time.Duration(0); passed < lifetime; passed += 10 * time.Second {
		// A copy made just before the rule, with all its remaining life.
		m.Put(numbered(1), state("a.example", "ctx"), passed+time.Millisecond, lifetime-passed-time.Millisecond, false)
		if _, v := find(m, 1); v == tlsconn.Found {
			t.Fatalf("a copy came back after %v", passed)
		}
		m.Sweep()
		clock.pass(10 * time.Second)
	}
	if got := m.Stats().Rules; got != 1 {
		t.Errorf("after a lifetime: %d rules, want 1", got)
	}
	clock.pass(ruleMargin)
	m.Sweep()
	if got := m.Stats().Rules; got != 0 {
		t.Errorf("after its end: %d rules, want none", got)
	}
}

// All callers that wait for a walk learn what it has dropped, even for a rule that was known.
func TestRuleTellsWhatItDropped(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	for i := range 20 {
		save(m, i, fmt.Sprintf("%c.example", 'a'+i%2))
	}
	r := m.NewRule(ForgetName, tlsconn.NameHash("a.example"))
	for range 3 {
		if got := forget(t, m, r); got != 10 {
			t.Errorf("dropped %d, want 10", got)
		}
	}
	if got := m.Stats(); got.Forgotten.Load() != 10 || got.RulesGiven.Load() != 1 || got.Rules != 1 {
		t.Errorf("got %+v, want 10 forgotten by one rule", got)
	}
	wantFind(t, m, 0, tlsconn.Unknown)
	wantFind(t, m, 1, tlsconn.Found)
}

// A session made after the command is not forgotten.
func TestSessionsAfterTheRule(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	forget(t, m, m.NewRule(ForgetAll, 0))
	clock.pass(time.Nanosecond)
	save(m, 1, "a.example")
	wantFind(t, m, 1, tlsconn.Found)
}

// Names are taken as clients write them; a wildcard stands for one label.
func TestNamesOfRules(t *testing.T) {
	for _, tt := range []struct {
		session, rule string
		wildcard      bool
		want          bool
	}{
		{"www.example.com", "www.example.com", false, true},
		{"www.example.com", "WWW.Example.COM", false, true},
		{"www.example.com", "www.example.com.", false, true},
		{"WWW.example.com.", "www.example.com", false, true},
		{"www.example.com", "example.com", false, false},
		{"www.example.com", "example.com", true, true},
		{"www.example.com", "EXAMPLE.com.", true, true},
		{"a.www.example.com", "example.com", true, false},
		{"example.com", "example.com", true, false},
		{"example.com", "com", true, true},
		{"", "example.com", true, false},
	} {
		clock := newFakeClock()
		m := newMemory(t, clock)
		save(m, 1, tt.session)
		r := m.NewRule(ForgetName, tlsconn.NameHash(tt.rule))
		if tt.wildcard {
			r = m.NewRule(ForgetParent, tlsconn.ParentHash(tt.rule))
		}
		if got := forget(t, m, r) == 1; got != tt.want {
			t.Errorf("session of %q, rule for %q (wildcard %t): forgotten %t, want %t", tt.session, tt.rule, tt.wildcard, got, tt.want)
		}
	}
}

// Nodes that pass rules to each other agree, and a rule does not outlive its time by being passed
// on.
func TestRulesArePassedOn(t *testing.T) {
	clock := newFakeClock()
	a, b := newMemory(t, clock), newMemoryOf(t, clock, other, 1000)
	exchange := func() {
		for from, to := range map[*Memory]*Memory{a: b, b: a} {
			for _, r := range from.Rules(nil) {
				to.AddRule(r, nil)
			}
		}
	}
	forget(t, a, a.NewRule(ForgetName, 7))
	clock.pass(5 * time.Second)
	forget(t, b, b.NewRule(ForgetContext, 9))
	if a.RulesDigest() == b.RulesDigest() {
		t.Error("the digests agree about different rules")
	}
	exchange()
	if a.RulesDigest() != b.RulesDigest() || a.RulesDigest() == 0 {
		t.Errorf("digests %x and %x after an exchange", a.RulesDigest(), b.RulesDigest())
	}
	if got := b.Rules(nil); len(got) != 2 || got[0].Age != 5*time.Second ||
		got[0].What != ForgetName || got[0].Hash != 7 {
		t.Errorf("b has %+v", got)
	}
	for passed := time.Duration(0); passed < lifetime+2*ruleMargin; passed += 700 * time.Millisecond {
		exchange()
		a.Sweep()
		clock.pass(700 * time.Millisecond)
		b.Sweep()
	}
	if got := a.Stats().Rules + b.Stats().Rules; got != 0 {
		t.Errorf("%d rules go round for ever", got)
	}
}

// With more rules than there is room for, too many sessions are forgotten but never too few, and
// nodes with the same rules still agree.
func TestTooManyRules(t *testing.T) {
	clock := newFakeClock()
	m, same := newMemory(t, clock), newMemoryOf(t, clock, other, 1000)
	const many = maxRules + 100
	var rules []Rule
	born := make([]time.Time, many)
	for i := range many {
		born[i] = clock.Now()
		clock.pass(time.Millisecond)
		r := m.NewRule(ForgetName, uint64(i)<<32)
		rules = append(rules, r)
		forget(t, m, r)
		forget(t, same, r)
		clock.pass(time.Millisecond)
	}
	if got := m.Stats().Rules; got > maxRules {
		t.Errorf("%d rules in force, the bound is %d", got, maxRules)
	}
	if m.RulesDigest() != same.RulesDigest() {
		t.Error("two nodes that were given the same rules disagree")
	}
	for i := range many {
		if !m.rules.Load().forgets(stateOf(uint64(i)<<32, 0), m.clock.instant(born[i])) {
			t.Fatalf("rule %d of %d no longer counts", i, many)
		}
	}
	if m.rules.Load().forgets(stateOf(12345, 0), m.clock.now()) {
		t.Error("a new session of a name that was never meant is forgotten")
	}
	digest, rulesLen := m.RulesDigest(), m.Stats().Rules
	for _, r := range rules { // a node that has not merged them sends them again
		r.Age = clock.Now().Sub(born[slices.IndexFunc(rules,
			func(o Rule) bool { return o.ID == r.ID })]) - time.Millisecond
		r.Left -= r.Age
		forget(t, m, r)
	}
	if m.RulesDigest() != digest || m.Stats().Rules != rulesLen {
		t.Error("rules that a wider one covers were taken again")
	}
}

func stateOf(name, context uint64) []byte {
	return tlsconn.AppendStatePrefix(nil, name, context, tlsconn.CodecStandard)
}

// Rules may come from many places at once while loops look up sessions.
func TestRulesConcurrently(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	var wg sync.WaitGroup
	done := make(chan int, 80)
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				save(m, 100*g+i, "a.example")
				m.AddRule(m.NewRule(ForgetName, uint64(i)), func(n int) { done <- n })
				find(m, 100*g+i)
				m.RulesDigest()
				m.Rules(nil)
				m.Sweep()
			}
		})
	}
	wg.Wait()
	for range 80 {
		<-done
	}
	if got := m.Stats().Rules; got != 80 {
		t.Errorf("%d rules, want 80", got)
	}
}

// Correcting a wrong clock does not make rules seem old.
func TestSleepDoesNotEndRules(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	forget(t, m, m.NewRule(ForgetAll, 0))
	clock.pass(time.Second)
	m.age(50 * 365 * 24 * time.Hour)
	m.dropRules(m.clock.now())
	m.Put(numbered(1), state("a.example", "ctx"), 10*time.Second, 290*time.Second, false)
	wantFind(t, m, 1, tlsconn.Unknown)
	if got := m.Rules(nil); len(got) != 1 || got[0].Age != time.Second {
		t.Errorf("got %+v, want one rule of 1 s", got)
	}
}

func TestRulesCodec(t *testing.T) {
	clock := newFakeClock()
	m, restarted := newMemory(t, clock), newMemory(t, clock)
	if b, left := m.AppendRules(nil); b != nil || left != 0 {
		t.Errorf("no rules are %x, kept %v", b, left)
	}
	forget(t, m, m.NewRule(ForgetName, tlsconn.NameHash("a.example")))
	clock.pass(7 * time.Second)
	forget(t, m, m.NewRule(ForgetAll, 0))
	stored, left := m.AppendRules(nil)
	if left != lifetime+ruleMargin {
		t.Errorf("to be kept %v, want %v", left, lifetime+ruleMargin)
	}
	if m.MergeRules(stored, 0) {
		t.Error("the store is said to lack what it was just told")
	}
	if !m.MergeRules(nil, 0) {
		t.Error("an empty store is said to lack nothing")
	}
	clock.pass(3 * time.Second)
	// The node restarts, and another node has a copy of a forgotten session.
	if restarted.MergeRules(stored, 3*time.Second) {
		t.Error("a node without rules has some that the store lacks")
	}
	want := m.Rules(nil)
	if got := restarted.Rules(nil); !slices.EqualFunc(got, want, func(a, b Rule) bool {
		return a.ID == b.ID && a.What == b.What && a.Hash == b.Hash &&
			(a.Age-b.Age).Abs() <= time.Millisecond && (a.Left-b.Left).Abs() <= time.Millisecond
	}) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	restarted.Put(numbered(1), state("a.example", "ctx"), 4*time.Second, 290*time.Second, false)
	wantFind(t, restarted, 1, tlsconn.Unknown)
}

// FuzzParseRules: an accepted list is taken whole and written again unchanged.
func FuzzParseRules(f *testing.F) {
	good := appendRules(nil, []Rule{
		{ID: RuleID{1}, What: ForgetName, Hash: 7, Age: time.Second, Left: time.Minute},
		{ID: RuleID{2}, What: 200, Left: longestLife},
	})
	for _, seed := range [][]byte{
		nil,
		{1},
		{2},
		good, good[:len(good)-1],
		append(bytes.Clone(good), 0), bytes.Repeat([]byte{1}, 1+ruleLen*(maxRules+1)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, ok := parseRules(b)
		if !ok {
			if rules != nil {
				t.Fatal("refused, yet half taken")
			}
			return
		}
		if again := appendRules(nil, rules); !bytes.Equal(again, b) {
			t.Fatalf("taken as %x, written as %x", b, again)
		}
		m := newMemory(t, newFakeClock())
		m.MergeRules(b, 0)
		if got := m.Stats().Rules; got > maxRules {
			t.Fatalf("%d rules in force", got)
		}
	})
}
