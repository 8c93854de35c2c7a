package replicate

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"reprise/internal/timeline"
)

// A sim is a fleet in one goroutine: nodes on a network with a clock of its own
// that delays, drops, repeats and reorders datagrams.
type sim struct {
	t     testing.TB
	rand  *rand.Rand
	now   time.Duration
	queue timeline.Queue
	nodes []*simNode // dead ones too
	live  map[netip.AddrPort]*simNode

	// unlisted nodes know only the peers that the test gives them.
	unlisted  bool
	loss, dup float64
	delay     time.Duration                // mean of one way
	cut       func(from, to *simNode) bool // if set, whether nothing gets through

	memoryOf func(*simNode) Memory // if set, what nodes get for one

	datagrams, bytes int
	tap              func(datagram []byte)
	tapTo            func(to netip.AddrPort, datagram []byte)
}

type simNode struct {
	*Node
	sim    *sim
	addr   netip.AddrPort
	memory *mapMemory
	down   bool
	tickAt time.Duration
	skew   time.Duration // of its clock
}

func testSecret(t testing.TB, text string) Secret {
	t.Helper()
	s, err := NewSecret([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSim(t testing.TB, nodes int) *sim {
	s := &sim{
		t: t, rand: rand.New(rand.NewPCG(7, 11)), delay: 200 * time.Microsecond,
		live: make(map[netip.AddrPort]*simNode),
	}
	for range nodes {
		s.add(nil)
	}
	return s
}

// add starts a node; change, if not nil, may change its options.
func (s *sim) add(change func(*Options)) *simNode {
	i := len(s.nodes)
	return s.start(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(i >> 8), byte(i)}), 7171),
		change)
}

// restart kills n and starts another life of it at its address.
func (s *sim) restart(n *simNode) *simNode {
	n.down = true
	return s.start(n.addr, nil)
}

func (s *sim) start(addr netip.AddrPort, change func(*Options)) *simNode {
	n := &simNode{sim: s, addr: addr, skew: time.Duration(len(s.nodes)) * 24 * time.Hour}
	n.memory = newMapMemory(n.clock)
	o := Options{
		ID: NewID(), Secrets: []Secret{testSecret(s.t, "a cluster secret for tests")}, DatagramLen: 1200,
		Heartbeat: time.Second, DeadAfter: 3 * time.Second, LookupTimeout: 5 * time.Millisecond,
		MaxQuestions: 1024, SnapshotRate: 32 << 20, HoldFor: 2 * time.Second, KnownFor: 10 * time.Minute,
		Mode: Push, Wall: func() time.Time { return time.Unix(1e9, 0).Add(s.now) },
	}
	as4 := addr.Addr().As4()
	o.Instance = Instance(append([]byte("instance of "), as4[:]...))
	if change != nil {
		change(&o)
	}
	var memory Memory = n.memory
	if s.memoryOf != nil {
		memory = s.memoryOf(n)
	}
	n.Node = NewNode(o, memory, n)
	s.nodes = append(s.nodes, n)
	s.live[addr] = n
	if !s.unlisted {
		s.list()
	}
	n.tick()
	return n
}

// list makes all nodes know all addresses.
func (s *sim) list() {
	var addrs []netip.AddrPort
	for _, n := range s.nodes {
		if !slices.Contains(addrs, n.addr) {
			addrs = append(addrs, n.addr)
		}
	}
	for _, n := range s.live {
		if n.Node == nil {
			continue // nothing but an address
		}
		own := n.addr
		n.SetPeers(n.clock(), slices.DeleteFunc(slices.Clone(addrs),
			func(a netip.AddrPort) bool { return a == own }), nil)
		n.tick()
	}
}

func (n *simNode) clock() time.Duration { return n.sim.now + n.skew }

// tick calls Tick and plans the next call.
func (n *simNode) tick() {
	if n.down {
		return
	}
	n.planTick(n.Tick(n.clock()) - n.skew)
}

