package sessions

import (
	"bytes"
	"testing"
	"time"

	"reprise/cache"
	"reprise/tlsconn"
)

// Every way into the memory passes the gate: an ended or forgotten session is refused on each, and
// claimed times are limited on each. It is long because it is a table.
func TestGateStandsBeforeEveryWay(t *testing.T) {
	ways := []struct {
		name string
		// put brings a session in and reports whether it can be used afterwards.
		put func(t *testing.T, m *Memory, value []byte, age, left time.Duration) bool
	}{
		{"own handshake", func(_ *testing.T, m *Memory, value []byte, age, left time.Duration) bool {
			now := m.clock.source()
			m.Save(numbered(1), tlsconn.Session{State: value, Born: now.Add(-age), Expires: now.Add(left)})
			_, v := find(m, 1)
			return v == tlsconn.Found
		}},
		{"push, repair, snapshot", func(_ *testing.T, m *Memory, value []byte, age, left time.Duration) bool {
			admitted := m.Put(numbered(1), value, age, left, false)
			_, v := find(m, 1)
			return admitted || v == tlsconn.Found
		}},
		{"answer of a peer", func(t *testing.T, m *Memory, value []byte, age, left time.Duration) bool {
			m.fleet = &answering{Answer{Value: value, Age: age, Left: left, Verdict: tlsconn.Found}}
			l, _ := ask(m, 1, other, false)
			_, v, _ := l.Result()
			return v == tlsconn.Found
		}},
		{"answer of a peer, held there", func(t *testing.T, m *Memory, value []byte, age, left time.Duration) bool {
			m.fleet = &answering{Answer{
				Value: value, Age: age, Left: left, Verdict: tlsconn.Found,
				Hold: 77,
			}}
			l, _ := ask(m, 1, other, true)
			_, v, _ := l.Result()
			return v == tlsconn.Found
		}},
		{"store", func(t *testing.T, m *Memory, value []byte, age, left time.Duration) bool {
			st := newFakeStore()
			st.Set(numbered(1), value, age, left)
			m.stores = []Store{st}
			l, _ := ask(m, 1, other, false)
			_, v, _ := l.Result()
			return v == tlsconn.Found
		}},
	}
	for _, way := range ways {
		for _, tt := range []struct {
			name      string
			value     []byte
			age, left time.Duration
			forget    func(m *Memory) Rule
			want      bool
		}{
			{"young", state("a.example", "ctx"), 0, lifetime, nil, true},
			{"old", state("a.example", "ctx"), 299 * time.Second, time.Second, nil, true},
			{"ended", state("a.example", "ctx"), 300 * time.Second, 0, nil, false},
			{"ended, and said to have time left", state("a.example", "ctx"), 300 * time.Second, lifetime, nil, false},
			{"said to be of tomorrow", state("a.example", "ctx"), -24 * time.Hour, 48 * time.Hour, nil, true},
			{"without a prefix", []byte("short"), 0, lifetime, nil, false},
			{
				"forgotten by all", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule { return m.NewRule(ForgetAll, 0) }, false,
			},
			{
				"forgotten by name", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule { return m.NewRule(ForgetName, tlsconn.NameHash("A.example.")) }, false,
			},
			{
				"forgotten by wildcard", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule { return m.NewRule(ForgetParent, tlsconn.ParentHash("Example.")) }, false,
			},
			{
				"forgotten by context", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule { return m.NewRule(ForgetContext, tlsconn.ContextHash("ctx")) }, false,
			},
			{
				"forgotten by a scope of a later version", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule { return m.NewRule(200, 3) }, false,
			},
			{
				"another name is forgotten", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule { return m.NewRule(ForgetName, tlsconn.NameHash("b.example")) }, true,
			},
			{
				"another domain is forgotten", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule { return m.NewRule(ForgetParent, tlsconn.ParentHash("a.example")) }, true,
			},
			{
				"another context is forgotten", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule { return m.NewRule(ForgetContext, tlsconn.ContextHash("other")) }, true,
			},
			{
				"forgotten before it was born", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule {
					r := m.NewRule(ForgetAll, 0)
					r.Age = 11 * time.Second
					return r
				}, true,
			},
			{
				"forgotten as it was born", state("a.example", "ctx"), 10 * time.Second, 290 * time.Second,
				func(m *Memory) Rule {
					r := m.NewRule(ForgetAll, 0)
					r.Age = 10 * time.Second
					return r
				}, false,
			},
		} {
			t.Run(way.name+"/"+tt.name, func(t *testing.T) {
				clock := newFakeClock()
				m := newMemory(t, clock)
				if tt.forget != nil {
					forget(t, m, tt.forget(m))
				}
				if got := way.put(t, m, bytes.Clone(tt.value), tt.age, tt.left); got != tt.want {
					t.Errorf("admitted: %t, want %t", got, tt.want)
				}
				// However it came in and whatever was claimed, it ends with its lifetime.
				clock.pass(lifetime - max(tt.age, 0))
				if _, v := find(m, 1); v == tlsconn.Found {
					t.Error("it can be used beyond its lifetime")
				}
			})
		}
	}
}

