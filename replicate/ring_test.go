package replicate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/replicate/wire"
)

func session(key byte, value string) Update {
	return Update{Kind: UpdateSession, Key: Key{key}, Left: time.Minute, Value: []byte(value)}
}

// drain returns the values of at most limit updates.
func drain(r *Ring, limit int) (values []string) {
	r.Drain(limit, func(u *Update) { values = append(values, string(u.Value)) })
	return values
}

func TestRingKeepsOrderThroughLaps(t *testing.T) {
	r := NewRing(4)
	next, want := 0, 0
	for _, n := range []int{1, 4, 3, 2, 4, 4, 1} {
		for range n {
			if !r.TryPush(session(0, fmt.Sprint(next))) {
				t.Fatalf("push %d refused", next)
			}
			next++
		}
		for _, got := range drain(r, 100) {
			if got != fmt.Sprint(want) {
				t.Fatalf("got %s, want %d", got, want)
			}
			want++
		}
	}
	if want != next {
		t.Errorf("drained %d of %d", want, next)
	}
}

func TestRingCarriesEveryField(t *testing.T) {
	r := NewRing(2)
	value := []byte("value")
	want := Update{
		Kind: UpdateAsk, Key: Key{1, 2, 3}, Left: time.Hour, Value: value,
		Ask: new(Question),
	}
	r.TryPush(want)
	value[0] = 'X' // the ring has a copy
	r.Drain(1, func(u *Update) {
		if u.Kind != want.Kind || u.Key != want.Key || u.Left != want.Left || u.Ask != want.Ask ||
			string(u.Value) != "value" {
			t.Errorf("got %+v, want %+v", *u, want)
		}
	})
}

func TestRingFull(t *testing.T) {
	for _, tt := range []struct{ slots, want int }{
		{0, 2},
		{1, 2},
		{2, 2},
		{3, 4},
		{4, 4},
		{1000, 1024},
	} {
		r := NewRing(tt.slots)
		for i := range tt.want {
			if !r.TryPush(Update{}) {
				t.Fatalf("slots %d: push %d refused", tt.slots, i)
			}
		}
		for range 3 {
			if r.TryPush(Update{}) {
				t.Fatalf("slots %d: push accepted when full", tt.slots)
			}
		}
		if got := r.Dropped(); got != 3 {
			t.Errorf("slots %d: dropped %d, want 3", tt.slots, got)
		}
		if got := len(drain(r, 1)); got != 1 || !r.TryPush(Update{}) || r.TryPush(Update{}) {
			t.Errorf("slots %d: one drained (%d) should make room for one", tt.slots, got)
		}
	}
}

func TestRingDrainKeepsToItsLimit(t *testing.T) {
	r := NewRing(8)
	for _, v := range []string{"a", "b", "c"} {
		r.TryPush(session(0, v))
	}
	for _, tt := range []struct {
		limit int
		want  string
	}{{0, "[]"}, {-1, "[]"}, {2, "[a b]"}, {2, "[c]"}, {2, "[]"}} {
		if got := fmt.Sprint(drain(r, tt.limit)); got != tt.want {
			t.Errorf("drain %d: got %s, want %s", tt.limit, got, tt.want)
		}
	}
}

func TestRingValueLengths(t *testing.T) {
	r := NewRing(2)
	for _, n := range []int{0, 1, ringValueLen, ringValueLen + 1, wire.MaxValueLen, 3} {
		want := bytes.Repeat([]byte{byte(n) | 1}, n)
		if !r.TryPush(Update{Kind: UpdateSession, Value: want}) {
			t.Fatalf("value of %d bytes refused", n)
		}
		r.Drain(1, func(u *Update) {
			if !bytes.Equal(u.Value, want) {
				t.Errorf("value of %d bytes came back with %d, or damaged", n, len(u.Value))
			}
		})
	}
	if r.TryPush(Update{Kind: UpdateSession, Value: make([]byte, wire.MaxValueLen+1)}) {
		t.Error("a value that cannot be sent was accepted")
	}
	if r.TooLarge() != 1 || r.Dropped() != 0 {
		t.Errorf("too large %d, dropped %d; want 1, 0", r.TooLarge(), r.Dropped())
	}
}

// What was drained is gone from memory, wherever the value was kept and
// whatever the consumer did to its update.
func TestRingWipes(t *testing.T) {
	r := NewRing(2)
	for _, n := range []int{100, ringValueLen, 4000} {
		var kept []byte
		r.TryPush(Update{
			Kind: UpdateSession, Key: Key{1}, Value: bytes.Repeat([]byte{0xaa}, n),
			Ask: new(Question),
		})
		s := r.slot(r.head)
		r.Drain(1, func(u *Update) { kept, u.Value = u.Value, nil })
		if i := bytes.IndexByte(kept, 0xaa); i >= 0 {
			t.Errorf("value of %d bytes: byte %d is still there", n, i)
		}
		if s.update.Key != (Key{}) || s.update.Ask != nil {
			t.Errorf("the slot still has %+v", s.update)
		}
	}
}

