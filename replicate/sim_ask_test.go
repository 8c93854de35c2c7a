package replicate

import (
	"testing"
	"time"
)

// A question is answered in the time that a handshake waits, however bad the network,
// and costs little on a good one. SCALING.md quotes the figures.
func TestAskingSchedule(t *testing.T) {
	const questions = 2000
	t.Logf("%6s %9s %6s %10s %9s %10s %10s", "mode", "RTT", "loss", "owner", "answered", "datagrams", "mean time")
	for _, mode := range []Mode{Push, Homes, Pull} {
		for _, delay := range []time.Duration{
			100 * time.Microsecond, 500 * time.Microsecond,
			1500 * time.Microsecond,
		} {
			for _, loss := range []float64{0, 0.05, 0.2} {
				for _, dead := range []bool{false, true} {
					if dead && mode == Pull {
						continue // no other node has it
					}
					a := askUnderLoss(t, mode, delay, loss, dead, questions)
					owner := "answers"
					if dead {
						owner = "is gone"
					}
					t.Logf("%6v %9v %5.0f%% %10s %8.2f%% %10.2f %10v", mode, 2*delay, 100*loss, owner, 100*a.share, a.datagrams,
						a.took.Round(10*time.Microsecond))
					want, most := 0.999, 12.0
					switch {
					case delay > time.Millisecond:
						want = 0.975 // a third of the time is one way and back
					case dead && loss > 0.1:
						want = 0.995
					case delay < 500*time.Microsecond && loss == 0 && !dead:
						most = 2.2
					case delay < 500*time.Microsecond && loss < 0.1:
						most = 5
					}
					if a.share < want {
						t.Errorf("%v, RTT %v, loss %v, the owner %s: %.4f answered, want %v", mode, 2*delay, loss, owner, a.share, want)
					}
					if a.datagrams > most {
						t.Errorf("%v, RTT %v, loss %v, the owner %s: %.2f datagrams for a question", mode, 2*delay, loss, owner, a.datagrams)
					}
				}
			}
		}
	}
}

type asked struct {
	share, datagrams float64
	took             time.Duration
}

// askUnderLoss asks at one node for sessions that another has made, and that are where
// the mode would have brought them but here.
func askUnderLoss(t *testing.T, mode Mode, delay time.Duration, loss float64, dead bool,
	questions int,
) (a asked) {
	s := newSim(t, 0)
	s.delay = delay
	for range 5 {
		s.add(func(o *Options) {
			o.Mode, o.LookupTimeout = mode, 10*time.Millisecond
			o.Heartbeat, o.DeadAfter = 10*time.Second, time.Hour // of questions only
		})
	}
	s.runUntil(10*time.Second, s.introduced)
	s.run(3 * time.Second)
	asker, owner := s.nodes[0], s.nodes[1]
	key := func(i int) (key Key) { // the asking node is not a home of it
		for n := 0; ; n++ {
			key = simKey(1000*i + n)
			if first, second := asker.homesOf(key); first != nil && second != nil {
				return key
			}
		}
	}
	keys := make([]Key, questions)
	for i := range keys {
		keys[i] = key(i)
		for _, n := range s.nodes[1:] {
			isHome := n.isHome(keys[i], nil)
			if n == owner || mode == Push || mode == Homes && isHome {
				n.memory.Put(keys[i], []byte("session"), 0, time.Hour, false)
			}
		}
	}
	owner.down = dead
	// So that what is known of round trips is what a network with losses lets be known.
	s.loss = loss
	answered := 0
	s.datagrams = 0
	for _, k := range keys {
		began := s.now
		asker.Ask(asker.clock(), &Question{Key: k, Owner: owner.id, Answer: func(r Reply) {
			if r.Verdict == Found {
				answered++
				a.took += s.now - began
			}
		}})
		asker.tick()
		s.run(20 * time.Millisecond)
	}
	a.share, a.datagrams = float64(answered)/float64(questions),
		float64(s.datagrams)/float64(questions)
	if answered > 0 {
		a.took /= time.Duration(answered)
	}
	return a
}