// answering is a fleet with one answer.
type answering struct{ answer Answer }

func (f *answering) Ask(q *Question) bool {
	q.Answer(f.answer)
	return true
}
func (f *answering) Pulls() bool                         { return true }
func (f *answering) Reachable(owner tlsconn.NodeID) bool { return owner == other }
func (f *answering) Arbiter(_ [16]byte, owner tlsconn.NodeID) tlsconn.NodeID {
	if owner == other {
		return other
	}
	return self
}
func (f *answering) Made([16]byte, []byte, time.Duration, time.Duration) {}
func (f *answering) Deleted([16]byte, time.Duration)                     {}
func (f *answering) Release([16]byte, tlsconn.NodeID, uint64)            {}

// C1: sending a session again does not make it younger, whichever way and however often it goes
// round between nodes.
func TestAgeTravels(t *testing.T) {
	clock := newFakeClock()
	a, b := newMemory(t, clock), newMemoryOf(t, clock, other, 1000)
	save(a, 1, "a.example")
	for age := time.Duration(0); age < lifetime; age += 9 * time.Second {
		wantAge(t, a, 1, age, lifetime-age)
		for from, to := range map[*Memory]*Memory{a: b, b: a} {
			if value, age, left, ok := from.Lookup(nil, numbered(1)); ok {
				to.Put(numbered(1), value, age, left, false)
			}
			from.Scan(0, func(key [16]byte, value []byte, age,
				left time.Duration,
			) {
				to.Put(key, value, age, left, true)
			})
		}
		wantAge(t, b, 1, age, lifetime-age)
		clock.pass(9 * time.Second)
	}
	clock.pass(lifetime % (9 * time.Second))
	for name, m := range map[string]*Memory{"a": a, "b": b} {
		if _, _, _, ok := m.Lookup(nil, numbered(1)); ok {
			t.Errorf("node %s tells of it after its end", name)
		}
		if _, v := find(m, 1); v == tlsconn.Found {
			t.Errorf("node %s has it after its end", name)
		}
	}
}

// A batch kept with the lifetime it had when it was made brings nothing back (C1): a copy that
// claims to be young again does not extend one that is here.
func TestPutNeverExtends(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	clock.pass(200 * time.Second)
	m.Put(numbered(1), state("a.example", "ctx"), 0, lifetime, false)
	wantAge(t, m, 1, 200*time.Second, 100*time.Second)
}

// A renewed session has its parent's birth, independent of the difference between the memory's
// clock and the loops'.
func TestRenewalKeepsBirth(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	clock.pass(100 * time.Second)
	parent, v := find(m, 1)
	if v != tlsconn.Found {
		t.Fatal(v)
	}
	clock.pass(50 * time.Second)
	m.Save(numbered(2), tlsconn.Session{State: state("a.example", "ctx"), Born: parent.Born, Expires: parent.Expires})
	wantAge(t, m, 2, 150*time.Second, 150*time.Second)
	// A renewal does not bring back what was forgotten between its look-up and its end either.
	forget(t, m, m.NewRule(ForgetAll, 0))
	m.Save(numbered(3), tlsconn.Session{State: state("a.example", "ctx"), Born: parent.Born, Expires: parent.Expires})
	wantFind(t, m, 3, tlsconn.Unknown)
}

