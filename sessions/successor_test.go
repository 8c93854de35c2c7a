package sessions

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/tlsconn"
)

// A fakeHeir records its calls.
type fakeHeir struct {
	mu      sync.Mutex
	made    map[[16]byte][]byte
	deleted map[[16]byte]bool
}

func newFakeHeir() *fakeHeir {
	return &fakeHeir{made: make(map[[16]byte][]byte), deleted: make(map[[16]byte]bool)}
}

func (h *fakeHeir) Made(key [16]byte, value []byte, _, _ time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made[key] = bytes.Clone(value)
}

func (h *fakeHeir) Deleted(key [16]byte, _ time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deleted[key] = true
}

func (h *fakeHeir) Release([16]byte, tlsconn.NodeID, uint64) {}

// succeed makes a memory from the export of m, which is frozen.
func succeed(t *testing.T, m *Memory) *Memory {
	t.Helper()
	var b bytes.Buffer
	if err := m.Export(&b); err != nil {
		t.Fatal(err)
	}
	next := newMemory(t, newFakeClock())
	if _, err := next.Import(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	return next
}

// TestSuccessorHasWhatThereWas: a successor has sessions, spent ones and rules, and no session is
// younger than it was.
func TestSuccessorHasWhatThereWas(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	save(m, 2, "forgotten.example")
	save(m, 3, "a.example")
	clock.pass(100 * time.Second)
	old := m.NewRule(ForgetName, tlsconn.NameHash("forgotten.example"))
	save(m, 4, "forgotten.example")
	clock.pass(time.Second)
	m.Delete(numbered(3), lifetime)
	m.AddRule(old, nil)
	clock.pass(time.Second)
	save(m, 5, "forgotten.example") // after the rule

	m.Freeze(newFakeHeir())
	next := succeed(t, m)
	for i, want := range map[int]tlsconn.Verdict{
		1: tlsconn.Found, 2: tlsconn.Unknown, 3: tlsconn.Spent, 4: tlsconn.Unknown, 5: tlsconn.Found,
		6: tlsconn.Unknown,
	} {
		wantFind(t, next, i, want)
	}
	_, age, left, ok := next.Lookup(nil, numbered(1))
	if !ok || age < 102*time.Second || age > 150*time.Second || left > lifetime-age {
		t.Errorf("a session of 102 s is %v old and has %v left (%v)", age, left, ok)
	}
	// The rule still refuses copies from elsewhere.
	if next.Put(numbered(7), state("forgotten.example", "ctx"), time.Minute, time.Minute, false) {
		t.Error("a session of before the rule is taken")
	}
	if next.RulesDigest() != m.RulesDigest() {
		t.Error("the rules are others")
	}
}

// TestFrozenGivesNothing: a memory that is handed over finds nothing, and reports the results of
// its remaining handshakes.
func TestFrozenGivesNothing(t *testing.T) {
	clock := newFakeClock()
	m := newMemory(t, clock)
	save(m, 1, "a.example")
	save(m, 2, "a.example")
	h := newFakeHeir()
	held, v := m.Find(nil, numbered(2), self, true)
	if v != tlsconn.Found {
		t.Fatal(v)
	}
	m.Freeze(h)
	wantFind(t, m, 1, tlsconn.Unknown)
	if _, v := m.Find(nil, numbered(1), self, true); v != tlsconn.Unknown {
		t.Errorf("held: got %v, want unknown", v)
	}
	if m.Ask(&tlsconn.Lookup{Key: numbered(1)}) {
		t.Error("it asks others")
	}
	save(m, 3, "a.example")
	if !bytes.Equal(h.made[numbered(3)], state("a.example", "ctx")) {
		t.Error("the heir is not told of a session that was made")
	}
	next := succeed(t, m)
	wantFind(t, next, 2, tlsconn.Spent) // it belongs to this memory
	if !m.Spend(numbered(2), self, held.Hold, lifetime) || !h.deleted[numbered(2)] {
		t.Error("what a handshake has reserved cannot be spent, or the heir is not told")
	}
	next.SaveFor(numbered(4), state("a.example", "ctx"), time.Second, time.Minute)
	wantFind(t, next, 4, tlsconn.Found)
	next.SpendFor(numbered(4), time.Minute)
	wantFind(t, next, 4, tlsconn.Spent)

	m.Thaw()
	wantFind(t, m, 1, tlsconn.Found)
	wantFind(t, m, 3, tlsconn.Found)
}

// TestOnceInBothProcesses: of handshakes at a memory and at its successor that try one session
// during the handover, one may use it.
func TestOnceInBothProcesses(t *testing.T) {
	for range 100 {
		m := newMemory(t, newFakeClock())
		save(m, 1, "a.example")
		var spent atomic.Int32
		var loops sync.WaitGroup
		try := func(m *Memory) {
			if s, v := m.Find(nil, numbered(1), self, true); v == tlsconn.Found &&
				m.Spend(numbered(1), self, s.Hold, lifetime) {
				spent.Add(1)
			}
		}
		for range 2 {
			loops.Go(func() { try(m) })
		}
		m.Freeze(newFakeHeir())
		next := succeed(t, m)
		for range 2 {
			loops.Go(func() { try(next) })
		}
		loops.Wait()
		if n := spent.Load(); n != 1 {
			t.Fatalf("spent %d times, want once", n)
		}
	}
}

// TestImportRefusesGarbage: a malformed export is refused and never panics.
func TestImportRefusesGarbage(t *testing.T) {
	m := newMemory(t, newFakeClock())
	save(m, 1, "a.example")
	m.Delete(numbered(2), lifetime)
	m.AddRule(m.NewRule(ForgetName, 1), nil)
	m.Freeze(newFakeHeir())
	var b bytes.Buffer
	if err := m.Export(&b); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	for n := range len(whole) {
		next := newMemory(t, newFakeClock())
		if got, err := next.Import(whole[:n]); err == nil && got > 0 && n < len(whole)-exportedLen {
			t.Errorf("%d of %d bytes: took %d sessions", n, len(whole), got)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 0xff
		_, _ = next.Import(changed)
		_ = next.cache.Close()
	}
	other := bytes.Clone(whole)
	other[1] ^= 1
	if _, err := newMemory(t, newFakeClock()).Import(other); err == nil {
		t.Error("sessions of another start of the machine are taken")
	}
}
