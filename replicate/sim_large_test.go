package replicate

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reprise/replicate/wire"
)

// What a large fleet costs each of its nodes, in each mode. SCALING.md quotes the table.
// REPRISE_LONG=1 in the environment makes it up to 256 nodes, which takes some minutes
// and 2 GB.
func TestLargeFleets(t *testing.T) {
	sizes := []int{24}
	if os.Getenv("REPRISE_LONG") != "" {
		sizes = []int{64, 128, 256}
	}
	for _, nodes := range sizes {
		for _, mode := range []Mode{Push, Homes, Pull} {
			t.Run(fmt.Sprintf("%d nodes/%v", nodes, mode), func(t *testing.T) { largeFleet(t, nodes, mode) })
		}
	}
}

// A largeSim is a sim whose nodes have memories that know of sessions no more than that
// they have them: all have one value.
type largeSim struct {
	*sim
	memories []*bitMemory
	made     int
	kinds    [8]int // datagrams, by kind
}

func largeFleet(t *testing.T, nodes int, mode Mode) {
	s := &largeSim{sim: newSim(t, 0)}
	s.unlisted = true
	s.memoryOf = func(n *simNode) Memory {
		m := &bitMemory{clock: n.clock}
		s.memories = append(s.memories, m)
		return m
	}
	s.tap = func(datagram []byte) { s.kinds[datagram[1]&7]++ }
	for range nodes {
		s.add(func(o *Options) {
			o.Mode, o.LookupTimeout = mode, 10*time.Millisecond
		})
	}
	s.list() // all begin to know each other at one moment
	introduced := s.runUntil(30*time.Second, s.introduced)
	for _, n := range s.nodes {
		n.snapshot.join.state = JoinDone // which is not what is measured
	}
	messages := s.kinds[wire.KindRetry] + s.kinds[wire.KindHello] +
		s.kinds[wire.KindWelcome] + s.kinds[wire.KindProof]
	introductions := float64(messages) / float64(nodes*(nodes-1)/2)
	s.run(3 * time.Second)

	idle := s.perNode(func() { s.run(3 * time.Second) }, 3*time.Second)
	paced := s.perNode(func() {
		const sessions = 50 // of each node in a second
		for range sessions * nodes {
			s.publish(s.nodes[s.made%nodes])
			s.run(time.Second / time.Duration(sessions*nodes))
		}
	}, time.Second)
	s.run(time.Second)
	converged := s.burst(mode)
	share := s.askAll(mode)
	if want := 0.999; share < want {
		t.Errorf("%.4f of the questions were answered, want %v", share, want)
	}
	t.Logf("%d nodes, %v: introduced in %v, with %.1f datagrams a pair; a node sends, idle, %.0f datagrams/s and %.1f KB/s, with 50 sessions/s %.0f and %.0f KB/s (%.1f and %.1f KB a session), "+
		"CPU with the simulator %.1f %% and %.1f %% of a core; the last of 1,000 was there after %v; %.2f %% of questions answered; heap %d MB",
		nodes, mode, introduced, introductions, idle.datagrams, idle.bytes/1e3, paced.datagrams,
		paced.bytes/1e3, (paced.datagrams-idle.datagrams)/50, (paced.bytes-idle.bytes)/50e3,
		100*idle.cpu, 100*paced.cpu, converged, 100*share, heapLen()>>20)
}

// cost is of one node in one second.
type cost struct{ datagrams, bytes, cpu float64 }

// perNode returns what f costs, which takes d.
func (s *largeSim) perNode(f func(), d time.Duration) cost {
	s.datagrams, s.bytes = 0, 0
	began := cpuTime()
	f()
	n := float64(len(s.nodes)) * d.Seconds()
	return cost{float64(s.datagrams) / n, float64(s.bytes) / n, (cpuTime() - began).Seconds() / n}
}

// largeValue is every session.
var largeValue = make([]byte, len(benchSession.Value))