func (n *simNode) planTick(at time.Duration) {
	at = max(at, n.sim.now+100*time.Microsecond)
	n.tickAt = at
	n.sim.at(at, func() {
		if n.tickAt == at {
			n.tick()
		}
	})
}

func (s *sim) at(at time.Duration, do func()) {
	s.queue.Add(at, s.queue.Len()+int(s.rand.Uint32()>>8), do)
}

// Send implements Transport.
func (n *simNode) Send(to netip.AddrPort, datagram []byte) {
	s := n.sim
	if s.tap != nil {
		s.tap(datagram)
	}
	if s.tapTo != nil {
		s.tapTo(to, datagram)
	}
	copies := 1
	if s.rand.Float64() < s.dup {
		copies = 2
	}
	for range copies {
		s.datagrams++
		s.bytes += len(datagram)
		if s.rand.Float64() < s.loss || s.cut != nil && s.live[to] != nil && s.cut(n, s.live[to]) {
			continue
		}
		d := slices.Clone(datagram)
		from := n.addr
		s.at(s.now+time.Duration(s.rand.ExpFloat64()*float64(s.delay)), func() {
			if other := s.live[to]; other != nil && !other.down {
				other.Receive(other.clock(), from, d)
				other.tick()
			}
		})
	}
}

// SendAll implements Transport.
func (n *simNode) SendAll(to []netip.AddrPort, datagram []byte) {
	for _, addr := range to {
		n.Send(addr, datagram)
	}
}

// run lets time pass.
func (s *sim) run(d time.Duration) {
	end := s.now + d
	for at, do, ok := s.queue.Next(end); ok; at, do, ok = s.queue.Next(end) {
		s.now = max(s.now, at)
		do()
	}
	s.now = end
}

// publish makes a session at n, as a loop and the poller would.
func (n *simNode) publish(key Key, value string) { n.publishFor(time.Minute, key, value) }

func (n *simNode) publishFor(life time.Duration, key Key, value string) {
	n.memory.Put(key, []byte(value), 0, life, false)
	n.Publish(n.clock(), &Update{
		Kind: UpdateSession, Key: key, Left: life, Value: []byte(value),
		Made: n.clock(),
	})
	n.Flush(n.clock())
	n.tick()
}

// ask looks for a session as a handshake would and returns what it gets.
func (n *simNode) ask(key Key, owner ShortID, within time.Duration) (value string, ok bool) {
	if v, _, _, ok := n.memory.Find(nil, key); ok {
		return string(v), true
	}
	n.Ask(n.clock(), &Question{Key: key, Owner: owner, Answer: func(r Reply) {
		value, ok = string(r.Value), r.Verdict == Found
	}})
	n.tick()
	n.sim.run(within)
	return value, ok
}

func simKey(i int) (k Key) {
	binary.BigEndian.PutUint64(k[:], uint64(i)+1)
	return k
}

func (s *sim) requireIntroduced() {
	s.t.Helper()
	for i, n := range s.nodes {
		for _, p := range n.known {
			if !p.introduced {
				s.t.Fatalf("node %d has not been introduced to %v", i, p.addr)
			}
		}
		if got, want := len(n.peers), len(s.nodes)-1; got != want {
			s.t.Fatalf("node %d knows %d peers, want %d", i, got, want)
		}
	}
}

// Every session reaches every node, however bad the network, though the clocks
// are days apart.
func TestPushReachesAll(t *testing.T) {
	for _, loss := range []float64{0, 0.2} {
		t.Run(fmt.Sprintf("loss=%v", loss), func(t *testing.T) {
			s := newSim(t, 5)
			s.run(3 * time.Second)
			s.requireIntroduced()
			s.loss, s.dup = loss, loss
			const sessions = 2000
			for i := range sessions {
				s.nodes[i%5].publish(simKey(i), "session")
				s.run(100 * time.Microsecond)
			}
			s.run(2 * time.Second)
			for i, n := range s.nodes {
				if got := len(n.memory.sessions); got != sessions {
					t.Errorf("node %d has %d sessions of %d", i, got, sessions)
				}
			}
		})
	}
}

