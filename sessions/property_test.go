package sessions

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"reprise/tlsconn"
)

// A world is some nodes whose memories are real, on a network that delays, loses and partitions. It
// knows the truth about each session and checks every look-up against it.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	clock  *fakeClock
	nodes  []*worldNode
	events []event // of the network
	truth  map[int]*sessionTruth
	last   int // the newest session
	parted bool
	dead   int // the node that has died, -1 for none
	// everParted says that nodes were without contact at some time: then single use is promised
	// only within each of them.
	everParted bool

	given, refused, spent, lost int // number of events worth testing
}

type event struct {
	at time.Time
	do func()
}

// sessionTruth is what the nodes do not know.
type sessionTruth struct {
	born  time.Time
	name  string
	owner int
	spent int
}

// worldNode is one node, and the fleet as its memory sees it.
type worldNode struct {
	w        *world
	index    int
	id       tlsconn.NodeID
	m        *Memory
	rules    []worldRule // those that it has acknowledged
	inFlight []*handshake
}

type worldRule struct {
	given time.Time
	name  string // "" for all
}

// handshake is a returning client's unfinished handshake.
type handshake struct {
	session int
	hold    bool
	lookup  *tlsconn.Lookup // nil if it was found at once
	found   tlsconn.Session
	judged  bool
}

func newWorld(t *testing.T, seed uint64, nodes, items int) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), clock: newFakeClock(),
		truth: make(map[int]*sessionTruth), dead: -1,
	}
	for i := range nodes {
		n := &worldNode{w: w, index: i, id: tlsconn.NodeID{byte(i + 1)}}
		n.m = newMemoryOf(t, w.clock, n.id, items)
		n.m.maxLookups = 1 << 20
		n.m.Connect(n)
		w.nodes = append(w.nodes, n)
	}
	return w
}

// contact reports whether two nodes are in contact: the last one may be cut off.
func (w *world) contact(a, b int) bool {
	if w.dead >= 0 && (a == w.dead || b == w.dead) {
		return false
	}
	island := len(w.nodes) - 1
	return a == b || !w.parted || a != island && b != island
}

// send makes something happen at another node some time later, if it arrives.
func (w *world) send(from, to int, reliable bool, do func()) {
	if !reliable && w.rng.IntN(10) == 0 {
		return
	}
	at := w.clock.Now().Add(time.Duration(w.rng.IntN(20)) * time.Millisecond)
	w.events = append(w.events, event{at, func() {
		switch {
		case w.contact(from, to):
			do()
		case reliable: // it is repeated until there is contact
			w.events = append(w.events, event{
				w.clock.Now().Add(time.Second),
				func() { w.send(from, to, true, do) },
			})
		}
	}})
}

// pass advances the time and runs all that falls due.
func (w *world) pass(d time.Duration) {
	end := w.clock.Now().Add(d)
	for {
		slices.SortStableFunc(w.events, func(a, b event) int { return a.at.Compare(b.at) })
		if len(w.events) == 0 || w.events[0].at.After(end) {
			break
		}
		next := w.events[0]
		w.events = w.events[1:]
		if wait := next.at.Sub(w.clock.Now()); wait > 0 {
			w.clock.pass(wait)
		}
		next.do()
		w.judge()
	}
	w.clock.pass(end.Sub(w.clock.Now()))
}

// The fleet, as the protocol should be: ages are those at sealing, and transit counts.

func (n *worldNode) others() []*worldNode {
	return slices.DeleteFunc(slices.Clone(n.w.nodes), func(o *worldNode) bool { return o == n })
}

func (n *worldNode) Made(key [16]byte, value []byte, _, _ time.Duration) {
	for _, to := range n.others() {
		n.push(to, key)
		if n.w.rng.IntN(4) == 0 { // repaired later, from what is there then
			n.w.events = append(n.w.events,
				event{
					n.w.clock.Now().Add(time.Duration(n.w.rng.IntN(60)) * time.Second),
					func() { n.push(to, key) },
				})
		}
	}
}

func (n *worldNode) push(to *worldNode, key [16]byte) {
	value, age, left, ok := n.m.Lookup(nil, key)
	if !ok {
		return
	}
	sealed := n.w.clock.Now()
	n.w.send(n.index, to.index, false, func() {
		way := n.w.clock.Now().Sub(sealed)
		to.m.Put(key, value, age+way, left-way, false)
	})
}

func (n *worldNode) Deleted(key [16]byte, left time.Duration) {
	for _, to := range n.others() {
		n.w.send(n.index, to.index, true, func() { to.m.Delete(key, left) })
	}
}

func (n *worldNode) Pulls() bool { return true }

func (n *worldNode) node(id tlsconn.NodeID) *worldNode {
	if i := int(id[0]) - 1; i >= 0 && i < len(n.w.nodes) {
		return n.w.nodes[i]
	}
	return nil
}

