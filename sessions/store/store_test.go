package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// patience allows for a machine that is busy with other things.
const patience = 20 * time.Second

// first is the secret that seals.
func (s *Store) first() *secret { return (*s.secrets.Load())[0] }

func awaitReady(t *testing.T, s *Store) {
	t.Helper()
	nettest.Eventually(t, patience, s.breaker.allows, "the store to be used")
}

type reply struct {
	value     []byte
	age, left time.Duration
	ok        bool
}

// ask looks key up and waits for the answer.
func ask(t *testing.T, s *Store, key [16]byte) reply {
	t.Helper()
	replies := make(chan reply, 1)
	if !s.Get(key, func(value []byte, age, left time.Duration,
		ok bool,
	) {
		replies <- reply{value, age, left, ok}
	}) {
		t.Fatalf("does not ask: %+v", s.Stats())
	}
	select {
	case r := <-replies:
		return r
	case <-time.After(patience):
		t.Fatal("never answers")
		return reply{}
	}
}

// put stores value and waits until that is done.
func put(t *testing.T, s *Store, key [16]byte, value string, lifetime time.Duration) {
	t.Helper()
	before := s.Stats().Sets.Load()
	if !s.Set(key, []byte(value), 0, lifetime) {
		t.Fatalf("does not set: %+v", s.Stats())
	}
	nettest.Eventually(t, patience, func() bool { return s.Stats().Sets.Load() > before }, "the session to be written")
}

func randomKey() (key [16]byte) {
	for i := range key {
		key[i] = byte(rand.Uint32())
	}
	return key
}

func TestSetCopies(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience})
	resume := f.hang()
	value := []byte("state")
	if !s.Set([16]byte{1}, value, 0, time.Minute) {
		t.Fatal("does not set")
	}
	clear(value)
	resume()
	nettest.Eventually(t, patience, func() bool { return s.Stats().Sets.Load() == 1 }, "the session to be written")
	if got := ask(t, s, [16]byte{1}); string(got.value) != "state" {
		t.Errorf("got %q", got.value)
	}
}

func TestWriteQueueIsBounded(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	s := startFake(t, f, Options{WriteQueue: 1024})
	defer f.hang()()
	key := [16]byte{5}
	if !s.Set(key, nil, 0, time.Minute) {
		t.Fatal("does not set")
	}
	nettest.Eventually(t, patience, func() bool { return f.waiting.Load() == 1 }, "a write to hang")
	accepted := 0
	for s.Set(key, []byte("state"), 0, time.Minute) {
		accepted++
	}
	if want := 1024 / writers; accepted != want {
		t.Errorf("%d writes wait, want %d", accepted, want)
	}
	if s.Delete(key) {
		t.Error("a deletion finds room in a full queue")
	}
	if got := s.Stats(); got.SetDropped.Load(queueFull) != 2 || got.WriteQueue != int64(accepted) {
		t.Errorf("dropped %v, waiting %d", got.SetDropped.Counts(), got.WriteQueue)
	}
}

func TestLookupQueueIsBounded(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience})
	resume := f.hang()
	var answered atomic.Int32
	get := func() bool {
		return s.Get([16]byte{}, func([]byte, time.Duration, time.Duration, bool) { answered.Add(1) })
	}
	for range readers {
		get()
	}
	nettest.Eventually(t, patience, func() bool { return f.waiting.Load() == readers }, "look-ups to hang")
	accepted := int32(readers)
	for get() {
		accepted++
	}
	if accepted != readers+lookupQueue {
		t.Errorf("%d look-ups wait, want %d", accepted, readers+lookupQueue)
	}
	if got := s.Stats().GetRefused.Load(queueFull); got != 1 {
		t.Errorf("%d refused, want 1", got)
	}
	resume()
	nettest.Eventually(t, patience, func() bool { return answered.Load() == accepted }, "all answers")
}

// A deletion that overtook the write before it would bring a spent session back.
func TestWritesOfASessionKeepTheirOrder(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience})
	for range 100 {
		key := randomKey()
		deleted := s.Stats().Deletes.Load()
		for range 3 {
			if !s.Set(key, []byte("state"), 0, time.Minute) || !s.Delete(key) {
				t.Fatal("does not write")
			}
		}
		nettest.Eventually(t, patience, func() bool { return s.Stats().Deletes.Load() == deleted+3 }, "the deletions")
		if got := ask(t, s, key); got.ok {
			t.Fatal("a deleted session is there")
		}
	}
}

func TestSetRefusesUselessSessions(t *testing.T) {
	s := startFake(t, newFake(), Options{})
	for _, tc := range []struct {
		value    []byte
		lifetime time.Duration
	}{{make([]byte, maxValueLen+1), time.Minute}, {nil, 0}, {nil, -time.Second}, {
		nil,
		time.Millisecond - 1,
	}} {
		if s.Set([16]byte{}, tc.value, 0, tc.lifetime) {
			t.Errorf("takes %d bytes for %v", len(tc.value), tc.lifetime)
		}
	}
	if got := s.Stats().SetDropped.Counts()["invalid"]; got != 4 {
		t.Errorf("counts %d of 4", got)
	}
}