// A session is found at its owner, or at another node when the owner is dead.
func TestAsk(t *testing.T) {
	s := newSim(t, 3)
	for _, n := range s.nodes {
		n.o.Mode = Pull
	}
	s.run(3 * time.Second)
	a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]
	a.publish(simKey(1), "made at a")
	if got, ok := b.ask(simKey(1), a.o.ID.Short(), 5*time.Millisecond); !ok || got != "made at a" {
		t.Errorf("asked of its owner: got %q, %v", got, ok)
	}
	if got, ok := c.ask(simKey(2), a.o.ID.Short(), 5*time.Millisecond); ok {
		t.Errorf("a session of no node: got %q", got)
	}
	a.down = true
	if got, ok := c.ask(simKey(1), a.o.ID.Short(), 6*time.Millisecond); !ok || got != "made at a" {
		t.Errorf("owner silent, another has it: got %q, %v", got, ok)
	}
	s.run(10 * time.Second)
	if got, ok := s.add(func(o *Options) { o.Mode = Pull }).ask(simKey(1), a.o.ID.Short(),
		5*time.Millisecond); ok {
		t.Errorf("a node without peers found %q", got)
	}
}

// A node that joins gets what the others have.
func TestJoin(t *testing.T) {
	for _, loss := range []float64{0, 0.2} {
		t.Run(fmt.Sprintf("loss=%v", loss), func(t *testing.T) {
			s := newSim(t, 2)
			s.run(3 * time.Second)
			const sessions = 5000
			for i := range sessions {
				s.nodes[0].memory.Put(simKey(i), []byte("old session of ordinary length"), 0, time.Minute, false)
				s.nodes[1].memory.Put(simKey(i), []byte("old session of ordinary length"), 0, time.Minute, false)
			}
			s.loss = loss
			joined := s.add(nil)
			s.run(15 * time.Second)
			if got := len(joined.memory.sessions); got != sessions {
				t.Errorf("has %d sessions of %d after joining", got, sessions)
			}
			if joined.snapshot.join.state != JoinDone {
				t.Errorf("join state is %v", joined.snapshot.join.state)
			}
		})
	}
}

// A memory may visit more sessions at once than a step of the join has parts: that of
// a cache with large blocks does.
func TestJoinLargeSteps(t *testing.T) {
	for _, loss := range []float64{0, 0.05} {
		t.Run(fmt.Sprintf("loss=%v", loss), func(t *testing.T) {
			s := newSim(t, 1)
			const perPart, sessions = 3, 40_000
			donor := s.nodes[0].memory
			donor.scanLen = 2 * maxParts * perPart // the second time it is less than one step
			value := make([]byte, 300)
			for i := range sessions {
				donor.Put(simKey(i), value, 0, time.Minute, false)
			}
			s.loss = loss
			joined := s.add(nil)
			s.run(15 * time.Second)
			if got := len(joined.memory.sessions); got != sessions ||
				joined.snapshot.join.state != JoinDone {
				t.Errorf("has %d sessions of %d after joining, which is %v", got, sessions, joined.snapshot.join.state)
			}
		})
	}
}

// A datagram of a sender's earlier life, recorded, changes nothing at a node that
// has never met the sender.
func TestRecordingIsNotBelieved(t *testing.T) {
	s := newSim(t, 2)
	var recorded [][]byte
	s.tap = func(d []byte) { recorded = append(recorded, slices.Clone(d)) }
	s.run(3 * time.Second)
	s.nodes[0].publish(simKey(1), "secret")
	s.run(time.Second)
	s.tap = nil
	for _, n := range s.nodes {
		n.down = true
	}
	late := s.add(nil)
	for _, d := range recorded {
		late.Receive(late.clock(), s.nodes[0].addr, d)
	}
	s.run(5 * time.Second)
	if got := len(late.memory.sessions); got != 0 {
		t.Errorf("%d sessions came from recordings", got)
	}
}

