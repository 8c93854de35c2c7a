package sim

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing/cryptotest"
	"time"

	"reprise/cache"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/tlsconn"
)

const (
	lifetime  = 6 * time.Second
	heartbeat = 250 * time.Millisecond
	deadAfter = 1500 * time.Millisecond
	// lookupTime is how long a handshake waits for a session from elsewhere.
	lookupTime = 20 * time.Millisecond
	// handshakeTime is the longest time that a handshake may last.
	handshakeTime = 3 * time.Second
)

// A node is one life of a process: memory and protocol, and its loops' state of handshakes under
// way.
type node struct {
	w        *world
	slot     *slot
	id       replicate.ID
	instance replicate.Instance
	skew     time.Duration // of its clock
	memory   *sessions.Memory
	cache    *cache.Cache
	proto    *replicate.Node
	born     time.Duration // true time
	dead     bool

	attempts map[int]*attempt
	ring     []func() // requests of loops to the protocol
	draining bool
	tickAt   time.Duration

	seed uint64 // of its randomness when it was made
	// For forks: all input, to be replayed.
	log      []input
	reliving bool
	relived  time.Duration // the clock meanwhile
	// restoredFrom is the true time of the state from which a restored or forked node continued, 0
	// for others.
	restoredFrom time.Duration
}

// input is an event at a node, by its clock.
type input struct {
	at   time.Duration
	do   func(*node)
	seed uint64 // of all randomness during the event
}

// start runs a new life at s.
func (w *world) start(s *slot) {
	var id replicate.ID
	for i := range id {
		id[i] = byte(w.rand.Uint32())
	}
	n := w.newNode(s, id, replicate.Instance{byte(s.index + 1)}, w.between(0, 48*time.Hour),
		w.rand.Uint64(), w.now)
	w.log("node %d starts as %x", s.index, id[:2])
	s.run(n)
	n.begin()
}

// newNode makes a node that begins, or has begun, at born.
func (w *world) newNode(s *slot, id replicate.ID, instance replicate.Instance, skew time.Duration,
	seed uint64, born time.Duration,
) *node {
	cryptotest.SetGlobalRandom(w.t, seed)
	n := &node{
		w: w, slot: s, id: id, instance: instance, skew: skew, seed: seed, born: born,
		attempts: map[int]*attempt{},
		reliving: born < w.now, relived: born + skew, // its memory reads the clock at once
	}
	var err error
	if n.cache, err = cache.New(cache.Options{
		Name: "sim", Items: 4096, KeyLen: 16, BlockLen: 256,
		Stripes: 1,
	}); err != nil {
		w.t.Fatal(err)
	}
	secret, err := replicate.NewSecret([]byte("a cluster secret for tests"))
	if err != nil {
		w.t.Fatal(err)
	}
	n.memory = sessions.New(sessions.Options{
		Cache: n.cache, Lifetime: lifetime, Hold: handshakeTime +
			time.Second, Self: tlsconn.NodeID(id.Short()), MaxLookups: 1000,
		Now: n.now, Go: func(f func()) { f() },
	})
	n.memory.Connect(toFleet{n})
	n.proto = replicate.NewNode(replicate.Options{
		ID: id, Secrets: []replicate.Secret{secret}, Mode: w.mode, DatagramLen: 1200,
		Heartbeat: heartbeat, DeadAfter: deadAfter,
		LookupTimeout: lookupTime, MaxQuestions: 1000, SnapshotRate: 32 << 20,
		HoldFor: handshakeTime + 2*time.Second, KnownFor: lifetime,
		Instance: instance, Name: s.name(),
		Wall: func() time.Time { return w.epoch().Add(n.clock() - n.skew) },
	}, fromFleet{n}, toNetwork{n})
	return n
}

// begin makes the node tick and sweep.
func (n *node) begin() {
	n.input(func(n *node) {
		n.proto.SetPeers(n.clock(), n.w.configured(n.slot), nil)
		n.tick()
	})
	n.planSweep()
}

// configured are the peers given to a node at s: all but clones.
func (w *world) configured(s *slot) (peers []netip.AddrPort) {
	for _, other := range w.slots {
		if other != s && !other.clone {
			peers = append(peers, other.addr)
		}
	}
	return peers
}

func (n *node) close() {
	n.dead = true
	_ = n.cache.Close()
}

// clock is the node's time.
func (n *node) clock() time.Duration {
	if n.reliving {
		return n.relived
	}
	return n.w.now + n.skew
}

// input makes an event happen to the node and records it. Random results during the event can be
// repeated.
func (n *node) input(do func(*node)) {
	if n.dead {
		return
	}
	i := len(n.log)
	n.log = append(n.log, input{at: n.clock(), do: do, seed: n.w.rand.Uint64()})
	cryptotest.SetGlobalRandom(n.w.t, n.log[i].seed)
	do(n)
}

