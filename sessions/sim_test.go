package sessions_test

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"reprise/cache"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/sessions/peering"
	"reprise/tlsconn"
)

// A sim is a fleet in one goroutine, of which only the network, the clocks and the clients are
// simulated: protocol, memory, rules and cache are real. It knows the truth about each session and
// checks every resumption against it.
type sim struct {
	t     *testing.T
	rand  *rand.Rand
	now   time.Duration // true time passed
	queue simEvents
	order int
	nodes []*simNode // by address; a restarted node replaces the one before
	kind  simKind

	truth  map[int]*simSession
	last   int // the newest session
	rules  []simRule
	shaken bool // contact was lost, or a clock stood still, at some time

	resumed, refused, spent, forgotten int // number of events worth testing
}

// simKind says what may happen in a run.
type simKind struct {
	name     string
	nodes    int
	mode     replicate.Mode
	loss     float64
	pause    bool // processes stop, and find queued datagrams in their sockets
	part     bool // the network is partitioned
	restart  bool // nodes die and others take their places
	restored bool // machines are set back to a snapshot: clocks stood still
}

type simSession struct {
	born  time.Duration
	name  string
	owner tlsconn.NodeID
	spent int
}

// simRule is a command that all nodes have acknowledged.
type simRule struct {
	given time.Duration
	name  string // "" for all
}

type simEvent struct {
	at    time.Duration
	order int
	do    func()
}

type simEvents []simEvent

func (q simEvents) Len() int { return len(q) }

func (q simEvents) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}

func (q simEvents) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *simEvents) Push(x any) { *q = append(*q, x.(simEvent)) }

func (q *simEvents) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}

func (s *sim) at(at time.Duration, do func()) {
	s.order++
	heap.Push(&s.queue, simEvent{at, s.order, do})
}

// run lets time pass.
func (s *sim) run(d time.Duration) {
	end := s.now + d
	for len(s.queue) > 0 && s.queue[0].at <= end {
		e := heap.Pop(&s.queue).(simEvent)
		s.now = max(s.now, e.at)
		e.do()
	}
	s.now = end
}

// simNode is one life of a node. It is replicate's Transport and the memory's Fleet.
type simNode struct {
	s      *sim
	index  int
	addr   netip.AddrPort
	id     tlsconn.NodeID
	node   *replicate.Node
	memory *sessions.Memory
	cache  *cache.Cache

	gone     bool
	stopped  bool          // gets no time
	asleep   bool          // its clock does not run either
	slept    time.Duration // total time for which its clock has stood still
	sleptAt  time.Duration
	islanded bool
	socket   []func() // datagrams that came while it was stopped
	tickAt   time.Duration
	inFlight []*simHandshake
}

type simHandshake struct {
	session int
	hold    bool
	lookup  *tlsconn.Lookup // nil if it was found at once
	found   tlsconn.Session
	judged  bool
}

const (
	simLifetime = 60 * time.Second
	// simSlack is what rounding on the wire may add to a life.
	simSlack = 5 * time.Millisecond
)

func simID(i int) (id replicate.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[8:], uint64(i))
	return id
}

func newSim(t *testing.T, kind simKind, seed uint64) *sim {
	s := &sim{t: t, kind: kind, rand: rand.New(rand.NewPCG(seed, 3)), truth: make(map[int]*simSession)}
	s.nodes = make([]*simNode, kind.nodes)
	for i := range s.nodes {
		s.start(i)
	}
	s.run(3 * time.Second) // they get in contact
	return s
}

