package reactor

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The wheel fires each timer once, at its deadline, whatever is set and stopped
// meanwhile, and never asks to be called later than the first deadline.
func TestWheelAgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var w wheel
		timers := make([]Timer, 50)
		due := make(map[*Timer]uint64)
		var fired []*Timer
		for range 3000 {
			tm := &timers[r.IntN(len(timers))]
			switch r.IntN(3) {
			case 0:
				deadline := w.now + uint64(r.Uint32())>>r.IntN(32)
				w.set(tm, deadline)
				due[tm] = max(deadline, w.now+1)
			case 1:
				w.stop(tm)
				delete(due, tm)
			default:
				next, ok := w.next()
				if ok != (len(due) > 0) {
					t.Fatalf("next says %v with %d timers set", ok, len(due))
				}
				if !ok {
					continue
				}
				for _, deadline := range due {
					if next > deadline {
						t.Fatalf("next is %d, a timer is due at %d", next, deadline)
					}
				}
				now := next + uint64(r.IntN(2))*uint64(r.Uint32())>>r.IntN(32)
				fired = fired[:0]
				for !w.advance(now, func(tm *Timer) bool {
					fired = append(fired, tm)
					if due[tm] > now {
						t.Fatalf("fired at %d, due at %d", now, due[tm])
					}
					delete(due, tm)
					return r.IntN(2) > 0
				}) {
				}
				for tm, deadline := range due {
					if deadline <= now {
						t.Fatalf("at %d the timer due at %d has not fired (set %v)", now, deadline, tm.set)
					}
				}
				if unique := slices.Compact(slices.Clone(fired)); len(unique) != len(fired) {
					t.Fatal("a timer fired twice")
				}
			}
		}
	}
}

// A handler may set its timer and stop others.
func TestWheelHandlersChangeTimers(t *testing.T) {
	var w wheel
	var again, other Timer
	w.set(&again, 10)
	w.set(&other, 10)
	calls := 0
	w.advance(10, func(tm *Timer) bool {
		calls++
		w.stop(&again)
		w.stop(&other)
		w.set(&again, 20)
		return true
	})
	if calls != 1 {
		t.Errorf("%d timers fired, want the first only", calls)
	}
	if next, ok := w.next(); !ok || next > 20 {
		t.Errorf("next is %d, %v; want at most 20", next, ok)
	}
}

func BenchmarkWheelSet(b *testing.B) {
	var w wheel
	timers := make([]Timer, 10000)
	for i := 0; b.Loop(); i++ {
		w.set(&timers[i%len(timers)], w.now+uint64(i%60000)+1)
	}
}
