package store

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// fakeRules are a set of words that only grows.
type fakeRules struct {
	mu      sync.Mutex
	words   []string
	elapsed time.Duration // of the last merge of something
}

func (r *fakeRules) MergeRules(stored []byte, elapsed time.Duration) (lacks bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	has := strings.Fields(string(stored))
	if len(has) > 0 {
		r.elapsed = elapsed
	}
	for _, word := range has {
		if !slices.Contains(r.words, word) {
			r.words = append(r.words, word)
		}
	}
	return len(has) < len(r.words)
}

func (r *fakeRules) AppendRules(b []byte) ([]byte, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.words) == 0 {
		return b, 0
	}
	return append(b, strings.Join(r.words, " ")...), time.Hour
}

func (r *fakeRules) add(word string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.words = append(r.words, word)
}

func (r *fakeRules) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	sorted := slices.Clone(r.words)
	slices.Sort(sorted)
	return strings.Join(sorted, " ")
}

// syncNow waits until the server has the rules.
func syncNow(t *testing.T, s *Store) error {
	t.Helper()
	done := make(chan error, 1)
	s.Sync(func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("never done")
		return nil
	}
}

// A rule given at one node reaches another before that is given a session, even one that starts
// later, whatever secret it was written under.
func TestRulesComeBeforeSessions(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	one, two, late := &fakeRules{}, &fakeRules{}, &fakeRules{}
	a := startFake(t, f, Options{LookupTimeout: patience, Rules: one}, "a")
	b := startFake(t, f, Options{LookupTimeout: patience, Rules: two}, "b", "a")
	one.add("first")
	if err := syncNow(t, a); err != nil {
		t.Fatal(err)
	}
	two.add("second")
	if err := syncNow(t, b); err != nil {
		t.Fatal(err)
	}
	if got := two.String(); got != "first second" {
		t.Errorf("the second node knows %q", got)
	}
	startFake(t, f, Options{LookupTimeout: patience, Rules: late}, "b") // returns when it may be asked
	if got := late.String(); got != "first second" {
		t.Errorf("a node that has started, and is asked, knows %q", got)
	}
	// Without a command, within a few rounds.
	nettest.Eventually(t, patience, func() bool {
		_ = syncNow(t, b)
		return two.String() == "first second"
	}, "the rules to meet")
	for name, value := range f.values {
		if bytes.Contains(value, []byte("first")) {
			t.Errorf("%s is in clear", name)
		}
	}
}

// Two commands at one moment, at nodes that share nothing but the store: neither is overwritten,
// and both are stored when they are acknowledged.
func TestRulesAtOneMomentAreKept(t *testing.T) {
	f := newFake()
	one, two, late := &fakeRules{}, &fakeRules{}, &fakeRules{}
	reads, both := 0, make(chan struct{})
	var mu sync.Mutex
	f.beforeSwap = func() { // until each has read before the other wrote
		mu.Lock()
		if reads++; reads == 2 {
			close(both)
		}
		mu.Unlock()
		<-both
	}
	a := startFake(t, f, Options{LookupTimeout: patience, Rules: one})
	b := startFake(t, f, Options{LookupTimeout: patience, Rules: two})
	one.add("first")
	two.add("second")
	done := make(chan error, 2)
	a.Sync(func(err error) { done <- err })
	b.Sync(func(err error) { done <- err })
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	startFake(t, f, Options{LookupTimeout: patience, Rules: late})
	if got := late.String(); got != "first second" {
		t.Errorf("a node that starts after both were acknowledged knows %q", got)
	}
}

// A store whose rules cannot be read is not asked for sessions.
func TestNoRulesNoSessions(t *testing.T) {
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience, Rules: &fakeRules{}})
	put(t, s, [16]byte{1}, "state", time.Minute)
	if got := ask(t, s, [16]byte{1}); !got.ok {
		t.Fatal("not found while the rules are known")
	}
	s.synced.Add(-int64(2 * rulesTrusted))
	if s.Get([16]byte{1}, nil) {
		t.Error("asked, though the rules are unknown")
	}
	if got := s.Stats().GetRefused.Counts()["no_rules"]; got != 1 {
		t.Errorf("counted %d, want 1", got)
	}
	if err := syncNow(t, s); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s, [16]byte{1}); !got.ok {
		t.Error("not found after the rules were read again")
	}
}

// The caller of Sync learns of a failure to write.
func TestSyncTellsOfFailure(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	rules := &fakeRules{}
	s := startFake(t, f, Options{LookupTimeout: patience, Rules: rules, BreakerFailures: 1000})
	f.breakWith(errors.New("broken"))
	rules.add("word")
	if err := syncNow(t, s); err == nil {
		t.Error("done, though the server is broken")
	}
	f.breakWith(nil)
	if err := syncNow(t, s); err != nil {
		t.Error(err)
	}
	s.breaker.closed.Store(false)
	if err := syncNow(t, s); err == nil {
		t.Error("done, though the server is left alone")
	}
	s.Close()
	if err := syncNow(t, s); err == nil {
		t.Error("done, though the store is closed")
	}
}

// A rule must not look older than it is, or it would forget less.
func TestRulesAreNotOlderThanTheyAre(t *testing.T) {
	for name, tc := range map[string]struct {
		passed, told, want time.Duration
	}{
		"both agree":         {40 * time.Second, time.Hour - 40*time.Second, 40 * time.Second},
		"writer was behind":  {2 * time.Hour, time.Hour - 40*time.Second, 40 * time.Second},
		"reader is behind":   {-2 * time.Hour, time.Hour - 40*time.Second, 0},
		"kept by the server": {40 * time.Second, time.Hour, 0},
		"untold":             {40 * time.Second, untold, 40 * time.Second},
	} {
		v := session{left: time.Hour, written: time.Now().Add(-tc.passed)}
		if got := v.elapsedAtLeast(time.Now(), tc.told); (got - tc.want).Abs() > time.Second {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

// Secrets are replaced while the store is in use (M8: and no session gets younger by that).
func TestRekey(t *testing.T) {
	f := newFake()
	key := func(seed string) []byte { return []byte(strings.Repeat(seed, 16)) }
	s := startFake(t, f, Options{LookupTimeout: patience}, "a")
	put(t, s, [16]byte{1}, "by a", time.Minute)
	for _, step := range []struct {
		secrets   [][]byte
		one, two  string
		thenWrite byte
	}{
		{[][]byte{key("a"), key("b")}, "by a", "", 0},
		{[][]byte{key("b"), key("a")}, "by a", "", 2},
		{[][]byte{key("b")}, "", "by 2", 0},
	} {
		if err := s.Rekey(step.secrets); err != nil {
			t.Fatal(err)
		}
		if step.thenWrite != 0 {
			put(t, s, [16]byte{step.thenWrite}, "by 2", time.Minute)
		}
		if got := ask(t, s, [16]byte{1}); string(got.value) != step.one {
			t.Errorf("got %q, want %q", got.value, step.one)
		}
		if got := ask(t, s, [16]byte{2}); step.two != "" && string(got.value) != step.two {
			t.Errorf("got %q, want %q", got.value, step.two)
		}
	}
	for _, bad := range [][][]byte{nil, {[]byte("short")}} {
		if s.Rekey(bad) == nil {
			t.Errorf("takes %q for secrets", bad)
		}
	}
	if got := ask(t, s, [16]byte{2}); string(got.value) != "by 2" {
		t.Error("a bad secret has replaced the good one")
	}
}
