package sessions

import (
	"testing"
	"time"

	"reprise/tlsconn"
)

// Making, finding and refusing a session allocates nothing: loops do nothing else.
func TestAllocations(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	forget(t, m, m.NewRule(ForgetName, tlsconn.NameHash("b.example")))
	clock.pass(1)
	save(m, 1, "a.example")
	now := clock.Now()
	made := tlsconn.Session{State: state("a.example", "ctx"), Born: now, Expires: now.Add(lifetime)}
	buf := make([]byte, 0, 4096)
	for name, do := range map[string]func(){
		"find":   func() { m.Find(buf, numbered(1), self, false) },
		"miss":   func() { m.Find(buf, numbered(2), self, false) },
		"hold":   func() { s, _ := m.Find(buf, numbered(1), self, true); m.Release(numbered(1), self, s.Hold) },
		"save":   func() { m.Save(numbered(3), made) },
		"put":    func() { m.Put(numbered(4), made.State, 0, lifetime, false) },
		"lookup": func() { m.Lookup(buf, numbered(1)) },
	} {
		if got := testing.AllocsPerRun(100, do); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	clock := newFakeClock()
	for _, rules := range []int{0, 1, 100} {
		b.Run(map[int]string{0: "rules=0", 1: "rules=1", 100: "rules=100"}[rules], func(b *testing.B) {
			m := newMemory(b, clock)
			m.clock = newClock(time.Now)
			for i := range rules {
				m.AddRule(m.NewRule(ForgetName, uint64(i)), nil)
			}
			save(m, 1, "a.example")
			buf := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				m.Find(buf, numbered(1), self, false)
			}
		})
	}
}