// Deletes reach all, and a copy of the session that comes later does not bring it
// back.
func TestDelete(t *testing.T) {
	s := newSim(t, 4)
	s.run(3 * time.Second)
	s.loss, s.dup = 0.2, 0.5
	for i := range 200 {
		n := s.nodes[i%4]
		n.publish(simKey(i), "session")
		n.memory.Delete(simKey(i), time.Minute)
		n.Publish(n.clock(), &Update{
			Kind: UpdateDelete, Key: simKey(i), Left: time.Minute,
			Made: n.clock(),
		})
		n.Flush(n.clock())
		n.tick()
	}
	s.run(3 * time.Second)
	for i, n := range s.nodes {
		if got := len(n.memory.sessions); got != 0 {
			t.Errorf("node %d still has %d sessions", i, got)
		}
	}
}

func TestForget(t *testing.T) {
	s := newSim(t, 4)
	s.run(3 * time.Second)
	for i := range 100 {
		s.nodes[0].publish(simKey(i), "session")
	}
	s.run(time.Second)
	s.loss = 0.3
	s.nodes[3].down = true
	var result *Forgetting
	n := s.nodes[0]
	n.Forget(n.clock(), ForgetAll, 0, func(f Forgetting) { result = &f })
	n.tick()
	s.run(5 * time.Second)
	if result == nil {
		t.Fatal("no result")
	}
	for _, other := range s.nodes[1:3] {
		if got := result.Dropped[other.addr.String()]; got != 100 {
			t.Errorf("a live node dropped %d sessions, want 100", got)
		}
	}
	if len(result.Silent) != 1 || result.Silent[0] != s.nodes[3].addr.String() {
		t.Errorf("silent: got %v, want the node that is down", result.Silent)
	}
}

// Nodes with different secrets do not hear each other, count why, and tell which
// configured peer it is.
func TestForeignSecret(t *testing.T) {
	s := newSim(t, 1)
	other := s.add(func(o *Options) { o.Secrets = []Secret{testSecret(t, "another cluster secret")} })
	reported := make(map[netip.AddrPort]NoticeKind)
	s.nodes[0].Notice = func(m Notice) { reported[m.Addr] = m.Kind }
	s.run(3 * time.Second)
	if len(other.peers) != 0 || len(s.nodes[0].peers) != 0 {
		t.Error("they met")
	}
	if got := reported[other.addr]; got != NoticeSecret {
		t.Errorf("reported %v", got)
	}
	if got := s.nodes[0].stats(s.nodes[0].clock()).Contacts[0]; got.State != "foreign secret" ||
		got.ForeignSecret != 1 {
		t.Errorf("the peer is %+v", got)
	}
}

// A secret is exchanged under load: first all accept the new one, then all seal
// with it, then the old one goes.
func TestNodeRotation(t *testing.T) {
	s := newSim(t, 3)
	s.run(3 * time.Second)
	old, fresh := s.nodes[0].o.Secrets[0], testSecret(t, "the secret that comes next")
	i := 0
	load := func() {
		for range 300 {
			s.nodes[i%3].publish(simKey(i), "session")
			s.run(time.Millisecond)
			i++
		}
	}
	for _, secrets := range [][]Secret{{old, fresh}, {fresh, old}, {fresh}} {
		for _, n := range s.nodes {
			n.Rekey(n.clock(), secrets)
			load()
		}
	}
	s.run(time.Second)
	for j, n := range s.nodes {
		if got := len(n.memory.sessions); got != i {
			t.Errorf("node %d has %d sessions of %d", j, got, i)
		}
		for _, p := range n.known {
			if lost := p.counts.Lost.Load(); lost != 0 {
				t.Errorf("node %d gave up %d batches", j, lost)
			}
		}
	}
}