// Arbiter is the owner or, by a hash of key and node, one of the nodes in contact.
func (n *worldNode) Arbiter(key [16]byte, owner tlsconn.NodeID) tlsconn.NodeID {
	if n.Reachable(owner) {
		return owner
	}
	best, bestScore := n.id, -1
	for _, o := range n.w.nodes {
		if score := int(key[15]) * (7 + 31*o.index) % 257; (o == n || n.w.contact(n.index, o.index)) &&
			score > bestScore {
			best, bestScore = o.id, score
		}
	}
	return best
}

func (n *worldNode) Reachable(owner tlsconn.NodeID) bool {
	o := n.node(owner)
	return o != nil && o != n && n.w.contact(n.index, o.index)
}

func (n *worldNode) Ask(q *Question) bool {
	target, hold := n.node(q.Owner), q.Hold
	if target == nil || target == n || !n.w.contact(n.index, target.index) {
		hold = false
		others := slices.DeleteFunc(n.others(),
			func(o *worldNode) bool { return !n.w.contact(n.index, o.index) })
		if len(others) == 0 {
			return false
		}
		target = others[n.w.rng.IntN(len(others))]
	}
	answered := false
	answer := func(a Answer) {
		if !answered {
			answered = true
			q.Answer(a)
		}
	}
	n.w.events = append(n.w.events, event{
		n.w.clock.Now().Add(50 * time.Millisecond),
		func() { answer(Answer{Verdict: tlsconn.Unknown}) },
	})
	n.w.send(n.index, target.index, false, func() {
		var a Answer
		if hold {
			a.Value, a.Age, a.Left, a.Hold, a.Verdict = target.m.HoldFor(nil, q.Key, 0)
		} else if value, age, left, ok := target.m.Lookup(nil, q.Key); ok {
			a = Answer{Value: value, Age: age, Left: left, Verdict: tlsconn.Found}
		} else {
			a.Verdict = tlsconn.Unknown
		}
		sealed := n.w.clock.Now()
		n.w.send(target.index, n.index, false, func() {
			way := n.w.clock.Now().Sub(sealed)
			a.Age, a.Left = a.Age+way, a.Left-way
			answer(a)
		})
	})
	return true
}

func (n *worldNode) Release(key [16]byte, owner tlsconn.NodeID, hold uint64) {
	if o := n.node(owner); o != nil {
		n.w.send(n.index, o.index, false, func() { o.m.ReleaseFor(key, hold) })
	}
}

// The actions of clients and operators.

func (w *world) step() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if n.index == w.dead {
		return
	}
	switch w.rng.IntN(24) {
	case 0, 1, 2, 3:
		w.last++
		name := fmt.Sprintf("%c.example", 'a'+w.rng.IntN(3))
		w.truth[w.last] = &sessionTruth{born: w.clock.Now(), name: name, owner: n.index}
		save(n.m, w.last, name)
	case 4:
		w.forget(n)
	case 5:
		n.m.Sweep()
	case 6: // a snapshot, perhaps half of one
		to := w.nodes[w.rng.IntN(len(w.nodes))]
		sealed := w.clock.Now()
		n.m.Scan(0, func(key [16]byte, value []byte, age, left time.Duration) {
			value = slices.Clone(value)
			w.send(n.index, to.index, false, func() {
				way := w.clock.Now().Sub(sealed)
				to.m.Put(key, value, age+way, left-way, false)
			})
		})
	case 7: // rules are exchanged whenever nodes are in contact
		to := w.nodes[w.rng.IntN(len(w.nodes))]
		if w.contact(n.index, to.index) {
			for _, r := range n.m.Rules(nil) {
				to.m.AddRule(r, nil)
			}
			for _, r := range n.rules {
				if !slices.Contains(to.rules, r) {
					to.rules = append(to.rules, r)
				}
			}
		}
	case 8, 9, 10, 11, 12:
		w.finish(n)
	default:
		if w.last > 0 {
			session, hold := w.last-w.rng.IntN(min(w.last, 40)), w.rng.IntN(2) == 0
			for i := session; w.dead >= 0 && i > 0; i-- { // the dead node's remains
				if w.truth[i].owner == w.dead && w.truth[i].spent == 0 {
					session, hold = i, true
					break
				}
			}
			w.comeBack(n, session, hold)
		}
	}
	most := time.Second
	switch w.rng.IntN(10) {
	case 0:
		most = 80 * time.Second
	case 1, 2, 3, 4:
		most = 5 * time.Millisecond // sooner than anything reaches another node
	}
	w.pass(time.Duration(w.rng.Int64N(int64(most))))
}

// forget gives a rule at a node and at all nodes in contact with it. The others are named to the
// operator, so nothing is promised for them.
func (w *world) forget(n *worldNode) {
	r, truth := n.m.NewRule(ForgetAll, 0), worldRule{given: w.clock.Now()}
	if w.rng.IntN(3) > 0 {
		truth.name = fmt.Sprintf("%c.example", 'a'+w.rng.IntN(3))
		r = n.m.NewRule(ForgetName, tlsconn.NameHash(truth.name))
		if w.rng.IntN(4) == 0 {
			r, truth.name = n.m.NewRule(ForgetParent, tlsconn.ParentHash("example")), ""
		}
	}
	for _, to := range w.nodes {
		if w.contact(n.index, to.index) {
			to.m.AddRule(r, nil)
			to.rules = append(to.rules, truth)
		}
	}
}