// runs reports whether events reach the node now.
func (n *node) runs() bool { return !n.dead && !n.slot.paused }

// plan schedules an event for the first moment from at on at which the node runs.
func (n *node) plan(at time.Duration, do func(*node)) {
	if n.reliving {
		return // its log has it
	}
	n.w.at(at, func() {
		if n.runs() {
			n.input(do)
		} else if !n.dead {
			n.plan(n.w.now+10*time.Millisecond, do)
		}
	})
}

// tick runs the protocol's timers and plans the next tick.
func (n *node) tick() {
	next := n.proto.Tick(n.clock())
	if n.reliving {
		return
	}
	at := max(next-n.skew, n.w.now+100*time.Microsecond)
	n.tickAt = at
	n.w.at(at, func() {
		if n.runs() && n.tickAt == at {
			n.input((*node).tick)
		}
	})
}

func (n *node) planSweep() {
	n.plan(n.w.now+time.Second, func(m *node) {
		m.memory.Sweep()
		m.planSweep()
	})
}

// loop is a loop's request to the poller, carried out a moment later.
func (n *node) loop(do func()) {
	n.ring = append(n.ring, do)
	if !n.draining {
		n.draining = true
		n.plan(n.w.now+50*time.Microsecond, (*node).drain)
	}
}

func (n *node) drain() {
	n.draining = false
	ring := n.ring
	n.ring = nil
	for _, do := range ring {
		do()
	}
	n.proto.Flush(n.clock())
	n.tick()
}

// pause stops the process; datagrams wait in its socket.
func (s *slot) pause(d time.Duration) {
	n := s.node
	n.w.log("node %d is stopped for %v", s.index, d)
	s.paused, s.troubleAt = true, n.w.now
	n.w.after(d, func() {
		if s.node != n {
			return
		}
		n.w.log("node %d goes on, %d datagrams wait", s.index, len(s.inbox))
		inbox := s.inbox
		s.paused, s.inbox, s.troubleAt = false, nil, n.w.now
		if n.w.chance(0.5) {
			n.input((*node).tick)
		}
		for _, d := range inbox {
			s.arrive(d)
		}
		n.input((*node).tick)
	})
}

// A moment is a node's state, as in a snapshot of its machine.
type moment struct {
	of  *node
	len int // of its log
	at  time.Duration
	// Shows that a copy has come out the same.
	rules uint64
	items int
}

// moment returns the node's current state.
func (n *node) moment() moment {
	return moment{
		of: n, len: len(n.log), at: n.w.now, rules: n.memory.RulesDigest(),
		items: n.cache.Stats().Items,
	}
}

// relive makes a node by replaying all that led to m: a copy of that machine.
func (w *world) relive(m moment) *node {
	n := w.newNode(m.of.slot, m.of.id, m.of.instance, m.of.skew, m.of.seed, m.of.born)
	n.restoredFrom = m.at
	for _, in := range m.of.log[:m.len] {
		n.relived = in.at
		cryptotest.SetGlobalRandom(w.t, in.seed)
		in.do(n)
	}
	if n.memory.RulesDigest() != m.rules || n.cache.Stats().Items != m.items {
		w.t.Fatalf("node %d, replayed, has %d sessions and had %d", m.of.slot.index, n.cache.Stats().Items, m.items)
	}
	n.log = slices.Clone(m.of.log[:m.len])
	n.reliving, n.draining, n.ring = false, false, nil
	return n
}

// goOn lets a copy continue at s. Its clock does not go back: machines get the time when they are
// restored.
func (n *node) goOn(s *slot) {
	n.w.forked[n.id] = true
	s.run(n)
	n.begin()
}

// run replaces whatever ran at s by n.
func (s *slot) run(n *node) {
	s.kill()
	n.slot = s
	s.node, s.troubleAt = n, n.w.now
}

// toNetwork is the protocol's transport.
type toNetwork struct{ *node }

// Send implements replicate.Transport.
func (n toNetwork) Send(to netip.AddrPort, data []byte) {
	if !n.reliving {
		n.w.send(n.slot, to, data)
	}
}

// SendAll implements replicate.Transport.
func (n toNetwork) SendAll(to []netip.AddrPort, data []byte) {
	for _, addr := range to {
		n.Send(addr, data)
	}
}

// toFleet is the fleet as the memory sees it.
type toFleet struct{ *node }

func (n toFleet) Made(key [16]byte, value []byte, age, left time.Duration) {
	u := replicate.Update{
		Kind: replicate.UpdateSession, Key: key, Value: slices.Clone(value), Age: age, Left: left,
		Made: n.clock(),
	}
	n.loop(func() { n.proto.Publish(n.clock(), &u) })
}

func (n toFleet) Deleted(key [16]byte, left time.Duration) {
	u := replicate.Update{Kind: replicate.UpdateDelete, Key: key, Left: left, Made: n.clock()}
	n.loop(func() { n.proto.Publish(n.clock(), &u) })
}

