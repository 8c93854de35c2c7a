package replicate

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// benchSession is a session as TLS 1.3 makes it, without client certificates.
var benchSession = Update{
	Kind: UpdateSession, Key: keyA, Left: 300 * time.Second,
	Value: make([]byte, 230),
}

const benchSlots = 4096

// BenchmarkPush is the cost of one update from producers to a consumer that does
// nothing with it and sleeps when there is nothing; wake-ups included. Nothing is
// dropped: a full queue is tried again.
func BenchmarkPush(b *testing.B) {
	for _, producers := range []int{1, 2, 8} {
		b.Run(fmt.Sprintf("producers=%d/queue=ring", producers), func(b *testing.B) {
			r, wake := NewRing(benchSlots), make(chan struct{}, 1)
			push := func() {
				for !r.TryPush(benchSession) {
					runtime.Gosched()
				}
				if r.NeedsWake() {
					select {
					case wake <- struct{}{}:
					default:
					}
				}
			}
			benchQueue(b, producers, push, func() int {
				n := r.Drain(benchSlots, func(*Update) {})
				if n == 0 && r.Sleep() {
					<-wake
				}
				return n
			})
		})
		// What one would write instead: a copy of the value, because its
		// producer goes on using the memory.
		b.Run(fmt.Sprintf("producers=%d/queue=channel", producers), func(b *testing.B) {
			c := make(chan Update, benchSlots)
			push := func() {
				u := benchSession
				u.Value = bytes.Clone(u.Value)
				for {
					select {
					case c <- u:
						return
					default:
						runtime.Gosched()
					}
				}
			}
			benchQueue(b, producers, push, func() int { <-c; return 1 })
		})
	}
}

func benchQueue(b *testing.B, producers int, push func(), drain func() int) {
	b.ReportAllocs()
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := p; i < b.N; i += producers {
				push()
			}
		})
	}
	for left := b.N; left > 0; {
		left -= drain()
	}
	wg.Wait()
}

// BenchmarkPushAlone is what a loop pays for a push when no other pushes at the
// same moment and the ring has room, the usual case, without the draining.
func BenchmarkPushAlone(b *testing.B) {
	b.ReportAllocs()
	r := NewRing(benchSlots)
	for i := range b.N {
		if i%benchSlots == 0 {
			b.StopTimer()
			r.Drain(benchSlots, func(*Update) {})
			b.StartTimer()
		}
		if r.TryPush(benchSession); r.NeedsWake() {
			b.Fatal("the consumer is not asleep")
		}
	}
}

var keyA = Key{0xa0, 0xa1, 0xa2, 0xa3}