// Peers may claim anything: nothing overflows into a long life.
func TestAbsurdTimes(t *testing.T) {
	const most = time.Duration(1<<63 - 1)
	for _, tt := range []struct{ age, left time.Duration }{
		{0, most}, {-most, most}, {most, most}, {most, -most}, {-most - 1, most}, {0, -most - 1},
	} {
		clock := newFakeClock()
		m := newMemory(t, clock)
		m.Put(numbered(1), state("a.example", "ctx"), tt.age, tt.left, false)
		if s, v := find(m, 1); v == tlsconn.Found && s.Expires.Sub(clock.Now()) > lifetime {
			t.Errorf("age %v, left %v: expires in %v", tt.age, tt.left, s.Expires.Sub(clock.Now()))
		}
		clock.pass(lifetime)
		if _, v := find(m, 1); v == tlsconn.Found {
			t.Errorf("age %v, left %v: used after a lifetime", tt.age, tt.left)
		}
		m.AddRule(Rule{ID: NewRuleID(), Age: tt.age, Left: tt.left}, nil)
		clock.pass(longestLife + 2*ruleMargin)
		if got := m.Rules(nil); len(got) != 0 {
			t.Errorf("age %v, left %v: a rule lives for ever: %+v", tt.age, tt.left, got)
		}
	}
}

// M9: expired and forgotten sessions are overwritten, not only no longer served.
func TestDeadSessionsAreWiped(t *testing.T) {
	secret := []byte("a master secret")
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, clock *fakeClock, m *Memory)
	}{
		{"expired behind one that lives", func(_ *testing.T, clock *fakeClock, m *Memory) {
			clock.pass(10 * time.Second)
			m.Sweep()
		}},
		{"forgotten", func(t *testing.T, _ *fakeClock, m *Memory) {
			forget(t, m, m.NewRule(ForgetName, tlsconn.NameHash("a.example")))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := newFakeClock()
			m := newMemory(t, clock)
			living := append(state("lives.example", "ctx")[:tlsconn.StatePrefixLen], "still good"...)
			m.Put(numbered(1), living, 0, lifetime, false)
			m.Put(numbered(2), state("a.example", "ctx"), 290*time.Second, 10*time.Second, false)
			if !inCache(m, secret) {
				t.Fatal("the secret is not in memory at the start")
			}
			tt.end(t, clock, m)
			if inCache(m, secret) {
				t.Error("the secret is still in memory")
			}
			wantFind(t, m, 1, tlsconn.Found)
		})
	}
}

// inCache reports whether a value that contains b is stored, whether or not look-ups would find it.
func inCache(m *Memory, b []byte) (found bool) {
	for cursor := cache.Cursor(0); ; {
		// A scan at the beginning of time visits entries that have expired since.
		cursor = m.cache.Scan(cursor, -1<<62, func(_, value []byte, _ cache.Entry) {
			found = found || bytes.Contains(value, b)
		})
		if cursor == 0 {
			return found
		}
	}
}

// Sessions age while a machine does not run, and so does a handshake that was under way meanwhile.
func TestSleepAges(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	parent, _ := find(m, 1)
	for _, tt := range []struct {
		name      string
		ran, wall time.Duration
		want      time.Duration
	}{
		{"awake", 3 * time.Second, 3 * time.Second, 0},
		{"wall clock slewed", 3 * time.Second, 4 * time.Second, 0},
		{"wall clock set back", 3 * time.Second, -time.Hour, 0},
		{"suspended, as the source knows", 103 * time.Second, 103 * time.Second, 0},
		{"restored from a snapshot", 3 * time.Second, 153 * time.Second, 150 * time.Second},
	} {
		clock.pass(tt.ran)
		got := m.clock.compare(m.clock.ran+tt.ran, m.clock.wall+tt.wall)
		if got != tt.want {
			t.Errorf("%s: %v are missing, want %v", tt.name, got, tt.want)
		}
		m.age(got)
	}
	wantAge(t, m, 1, 265*time.Second, 35*time.Second)
	m.Save(numbered(2), tlsconn.Session{State: state("a.example", "ctx"), Born: parent.Born, Expires: parent.Expires})
	wantAge(t, m, 2, 265*time.Second, 35*time.Second)
	save(m, 3, "a.example")
	wantAge(t, m, 3, 0, lifetime)
	clock.pass(35 * time.Second)
	wantFind(t, m, 1, tlsconn.Expired)
	wantFind(t, m, 2, tlsconn.Expired)
}
