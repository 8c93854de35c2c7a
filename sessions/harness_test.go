package sessions

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"reprise/cache"
	"reprise/tlsconn"
)

// fakeClock is a clock that a test advances.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Unix(1_700_000_000, 0)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const lifetime = 300 * time.Second

// self and other are IDs of nodes.
var self, other = tlsconn.NodeID{1, 1, 1, 1}, tlsconn.NodeID{2, 2, 2, 2}

func newMemory(tb testing.TB, clock *fakeClock) *Memory {
	return newMemoryOf(tb, clock, self, 1000)
}

func newMemoryOf(tb testing.TB, clock *fakeClock, id tlsconn.NodeID, items int) *Memory {
	tb.Helper()
	c, err := cache.New(cache.Options{Name: "t", Items: items, KeyLen: 16, BlockLen: 4096})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return New(Options{
		Cache: c, Lifetime: lifetime, Hold: 11 * time.Second, Self: id, MaxLookups: 4,
		Now: clock.Now,
	})
}

func numbered(i int) (key tlsconn.Key) {
	binary.BigEndian.PutUint64(key[8:], uint64(i))
	return key
}

// state is a session's state in tlsconn's form, as far as this package reads it.
func state(name, context string) []byte {
	b := tlsconn.AppendStatePrefix(nil, tlsconn.NameHash(name), tlsconn.ContextHash(context),
		tlsconn.CodecStandard)
	return append(b, "a master secret"...)
}

// save makes a session at m as a full handshake does.
func save(m *Memory, i int, name string) {
	now := m.Now()
	m.Save(numbered(i), tlsconn.Session{State: state(name, "ctx"), Born: now, Expires: now.Add(lifetime)})
}

func find(m *Memory, i int) (tlsconn.Session, tlsconn.Verdict) {
	return m.Find(nil, numbered(i), self, false)
}

// wantFind checks the verdict of a look-up.
func wantFind(tb testing.TB, m *Memory, i int, want tlsconn.Verdict) {
	tb.Helper()
	if _, got := find(m, i); got != want {
		tb.Errorf("session %d: got verdict %v, want %v", i, got, want)
	}
}

// wantAge checks the age and remaining life that a peer gets for a session.
func wantAge(tb testing.TB, m *Memory, i int, age, left time.Duration) {
	tb.Helper()
	_, gotAge, gotLeft, ok := m.Lookup(nil, numbered(i))
	if !ok || gotAge != age || gotLeft != left {
		tb.Errorf("session %d: a peer is told age %v, left %v (%t), want %v and %v", i, gotAge, gotLeft, ok, age, left)
	}
}

// forget gives a rule and waits for the walk.
func forget(tb testing.TB, m *Memory, r Rule) (dropped int) {
	tb.Helper()
	done := make(chan int, 1)
	m.AddRule(r, func(n int) { done <- n })
	select {
	case n := <-done:
		return n
	case <-time.After(10 * time.Second):
		tb.Fatal("the cache was not gone through in 10 s")
		return 0
	}
}

// fakeStore is a store in memory. Gets are answered at once, or when the test says so.
type fakeStore struct {
	mu     sync.Mutex
	values map[[16]byte]stored
	manual bool
	asked  []func()
	syncs  int
}

type stored struct {
	value     []byte
	age, left time.Duration
}

func newFakeStore() *fakeStore { return &fakeStore{values: make(map[[16]byte]stored)} }

func (s *fakeStore) Set(key [16]byte, value []byte, age, left time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = stored{append([]byte(nil), value...), age, left}
	return true
}

func (s *fakeStore) Get(key [16]byte,
	answer func([]byte, time.Duration, time.Duration, bool),
) bool {
	s.mu.Lock()
	v, ok := s.values[key]
	reply := func() { answer(append([]byte(nil), v.value...), v.age, v.left, ok) }
	if s.manual {
		s.asked = append(s.asked, reply)
		s.mu.Unlock()
		return true
	}
	s.mu.Unlock()
	reply()
	return true
}

func (s *fakeStore) Delete(key [16]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	return true
}

func (s *fakeStore) Sync(done func(error)) {
	s.mu.Lock()
	s.syncs++
	s.mu.Unlock()
	if done != nil {
		done(nil)
	}
}

// noWaker is a waker that wakes nothing.
type noWaker struct{}

func (noWaker) Wake() {}

// ask is a look-up beyond the process.
func ask(m *Memory, i int, owner tlsconn.NodeID, hold bool) (*tlsconn.Lookup, bool) {
	l := tlsconn.NewLookup(numbered(i), owner, hold, noWaker{})
	return l, m.Ask(l)
}
