package sim

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"reprise/internal/timeline"
	"reprise/replicate"
	"reprise/replicate/wire"
)

// A world is one scenario: a fleet, its clients, its network and its time.
type world struct {
	t    *testing.T
	seed uint64
	rand *rand.Rand // of the scenario; links have their own
	now  time.Duration

	queue timeline.Queue
	order int

	slots      []*slot
	conditions conditions
	links      map[[2]int]*link

	mode    replicate.Mode
	single  bool     // sessions are for one use
	moments []moment // to which nodes may be set back
	clients []*session
	forgets []*forget
	forked  map[replicate.ID]bool // there may be two of them
	lastID  int                   // of an attempt
	counts  counts
	failure string
	events  []string // the log of the scenario

	hash   maphash.Seed
	nonces map[nonce]uint64 // hashes of what was sealed with them
}

// counts say whether a scenario was worth running.
type counts struct {
	made, offered, resumed, spent, acknowledged, silent, forks, restores int
}

// A slot is an address at which nodes run one after another.
type slot struct {
	index  int
	addr   netip.AddrPort
	node   *node // nil if none runs
	clone  bool  // a copy of another slot's node, unknown to its peers
	group  int   // slots in different groups are cut off from each other
	paused bool
	inbox  []datagram
	// troubleAt is the last time it was paused, cut off or restarted, or recovered from that.
	troubleAt time.Duration
}

type datagram struct {
	from netip.AddrPort
	data []byte
	// news is false for copies, for held-back datagrams and for introductions: a node may not take
	// any of these for a sign of life.
	news bool
}

// conditions are the network's effects on datagrams.
type conditions struct {
	loss, dup float64
	delay     time.Duration // mean of one way
	late      float64       // share delayed by up to mostLate more
	held      float64       // share delayed by up to seconds more
}

const mostLate = 100 * time.Millisecond

var fair = conditions{delay: 200 * time.Microsecond}

// A link is one direction between two slots. It has its own randomness, so that a scenario does not
// depend on the order in which a node sends to several others.
type link struct {
	rand    *rand.Rand
	heardAt time.Duration // when news arrived
	gapAt   time.Duration // when news arrived after too long a silence
}

func (l *link) heard(now time.Duration) {
	if now-l.heardAt >= deadAfter {
		l.gapAt = now
	}
	l.heardAt = now
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed,
			0)), conditions: fair, links: map[[2]int]*link{}, forked: map[replicate.ID]bool{},
		nonces: map[nonce]uint64{}, hash: maphash.MakeSeed(),
		// The clock does not start at 0, which is not special.
		now: time.Hour,
	}
	t.Cleanup(func() {
		for _, s := range w.slots {
			s.kill()
		}
	})
	return w
}

func (w *world) epoch() time.Time { return time.Unix(1_700_000_000, 0) }

// at schedules an event.
func (w *world) at(at time.Duration, do func()) {
	w.order++
	w.queue.Add(max(at, w.now), w.order, do)
}

func (w *world) after(d time.Duration, do func()) { w.at(w.now+d, do) }

// run lets time pass until end, or until a promise is broken.
func (w *world) run(end time.Duration) {
	for w.failure == "" {
		at, do, ok := w.queue.Next(end)
		if !ok {
			break
		}
		w.now = at
		do()
	}
	w.now = max(w.now, end)
}

// log records an event.
func (w *world) log(format string, args ...any) {
	w.events = append(w.events, fmt.Sprintf("%9.4f "+format,
		append([]any{(w.now - time.Hour).Seconds()}, args...)...))
}

// fail ends the scenario.
func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
		w.log("BROKEN: %s", w.failure)
	}
}

// chance is true with probability p.
func (w *world) chance(p float64) bool { return w.rand.Float64() < p }

// between returns a time from a to b.
func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rand.Int64N(int64(b-a)+1))
}

func (w *world) addSlot() *slot {
	i := len(w.slots)
	s := &slot{index: i, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}),
		7171), troubleAt: w.now}
	w.slots = append(w.slots, s)
	return s
}

func (w *world) slotAt(addr netip.AddrPort) *slot {
	for _, s := range w.slots {
		if s.addr == addr {
			return s
		}
	}
	return nil
}

func (w *world) link(from, to *slot) *link {
	id := [2]int{from.index, to.index}
	l := w.links[id]
	if l == nil {
		l = &link{rand: rand.New(rand.NewPCG(w.seed, uint64(from.index)<<32|uint64(to.index)+1))}
		w.links[id] = l
	}
	return l
}

// send carries a datagram.
func (w *world) send(from *slot, to netip.AddrPort, data []byte) {
	w.noteNonce(data)
	dest := w.slotAt(to)
	if dest == nil {
		return
	}
	l := w.link(from, dest)
	copies := 1
	if l.rand.Float64() < w.conditions.dup {
		copies = 2
	}
	for i := range copies {
		if l.rand.Float64() < w.conditions.loss || from.group != dest.group {
			continue
		}
		delay := time.Duration(l.rand.ExpFloat64() * float64(w.conditions.delay))
		if l.rand.Float64() < w.conditions.late {
			delay += time.Duration(l.rand.Int64N(int64(mostLate)))
		}
		if l.rand.Float64() < w.conditions.held {
			delay += time.Duration(l.rand.Int64N(int64(6 * time.Second)))
		}
		d := datagram{from.addr, append([]byte(nil), data...), i == 0 && delay <= mostLate &&
			data[1] == kindSealed}
		w.after(delay, func() {
			if from.group == dest.group || delay > mostLate { // held-back datagrams get through
				dest.arrive(d)
			}
		})
	}
}

// noteNonce checks that no nonce is used twice under one key, even by copies of one node. A
// datagram for several peers is the same each time.
func (w *world) noteNonce(d []byte) {
	const randomAt, randomLen = wire.HeaderLen, 16
	if len(d) < randomAt+randomLen || d[1] != kindSealed {
		return
	}
	var n nonce
	copy(n.key[:], d[3:8]) // epoch and sender
	copy(n.random[:], d[randomAt:])
	n.counter = binary.BigEndian.Uint64(d[8:])
	sum := maphash.Bytes(w.hash, d)
	if before, used := w.nonces[n]; used && before != sum {
		w.fail("a nonce was used twice: %+v", n)
	}
	w.nonces[n] = sum
}

// kindSealed is the kind in a batch's header.
const kindSealed = byte(wire.KindSealed)

type nonce struct {
	key     [5]byte
	random  [16]byte
	counter uint64
}

// arrive puts a datagram into a node's socket.
func (s *slot) arrive(d datagram) {
	const socketLen = 500
	switch {
	case s.node == nil:
	case s.paused:
		if len(s.inbox) < socketLen {
			s.inbox = append(s.inbox, d)
		}
	default:
		if d.news {
			s.node.w.link(s.node.w.slotAt(d.from), s).heard(s.node.w.now)
		}
		s.node.input(func(n *node) { n.proto.Receive(n.clock(), d.from, d.data); n.tick() })
	}
}

// kill ends a node like a crash.
func (s *slot) kill() {
	if n := s.node; n != nil {
		n.close()
		for _, other := range n.w.slots {
			if other.node != nil && other.node.instance == n.instance { // a copy, or itself
				other.troubleAt = n.w.now
			}
		}
	}
	s.node, s.inbox, s.paused = nil, nil, false
}