// A session's remaining life is what both clocks allow, the nodes' and the server's: neither can
// return life that has passed by the other.
func TestAge(t *testing.T) {
	const left, age = 100 * time.Second, 200 * time.Second // when it was written
	for name, tc := range map[string]struct {
		passed time.Duration // by the clocks of writer and reader
		told   time.Duration // remaining life by the server
		want   time.Duration // left
	}{
		"both agree":               {40 * time.Second, 60 * time.Second, 60 * time.Second},
		"server is late":           {40 * time.Second, left, 60 * time.Second},
		"reader's clock is behind": {-24 * time.Hour, 60 * time.Second, 60 * time.Second},
		"reader's clock is ahead":  {24 * time.Hour, 60 * time.Second, 0},
		"expired meanwhile":        {0, 0, 0},
		"it cannot prolong":        {0, time.Hour, left},
		// Restored from a backup, or kept by an attacker (M8).
		"ten days old, said to be new": {10 * 24 * time.Hour, left, 0},
		"untold":                       {40 * time.Second, untold, 60 * time.Second},
		"untold, reader is late":       {-24 * time.Hour, untold, left},
		"untold, reader ahead":         {24 * time.Hour, untold, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			s := startFake(t, f, Options{LookupTimeout: patience})
			key := randomKey()
			f.mu.Lock()
			f.left = tc.told
			f.values[s.first().name("", key)] = s.first().seal(key,
				session{state: []byte("state"), age: age, left: left, written: time.Now().Add(-tc.passed)})
			f.mu.Unlock()
			got := ask(t, s, key)
			if got.ok != (tc.want > 0) || got.left > tc.want || got.left < tc.want-patience {
				t.Errorf("got %v, %v; want %v", got.left, got.ok, tc.want)
			}
			if got.ok && (got.age+got.left-age-left).Abs() > 2*time.Millisecond {
				t.Errorf("age %v and %v left are not a life of %v", got.age, got.left, age+left)
			}
		})
	}
}

func TestDamagedValueIsAMiss(t *testing.T) {
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience})
	key := [16]byte{1}
	put(t, s, key, "state", time.Minute)
	f.mu.Lock()
	f.values[s.first().name("", key)][20] ^= 4
	f.mu.Unlock()
	if got := ask(t, s, key); got.ok || got.value != nil {
		t.Errorf("got %q", got.value)
	}
	if got := s.Stats(); got.NotAuthentic.Load() != 1 || got.Misses.Load() != 1 ||
		got.Errors.Load() != 0 {
		t.Errorf("counts %+v", got)
	}
}

// During a rotation some nodes write with the new secret, some with the old one.
func TestTwoSecrets(t *testing.T) {
	f := newFake()
	o := Options{LookupTimeout: patience}
	old, both, renewed := startFake(t, f, o, "a"), startFake(t, f, o, "b", "a"), startFake(t, f, o, "b")
	put(t, old, [16]byte{1}, "by old", time.Minute)
	put(t, both, [16]byte{2}, "by both", time.Minute)
	for _, tc := range []struct {
		store *Store
		key   byte
		want  string
	}{{both, 1, "by old"}, {both, 2, "by both"}, {renewed, 2, "by both"}, {renewed, 1, ""}, {old, 2, ""}} {
		if got := ask(t, tc.store, [16]byte{tc.key}); string(got.value) != tc.want {
			t.Errorf("session %d: got %q, want %q", tc.key, got.value, tc.want)
		}
	}
	both.Delete([16]byte{1})
	nettest.Eventually(t, patience, func() bool { return both.Stats().Deletes.Load() == 1 }, "the deletion")
	if got := ask(t, old, [16]byte{1}); got.ok {
		t.Error("a session made with the old secret cannot be deleted")
	}
}

func TestHungServerCostsTheBudget(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: 5 * time.Millisecond})
	resume := f.hang()
	asked := 0
	for s.breaker.allows() {
		if got := ask(t, s, [16]byte{}); got.ok {
			t.Fatal("a hung server has answered")
		}
		asked++
	}
	if asked != 5 {
		t.Errorf("%d look-ups until it is left alone, want 5", asked)
	}
	if got := s.Stats(); got.Late.Load() != 5 || !got.BreakerOpen || got.Opened.Load() != 1 {
		t.Errorf("counts %+v", got)
	}
	if s.Get([16]byte{}, nil) || s.Set([16]byte{}, nil, 0, time.Minute) || s.Delete([16]byte{}) {
		t.Error("a server that is left alone is asked")
	}
	resume()
	awaitReady(t, s)
}