func TestRingSleep(t *testing.T) {
	r := NewRing(4)
	if r.NeedsWake() {
		t.Error("a consumer that never slept needs no wake-up")
	}
	if !r.Sleep() {
		t.Error("the consumer may not sleep though there is nothing")
	}
	r.TryPush(Update{})
	if !r.NeedsWake() || r.NeedsWake() {
		t.Error("want exactly one wake-up for one sleep")
	}
	if r.Sleep() {
		t.Error("the consumer may sleep though there is something")
	}
	if r.NeedsWake() {
		t.Error("a consumer that did not sleep needs a wake-up")
	}
	drain(r, 10)
	if !r.Sleep() {
		t.Error("the consumer may not sleep though all is drained")
	}
	drain(r, 10) // woken by something else, a timer say
	r.TryPush(Update{})
	if r.NeedsWake() {
		t.Error("a consumer that drains is awake")
	}
}

// Many producers push through a small ring into a consumer that really sleeps
// whenever it may, and every update is checked. In lock-step a producer pushes
// only when its last update was consumed, so that a lost wake-up is not made good
// by the next push: the test's watchdog sees it.
func TestRingHammer(t *testing.T) {
	for _, procs := range []int{1, 2, 4} {
		for _, producers := range []int{1, 3, 8} {
			for _, lockStep := range []bool{false, true} {
				name := fmt.Sprintf("procs=%d/producers=%d/lockstep=%v", procs, producers, lockStep)
				if !t.Run(name, func(t *testing.T) {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
					hammerRing(t, producers, 24_000/producers, lockStep)
				}) {
					return // one watchdog is long enough
				}
			}
		}
	}
}

func hammerRing(t *testing.T, producers, each int, lockStep bool) {
	r := NewRing(16)
	wake := make(chan struct{}, 1) // as an eventfd: any number of wake-ups are one
	consumed := make([]atomic.Int64, producers)
	var stopped atomic.Bool // the consumer gave up
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopped.Store(true)
	for p := range producers {
		wg.Go(func() {
			awaitTaken := func(int) {}
			if lockStep {
				awaitTaken = func(i int) {
					until(&stopped,
						func() bool { return consumed[p].Load() > int64(i) })
				}
			}
			produce(r, p, each, wake, &stopped, awaitTaken)
		})
	}

	watchdog := time.NewTimer(30 * time.Second)
	defer watchdog.Stop()
	sleeps := 0
	for left := producers * each; left > 0; {
		n := r.Drain(7, func(u *Update) {
			p := int(u.Key[0])
			if got, want := binary.BigEndian.Uint64(u.Value), consumed[p].Load(); got != uint64(want) ||
				len(u.Value) != 8+p*150 {
				t.Fatalf("producer %d: got update %d with %d bytes, want %d", p, got, len(u.Value), want)
			}
			consumed[p].Add(1)
		})
		left -= n
		if n > 0 || !r.Sleep() {
			continue
		}
		sleeps++
		select {
		case <-wake:
		case <-watchdog.C:
			t.Fatalf("not woken, %d updates to come", left)
		}
	}
	if sleeps == 0 {
		t.Error("the consumer never slept: nothing was tested")
	}
	if got := r.Drain(1, func(*Update) {}); got != 0 {
		t.Error("more came out than went in")
	}
}

// until waits until something is so, or it was given up.
func until(stopped *atomic.Bool, ok func() bool) {
	for !ok() && !stopped.Load() {
		runtime.Gosched()
	}
}

// produce pushes numbered updates of one producer, and waits after each as it is told to.
func produce(r *Ring, p, each int, wake chan<- struct{}, stopped *atomic.Bool,
	awaitTaken func(i int),
) {
	value := make([]byte, 8+p*150) // long ones grow their slots
	for i := range each {
		binary.BigEndian.PutUint64(value, uint64(i))
		until(stopped, func() bool {
			return r.TryPush(Update{Kind: UpdateSession, Key: Key{byte(p)}, Value: value})
		})
		if r.NeedsWake() {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
		awaitTaken(i)
	}
}

func TestRingDoesNotAllocate(t *testing.T) {
	r := NewRing(8)
	u := Update{Kind: UpdateSession, Value: make([]byte, ringValueLen)}
	drained := 0
	count := func(*Update) { drained++ }
	got := testing.AllocsPerRun(1000, func() {
		r.TryPush(u)
		r.NeedsWake()
		r.Drain(2, count)
		r.Sleep()
	})
	if got != 0 || drained != 1001 {
		t.Errorf("%v allocations for %d updates, want 0 for 1001", got, drained)
	}

	// A slot grows once and keeps what it has.
	long := Update{Kind: UpdateSession, Value: make([]byte, 4000)}
	for range 8 {
		r.TryPush(long)
		r.Drain(1, count)
	}
	if got := testing.AllocsPerRun(100, func() { r.TryPush(long); r.Drain(1, count) }); got != 0 {
		t.Errorf("%v allocations for a long value in a grown slot, want 0", got)
	}
}