// start begins a life of the node at an address.
func (s *sim) start(i int) {
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}), 7171)
	}
	c, err := cache.New(cache.Options{Name: "t", Items: 1000, KeyLen: 16, BlockLen: 4096})
	if err != nil {
		s.t.Fatal(err)
	}
	s.order++
	n := &simNode{s: s, index: i, addr: addr(i), cache: c}
	o := replicate.Options{
		ID: simID(s.order), DatagramLen: 1200, Mode: s.kind.mode,
		Heartbeat: time.Second, DeadAfter: 3 * time.Second, LookupTimeout: 50 * time.Millisecond,
		MaxQuestions: 1024, SnapshotRate: 32 << 20, HoldFor: 15 * time.Second, KnownFor: simLifetime +
			time.Minute,
		Name: fmt.Sprintf("node %d", i), Instance: replicate.Instance{0: byte(i + 1)}, Context: 1,
		Wall: func() time.Time { return time.Unix(1e9, 0).Add(s.now) },
	}
	secret, err := replicate.NewSecret([]byte("a cluster secret for tests"))
	if err != nil {
		s.t.Fatal(err)
	}
	o.Secrets = []replicate.Secret{secret}
	n.id = tlsconn.NodeID(o.ID.Short())
	n.memory = sessions.New(sessions.Options{
		Cache: c, Lifetime: simLifetime, Hold: 11 * time.Second, Self: n.id, MaxLookups: 1 << 20,
		Now: func() time.Time { return time.Unix(1e9, 0).Add(n.clock()) }, Go: func(f func()) { f() },
	})
	n.node = replicate.NewNode(o, peering.Memory(n.memory), n)
	n.memory.Connect(n)
	s.nodes[i] = n
	var peers []netip.AddrPort
	for j := range s.kind.nodes {
		if j != i {
			peers = append(peers, addr(j))
		}
	}
	n.node.SetPeers(n.clock(), peers, nil)
	n.tick()
}

// end frees what a test no longer needs.
func (n *simNode) end() {
	n.gone = true
	_ = n.cache.Close()
}

// clock is the node's own clock. Clocks of nodes are days apart.
func (n *simNode) clock() time.Duration {
	at := n.s.now
	if n.asleep {
		at = n.sleptAt
	}
	return at - n.slept + time.Duration(n.index+1)*24*time.Hour
}

func (n *simNode) tick() {
	if n.gone || n.stopped {
		return
	}
	wait := n.node.Tick(n.clock()) - n.clock()
	at := n.s.now + max(wait, 100*time.Microsecond)
	n.tickAt = at
	n.s.at(at, func() {
		if n.tickAt == at {
			n.tick()
		}
	})
}

// Send implements replicate.Transport.
func (n *simNode) Send(to netip.AddrPort, datagram []byte) {
	s := n.s
	target := s.nodes[to.Addr().As4()[3]-1]
	copies := 1
	if s.rand.Float64() < s.kind.loss/4 {
		copies = 2
	}
	for range copies {
		if target == nil || s.rand.Float64() < s.kind.loss || n.islanded != target.islanded {
			continue
		}
		d, from := slices.Clone(datagram), n.addr
		s.at(s.now+time.Duration(s.rand.ExpFloat64()*float64(time.Millisecond)), func() {
			other := s.nodes[target.index]
			receive := func() {
				other.node.Receive(other.clock(), from, d)
			}
			switch {
			case other.asleep:
			case other.stopped && len(other.socket) < 256:
				other.socket = append(other.socket, receive)
			case !other.stopped:
				receive()
				other.tick()
			}
		})
	}
}

// SendAll implements replicate.Transport.
func (n *simNode) SendAll(to []netip.AddrPort, datagram []byte) {
	for _, addr := range to {
		n.Send(addr, datagram)
	}
}

// The Fleet of the memory.

func (n *simNode) Made(key [16]byte, value []byte, age, left time.Duration) {
	n.publish(&replicate.Update{
		Kind: replicate.UpdateSession, Key: key, Value: value, Age: age,
		Left: left, Made: n.clock(),
	})
}

func (n *simNode) Deleted(key [16]byte, left time.Duration) {
	n.publish(&replicate.Update{Kind: replicate.UpdateDelete, Key: key, Left: left, Made: n.clock()})
}

func (n *simNode) Release(key [16]byte, arbiter tlsconn.NodeID, hold uint64) {
	n.publish(&replicate.Update{
		Kind: replicate.UpdateRelease, Key: key,
		Owner: replicate.ShortID(arbiter), Hold: hold,
	})
}