// comeBack is a client with a session that it once got.
func (w *world) comeBack(n *worldNode, session int, hold bool) {
	truth := w.truth[session]
	owner := w.nodes[truth.owner].id
	s, v := n.m.Find(nil, numbered(session), owner, hold)
	h := &handshake{session: session, hold: hold, found: s}
	switch v {
	case tlsconn.Found:
		w.hold(n, truth, "found")
	case tlsconn.Unknown:
		h.lookup = tlsconn.NewLookup(numbered(session), owner, hold, noWaker{})
		if !n.m.Ask(h.lookup) {
			return
		}
	default:
		w.refused++
		return
	}
	n.inFlight = append(n.inFlight, h)
}

// judge checks the answers to look-ups at the moment they are given.
func (w *world) judge() {
	for _, n := range w.nodes {
		for _, h := range n.inFlight {
			if h.lookup == nil || h.judged {
				continue
			}
			_, v, ok := h.lookup.Result()
			if h.judged = ok; ok && v == tlsconn.Found {
				w.hold(n, w.truth[h.session], "answered")
			}
		}
	}
}

// finish ends a handshake: successfully, or because the client did not prove itself.
func (w *world) finish(n *worldNode) {
	if len(n.inFlight) == 0 {
		return
	}
	i := w.rng.IntN(len(n.inFlight))
	h := n.inFlight[i]
	n.inFlight = slices.Delete(n.inFlight, i, i+1)
	truth := w.truth[h.session]
	owner := w.nodes[truth.owner].id
	if h.lookup != nil {
		if w.rng.IntN(8) == 0 {
			h.lookup.GiveUp()
		}
		s, v, ok := h.lookup.Result()
		if !ok { // not yet
			n.inFlight = append(n.inFlight, h)
			return
		}
		if v != tlsconn.Found {
			w.refused++
			return
		}
		h.found = s
	}
	if !h.hold {
		return
	}
	left := h.found.Expires.Sub(w.clock.Now())
	switch {
	case w.rng.IntN(4) == 0 || left <= 0:
		n.m.Release(numbered(h.session), owner, h.found.Hold)
	case n.m.Spend(numbered(h.session), owner, h.found.Hold, left):
		w.spent++
		if truth.spent++; truth.spent > 1 && !w.everParted {
			w.t.Errorf("session %d was spent %d times by nodes in contact", h.session, truth.spent)
		}
	default:
		w.lost++
	}
}

// hold checks a session given to a handshake against the truth.
func (w *world) hold(n *worldNode, truth *sessionTruth, how string) {
	w.given++
	// An answer was right when it was sealed; in this single process that is now.
	if age := w.clock.Now().Sub(truth.born); age >= lifetime {
		w.t.Errorf("node %d: %s at the age of %v", n.index, how, age)
	}
	for _, r := range n.rules {
		if !truth.born.After(r.given) && (r.name == "" || r.name == truth.name) {
			w.t.Errorf("node %d: %s, though it was forgotten there (%+v, born %v before)", n.index, how, r, r.given.Sub(truth.born))
		}
	}
}

// Whatever happens in whatever order, a session is never given away after its lifetime or after the
// node was told to forget it, and never spent twice while nodes are in contact.
func TestLawsUnderRandomInterleavings(t *testing.T) {
	seeds, steps := uint64(500), 400
	if testing.Short() {
		seeds = 30
	}
	var given, refused, spent, lost int
	for _, setting := range []struct {
		name  string
		nodes int
		items int
		parts bool
		dies  bool
	}{
		{"alone", 1, 50, false, false},
		{"in contact", 3, 1000, false, false},
		{"in contact, caches too small", 3, 12, false, false},
		{"in contact, and one dies", 4, 1000, false, true},
		{"parted now and then", 3, 1000, true, false},
	} {
		t.Run(setting.name, func(t *testing.T) {
			for seed := range seeds {
				w := newWorld(t, seed, setting.nodes, setting.items)
				for step := range steps {
					if setting.dies && step == steps/2 {
						w.pass(time.Second) // its last message is received
						w.dead = 0
					}
					if setting.parts && step%50 == 0 {
						w.parted = !w.parted
						w.everParted = true
					}
					w.step()
				}
				given, refused, spent, lost = given+w.given, refused+w.refused, spent+w.spent, lost+w.lost
				if t.Failed() {
					t.Fatalf("with seed %d", seed)
				}
			}
		})
	}
	t.Logf("%d sessions given, %d refused, %d spent, %d lost to others", given, refused, spent, lost)
	if cmp.Or(given, refused, spent) == 0 || spent < 100 {
		t.Error("too few events")
	}
}