// A server that refuses writes may still serve look-ups.
func TestRefusedWritesDoNotStopLookups(t *testing.T) {
	var lines atomic.Int32
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience, Log: func(string) { lines.Add(1) }})
	put(t, s, [16]byte{1}, "state", time.Minute)
	f.breakWith(errors.New(`memcache: unexpected response line from "set": "SERVER_ERROR out of memory storing object\r\n"`))
	for range 20 {
		s.Set([16]byte{2}, nil, 0, time.Minute)
	}
	nettest.Eventually(t, patience, func() bool { return s.Stats().WriteErrors.Load() == 20 }, "the writes")
	f.breakWith(nil)
	if got := ask(t, s, [16]byte{1}); !got.ok {
		t.Error("what was stored is not found")
	}
	if got := lines.Load(); got != 1 {
		t.Errorf("%d log lines, want 1", got)
	}
}

func TestEveryLookupIsAnsweredOnce(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience})
	var users sync.WaitGroup
	var asked, answered atomic.Uint64
	stop := make(chan struct{})
	for range 8 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				key := [16]byte{byte(rand.Uint32())}
				s.Set(key, key[:], 0, time.Minute)
				if s.Get(key, func(value []byte, _, _ time.Duration, ok bool) {
					answered.Add(1)
					if ok && !bytes.Equal(value, key[:]) {
						t.Errorf("session %x is %x", key, value)
					}
				}) {
					asked.Add(1)
				}
			}
		})
	}
	nettest.Eventually(t, patience, func() bool { return answered.Load() > 2000 }, "answers")
	s.Close() // while they go on
	close(stop)
	users.Wait()
	if asked.Load() != answered.Load() {
		t.Errorf("%d look-ups, %d answers", asked.Load(), answered.Load())
	}
	got := s.Stats()
	if got.Gets.Load() != asked.Load() ||
		got.Hits.Load()+got.Misses.Load()+got.Late.Load()+got.Errors.Load() != asked.Load() ||
		got.Latency.Snapshot().Count != asked.Load() {
		t.Errorf("%d look-ups counted as %+v", asked.Load(), got)
	}
	if s.Get([16]byte{}, nil) || s.Set([16]byte{}, nil, 0, time.Minute) || s.Delete([16]byte{}) {
		t.Error("a closed store takes more")
	}
	s.Close()
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience})
	resume := f.hang()
	for range 100 {
		if !s.Set(randomKey(), []byte("state"), 0, time.Minute) {
			t.Fatal("does not set")
		}
	}
	var closing sync.WaitGroup
	closing.Go(s.Close)
	nettest.Eventually(t, patience, func() bool { return !s.Set([16]byte{}, nil, 0, time.Minute) }, "Close to begin")
	resume()
	closing.Wait()
	if got := s.Stats().Sets.Load(); got < 100 {
		t.Errorf("%d of 100 sessions were written", got)
	}
}

func TestCloseDoesNotWaitForAHungServer(t *testing.T) {
	nettest.LeakCheck(t)
	f := newFake()
	s := startFake(t, f, Options{LookupTimeout: patience})
	defer f.hang()()
	for range 100 {
		if !s.Set(randomKey(), []byte("state"), 0, time.Minute) {
			t.Fatal("does not set")
		}
	}
	begin := time.Now()
	s.Close()
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("Close took %v", took)
	}
	got := s.Stats()
	if dropped := got.SetDropped.Counts()["closed"] +
		got.SetDropped.Counts()["breaker_open"]; dropped+got.WriteErrors.Load() != 100 {
		t.Errorf("100 writes were counted as %+v", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := [][]byte{make([]byte, 32)}
	for url, secrets := range map[string][][]byte{
		"redis://one":     nil,
		"memcached://one": {make([]byte, 8)},
		"nothing://one":   good,
	} {
		if s, err := Open(url, Options{Secrets: secrets}); err == nil {
			s.Close()
			t.Errorf("opens %s with secrets %v", url, secrets)
		}
	}
}

func TestRendezvous(t *testing.T) {
	three, reordered, two := rendezvous{"one:1", "two:1", "three:1"}, rendezvous{"three:1", "one:1", "two:1"}, rendezvous{"one:1", "three:1"}
	counts := map[string]int{}
	s := testSecret(t, "a")
	for range 3000 {
		name := s.name("reprise:", randomKey())
		pick := func(r rendezvous) string {
			address, err := r.PickServer(name)
			if err != nil {
				t.Fatal(err)
			}
			return address.String()
		}
		picked := pick(three)
		counts[picked]++
		if got := pick(reordered); got != picked {
			t.Fatalf("%s is on %s or %s, by the order of servers", name, picked, got)
		}
		if got := pick(two); picked != "two:1" && got != picked {
			t.Fatalf("%s moves from %s to %s as another server goes", name, picked, got)
		}
	}
	for _, server := range three {
		if n := counts[server]; n < 850 || n > 1150 {
			t.Errorf("%s has %d of 3000 names", server, n)
		}
	}
}