func (n toFleet) Ask(q *sessions.Question) bool {
	n.loop(func() {
		n.proto.Ask(n.clock(), &replicate.Question{
			Key: q.Key, Owner: replicate.ShortID(q.Owner), Hold: q.Hold,
			Answer: func(r replicate.Reply) {
				q.Answer(sessions.Answer{
					Value: r.Value, Age: r.Age, Left: r.Left,
					Verdict: toVerdict[r.Verdict], Hold: r.Hold,
				})
			},
		})
	})
	return true
}

func (n toFleet) Pulls() bool { return true }

func (n toFleet) Arbiter(key [16]byte, owner tlsconn.NodeID) tlsconn.NodeID {
	node, _ := n.proto.Arbiter(n.clock(), key, replicate.ShortID(owner))
	return tlsconn.NodeID(node)
}

func (n toFleet) Reachable(node tlsconn.NodeID) bool {
	return n.proto.Reachable(replicate.ShortID(node), n.clock())
}

func (n toFleet) Release(key [16]byte, owner tlsconn.NodeID, hold uint64) {
	u := replicate.Update{
		Kind: replicate.UpdateRelease, Key: key, Owner: replicate.ShortID(owner),
		Hold: hold,
	}
	n.loop(func() { n.proto.Publish(n.clock(), &u) })
}

var toVerdict = [...]tlsconn.Verdict{
	replicate.Unknown: tlsconn.Unknown, replicate.Found: tlsconn.Found, replicate.Held: tlsconn.Held,
	replicate.Spent: tlsconn.Spent, replicate.Expired: tlsconn.Expired,
	replicate.Unanswered: tlsconn.Unknown,
}

// fromFleet is the memory as the protocol sees it.
type fromFleet struct{ *node }

func (n fromFleet) Put(key replicate.Key, value []byte, age, left time.Duration, pulled bool) {
	n.memory.Put(key, value, age, left, pulled)
}

func (n fromFleet) Find(dst []byte, key replicate.Key) ([]byte, time.Duration, time.Duration,
	bool,
) {
	return n.memory.Lookup(dst, key)
}

func (n fromFleet) Hold(dst []byte, key replicate.Key, again uint64) ([]byte, time.Duration,
	time.Duration, uint64, replicate.Verdict,
) {
	value, age, left, hold, v := n.memory.HoldFor(dst, key, again)
	return value, age, left, hold, fromVerdict[v]
}

var fromVerdict = [...]replicate.Verdict{
	tlsconn.Found: replicate.Found, tlsconn.Unknown: replicate.Unknown,
	tlsconn.Expired: replicate.Expired,
	tlsconn.Held:    replicate.Held, tlsconn.Spent: replicate.Spent,
}

func (n fromFleet) Release(key replicate.Key, hold uint64) { n.memory.ReleaseFor(key, hold) }

func (n fromFleet) Delete(key replicate.Key, left time.Duration) { n.memory.Delete(key, left) }

// Scan visits all sessions by their keys: a cache walks in an order that differs in each life.
func (n fromFleet) Scan(_ uint64, visit func(replicate.Key, []byte, time.Duration,
	time.Duration),
) uint64 {
	type found struct {
		value     []byte
		age, left time.Duration
	}
	all := map[replicate.Key]found{}
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		cursor = n.memory.Scan(cursor, func(key [16]byte, value []byte, age, left time.Duration) {
			all[key] = found{slices.Clone(value), age, left}
		})
	}
	for _, key := range slices.SortedFunc(maps.Keys(all),
		func(a, b replicate.Key) int { return bytes.Compare(a[:], b[:]) }) {
		visit(key, all[key].value, all[key].age, all[key].left)
	}
	return 0
}

func (n fromFleet) Rules(dst []replicate.Rule) []replicate.Rule {
	for _, r := range n.memory.Rules(nil) {
		dst = append(dst, replicate.Rule{
			ID: replicate.RuleID(r.ID), What: replicate.ForgetScope(r.What), Hash: r.Hash, Age: r.Age,
			Left: r.Left,
		})
	}
	return dst
}

func (n fromFleet) AddRule(r replicate.Rule, done func(int)) bool {
	return n.memory.AddRule(sessions.Rule{
		ID: sessions.RuleID(r.ID), What: sessions.Scope(r.What), Hash: r.Hash, Age: r.Age, Left: r.Left,
	}, done)
}

func (n fromFleet) RulesDigest() uint64 { return n.memory.RulesDigest() }

// randomKey is a session's key from the scenario's randomness.
func randomKey(r *rand.Rand) (key tlsconn.Key) {
	binary.BigEndian.PutUint64(key[:], r.Uint64())
	binary.BigEndian.PutUint64(key[8:], r.Uint64())
	return key
}