func (n *simNode) publish(u *replicate.Update) {
	u.Value = slices.Clone(u.Value)
	n.s.at(n.s.now, func() { // the ring
		if n.gone {
			return
		}
		n.node.Publish(n.clock(), u)
		n.node.Flush(n.clock())
		n.tick()
	})
}

func (n *simNode) Pulls() bool { return true }

func (n *simNode) Arbiter(key [16]byte, owner tlsconn.NodeID) tlsconn.NodeID {
	id, _ := n.node.Arbiter(n.clock(), key, replicate.ShortID(owner))
	return tlsconn.NodeID(id)
}

func (n *simNode) Reachable(id tlsconn.NodeID) bool {
	return id != n.id && n.Arbiter([16]byte{}, id) == id
}

func (n *simNode) Ask(q *sessions.Question) bool {
	n.s.at(n.s.now, func() {
		if n.gone {
			return
		}
		n.node.Ask(n.clock(), &replicate.Question{
			Key: q.Key, Owner: replicate.ShortID(q.Owner), Hold: q.Hold,
			Answer: func(r replicate.Reply) {
				q.Answer(peering.Answer(r))
				n.judge()
			},
		})
		n.tick()
	})
	return true
}

// Events.

type noWaker struct{}

func (noWaker) Wake() {}

func simKey(i int) (key tlsconn.Key) {
	binary.BigEndian.PutUint64(key[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(key[8:], uint64(i))
	return key
}

// simSeeds is the number of runs of each kind: some, or REPRISE_SIM_SEEDS.
func simSeeds(t *testing.T) int {
	seeds := 12
	if testing.Short() {
		seeds = 3
	}
	if more := os.Getenv("REPRISE_SIM_SEEDS"); more != "" {
		n, err := strconv.Atoi(more)
		if err != nil {
			t.Fatal(err)
		}
		seeds = n
	}
	return seeds
}

// With the real protocol, whatever happens to processes, machines and the network: no session
// resumes past its birth and lifetime, no session that predates a command to forget resumes after
// that is acknowledged, and while nodes are in contact a single-use session is spent once.
func TestLawsOverTheRealProtocol(t *testing.T) {
	seeds := simSeeds(t)
	for _, kind := range []simKind{
		{name: "in contact", nodes: 3, mode: replicate.Push},
		{name: "homes", nodes: 4, mode: replicate.Homes},
		{name: "pull", nodes: 3, mode: replicate.Pull},
		{name: "loss", nodes: 3, mode: replicate.Push, loss: 0.2},
		{name: "pauses", nodes: 3, mode: replicate.Push, pause: true},
		{name: "partitions", nodes: 3, mode: replicate.Push, part: true},
		{name: "restarts", nodes: 3, mode: replicate.Push, restart: true},
		{name: "snapshots of machines", nodes: 3, mode: replicate.Push, restored: true},
		{
			name: "everything", nodes: 3, mode: replicate.Push, loss: 0.05, pause: true, part: true, restart: true,
			restored: true,
		},
		{
			name: "everything, with homes", nodes: 4, mode: replicate.Homes, loss: 0.05, pause: true, part: true, restart: true,
			restored: true,
		},
	} {
		t.Run(kind.name, func(t *testing.T) {
			var resumed, refused, spent, forgotten int
			for seed := range seeds {
				s := newSim(t, kind, uint64(seed))
				for range 250 {
					s.step()
				}
				for _, n := range s.nodes {
					n.end()
				}
				resumed, refused, spent, forgotten = resumed+s.resumed, refused+s.refused, spent+s.spent,
					forgotten+s.forgotten
				if t.Failed() {
					t.Fatalf("with seed %d", seed)
				}
			}
			t.Logf("%d resumed, %d refused, %d spent, %d commands acknowledged", resumed, refused, spent, forgotten)
			if resumed < seeds || spent == 0 || forgotten == 0 {
				t.Error("too few events")
			}
		})
	}
}