// publish makes a session at n.
func (s *largeSim) publish(n *simNode) Key {
	key := bitKey(s.made)
	s.made++
	n.Node.memory.Put(key, largeValue, 0, time.Hour, false)
	n.Publish(n.clock(), &Update{
		Kind: UpdateSession, Key: key, Left: time.Hour, Value: largeValue,
		Made: n.clock(),
	})
	n.Flush(n.clock())
	n.tick()
	return key
}

// burst lets one node make sessions as fast as a busy one does, and returns when the
// last was where the mode brings it.
func (s *largeSim) burst(mode Mode) time.Duration {
	if mode == Pull {
		return 0
	}
	const burst = 1000
	var keys []Key
	for i := range burst {
		keys = append(keys, s.publish(s.nodes[0]))
		if i%20 == 19 {
			s.run(time.Millisecond)
		}
	}
	return s.runUntil(10*time.Second, func() bool {
		for _, key := range keys {
			if mode == Push {
				for _, m := range s.memories {
					if !m.has(key) {
						return false
					}
				}
				continue
			}
			first, second := s.nodes[0].homesOf(key)
			for _, home := range []*peer{first, second} {
				if home != nil && !s.live[home.addr].Node.memory.(*bitMemory).has(key) {
					return false
				}
			}
		}
		return true
	})
}

// askAll lets clients come back to other nodes.
func (s *largeSim) askAll(mode Mode) (share float64) {
	const questions = 500
	if mode == Push {
		return 1
	}
	s.run(time.Second)
	asked, answered := 0, 0
	for i := range questions {
		owner := s.nodes[i%len(s.nodes)]
		key := s.publish(owner)
		s.run(10 * time.Millisecond)
		n := s.nodes[s.rand.IntN(len(s.nodes))]
		if n.Node.memory.(*bitMemory).has(key) {
			continue
		}
		asked++
		n.Ask(n.clock(), &Question{Key: key, Owner: owner.id, Answer: func(r Reply) {
			if r.Verdict == Found {
				answered++
			}
		}})
		n.tick()
		s.run(12 * time.Millisecond)
	}
	return float64(answered) / float64(asked)
}

func heapLen() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bitMemory is a Memory of sessions that are numbered.
type bitMemory struct {
	clock func() time.Duration
	bits  []uint64
}

// bitKey spreads numbers over the homes.
func bitKey(i int) (k Key) {
	binary.BigEndian.PutUint64(k[:], score(uint64(i), 1))
	binary.BigEndian.PutUint64(k[8:], uint64(i))
	return k
}

func (m *bitMemory) bit(key Key) (word int, mask uint64) {
	i := binary.BigEndian.Uint64(key[8:])
	return int(i / 64), 1 << (i % 64)
}

func (m *bitMemory) has(key Key) bool {
	word, mask := m.bit(key)
	return word < len(m.bits) && m.bits[word]&mask != 0
}

func (m *bitMemory) Put(key Key, _ []byte, _, _ time.Duration, _ bool) {
	word, mask := m.bit(key)
	for word >= len(m.bits) {
		m.bits = append(m.bits, 0)
	}
	m.bits[word] |= mask
}

func (m *bitMemory) Find(dst []byte, key Key) (_ []byte, age, left time.Duration, ok bool) {
	if !m.has(key) {
		return dst, 0, 0, false
	}
	return append(dst, largeValue...), 0, time.Hour, true
}

func (m *bitMemory) Hold(dst []byte, _ Key, _ uint64) ([]byte, time.Duration, time.Duration, uint64,
	Verdict,
) {
	return dst, 0, 0, 0, Unknown
}
func (m *bitMemory) Release(Key, uint64)       {}
func (m *bitMemory) Delete(Key, time.Duration) {}
func (m *bitMemory) Scan(uint64, func(Key, []byte, time.Duration, time.Duration)) uint64 {
	return 0
}
func (m *bitMemory) Rules(dst []Rule) []Rule { return dst }
func (m *bitMemory) AddRule(_ Rule, done func(int)) bool {
	done(0)
	return false
}
func (m *bitMemory) RulesDigest() uint64 { return 0 }
