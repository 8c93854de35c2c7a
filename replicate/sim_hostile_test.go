package replicate

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var elsewhere = netip.MustParseAddrPort("192.0.2.66:6666")

// droppedLen is how many datagrams the node has not believed.
func (n *simNode) droppedLen() (sum uint64) {
	for why := range drops {
		sum += n.counts.dropped[why].Load()
	}
	return sum
}

// captured returns a fleet of two, and the datagram that tells the second of a
// session of the first; it has not arrived.
func captured(t *testing.T) (a, b *simNode, datagram []byte) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b = s.nodes[0], s.nodes[1]
	s.cut = func(from, _ *simNode) bool { return from == a }
	s.tap = func(d []byte) {
		if datagram == nil {
			datagram = bytes.Clone(d)
		}
	}
	a.publish(simKey(1), "session")
	s.tap = nil
	return a, b, datagram
}

// refuse gives n a datagram that must change nothing but a counter.
func (n *simNode) refuse(t *testing.T, what string, at int, datagram []byte) {
	t.Helper()
	before, sent := n.droppedLen(), n.sim.datagrams
	n.Receive(n.clock(), elsewhere, datagram)
	if got := n.droppedLen() - before; got != 1 {
		t.Fatalf("%s %d: counted %d times", what, at, got)
	}
	if n.sim.datagrams != sent {
		t.Fatalf("%s %d was answered", what, at)
	}
}

func TestDamagedDatagrams(t *testing.T) {
	a, b, datagram := captured(t)
	for i := range datagram {
		for bit := range 8 {
			bad := bytes.Clone(datagram)
			bad[i] ^= 1 << bit
			b.sim.run(time.Millisecond) // strangers have a budget
			b.refuse(t, "byte", i, bad)
		}
	}
	for n := range datagram {
		b.refuse(t, "cut to", n, datagram[:n])
	}
	b.refuse(t, "lengthened by", 1, append(bytes.Clone(datagram), 0))
	if len(b.memory.sessions) != 0 || len(b.peers) != 1 || b.peers[a.o.ID].addr != a.addr {
		t.Errorf("damage had an effect: %d sessions, %d peers, address %v", len(b.memory.sessions), len(b.peers), b.peers[a.o.ID].addr)
	}
	b.Receive(b.clock(), a.addr, datagram)
	if len(b.memory.sessions) != 1 {
		t.Error("the undamaged datagram was not taken")
	}
	b.refuse(t, "again", 0, datagram)
}

// Each reason to drop a datagram has its own counter.
func TestDropsAreTold(t *testing.T) {
	a, b, datagram := captured(t)
	change := func(at int, to byte) []byte {
		d := bytes.Clone(datagram)
		d[at] = to
		return d
	}
	malformed := NewSealer(a.o.Secrets[0], a.o.ID)
	malformed.next.Counter = 1 << 20
	tests := []struct {
		why      Reason
		name     string
		datagram []byte
	}{
		{TooShort, "too_short", datagram[:20]},
		{ForeignVersion, "foreign_version", change(0, 2)},
		{ForeignKey, "foreign_key", change(1, datagram[1]+1)},
		{NotAuthentic, "not_authentic", change(30, datagram[30]+1)},
		{dropMalformed, "malformed", malformed.Seal(nil, []byte{byte(TypeAsk), 0, 1, 0})},
		{dropReflected, "reflected", NewSealer(b.o.Secrets[0], b.o.ID).Seal(nil, nil)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var told Reason
			b.Report = func(_ netip.AddrPort, why Reason) { told = why }
			b.refuse(t, "datagram", 0, test.datagram)
			if told != test.why {
				t.Errorf("reported %v, want %v", told, test.why)
			}
			if got := b.stats(b.clock()).Dropped[test.name]; got != 1 {
				t.Errorf("the counter is %d, want 1", got)
			}
		})
	}
}

// A flood of invented senders costs a bounded number of key derivations, harms
// no peer, and keeps nobody out for long.
func TestFloodOfStrangers(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	forged := NewSealer(a.o.Secrets[0], NewID()).Seal(nil, make([]byte, 60))
	const perMillisecond, milliseconds = 100, 2000
	flood := func() {
		for range perMillisecond {
			for i := range 4 {
				forged[2+i] = byte(s.rand.Uint32())
			}
			b.Receive(b.clock(), elsewhere, forged)
		}
		b.tick()
	}
	var late *simNode
	for ms := range milliseconds {
		flood()
		a.publish(simKey(ms), "session")
		s.run(time.Millisecond)
		if ms == milliseconds/2 {
			late = s.add(nil)
		}
	}
	s.run(100 * time.Millisecond)
	derived := b.counts.dropped[NotAuthentic].Load()
	const most = strangersLen * (milliseconds/100 + 2)
	if derived == 0 || derived > most {
		t.Errorf("keys were derived for %d of %d strangers, want at most %d", derived, perMillisecond*milliseconds, most)
	}
	if got := derived + b.counts.dropped[dropTooManyStrangers].Load(); got < perMillisecond*milliseconds {
		t.Errorf("%d datagrams counted, want %d", got, perMillisecond*milliseconds)
	}
	if got := len(b.memory.sessions); got != milliseconds {
		t.Errorf("%d sessions arrived through the flood, want %d", got, milliseconds)
	}
	t.Logf("1,000 ms into the flood a node started; after it the flooded one believes it: %v", s.introduced())
	s.runUntil(3*time.Second, s.introduced)
	if len(b.peers) != 2 {
		t.Errorf("%d peers, want 2: %v", len(b.peers), late.addr)
	}
}

// Recordings of earlier lives, sent from a forged address, bring that address no
// more than three times their bytes, and the node no more peers than it has room for.
func TestRecordingsAreNoAmplifier(t *testing.T) {
	s := newSim(t, 1)
	victim := s.nodes[0]
	sent := 0
	s.live[elsewhere] = &simNode{sim: s, down: true}
	s.tap = func(d []byte) { sent += len(d) }
	received := 0
	for i := range maxPeers + 50 {
		recording := NewSealer(victim.o.Secrets[0], ID{1, byte(i >> 8), byte(i)}).Seal(nil, Heartbeat{}.Append(nil))
		received += len(recording)
		victim.Receive(victim.clock(), elsewhere, recording)
		if i%16 == 0 {
			victim.tick()
			s.run(10 * time.Millisecond)
		}
	}
	delete(s.live, elsewhere)
	s.run(10 * time.Second)
	if sent == 0 || sent > 3*received {
		t.Errorf("%d bytes sent for %d received, want some and at most 3 times", sent, received)
	}
	if len(victim.peers) != maxPeers {
		t.Errorf("%d peers, want %d", len(victim.peers), maxPeers)
	}
	t.Logf("%.1f times the bytes", float64(sent)/float64(received))
	victim.sim.run(forgetAfter + 2*time.Second)
	if len(victim.peers) != 0 || len(victim.byShort) != 0 {
		t.Errorf("%d silent peers are still remembered", len(victim.peers))
	}
}

// What a peer asks for is bounded, whatever it asks.
func TestGreedyPeer(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	for i := range 1000 {
		a.publish(simKey(i), "session")
	}
	s.run(time.Second)
	p := a.peers[b.o.ID]
	tests := []struct {
		name string
		r    Range
		want uint64
	}{
		{"one", Range{500, 1}, 1},
		{"all", Range{1, 65535}, repairBatches},
		{"of the future", Range{1001, 65535}, 0},
		{"none", Range{1, 0}, 0},
		{"zero", Range{0, 1}, 0},
		{"at the end of numbers", Range{1<<64 - 10, 65535}, 0},
	}
	for _, test := range tests {
		for _, times := range []int{1, 1700} {
			before := a.counts.repairSent.Load()
			a.handleRepair(p, Repair{Ranges: slices.Repeat(Ranges{}.Append(test.r), times)})
			if got, want := a.counts.repairSent.Load()-before, min(test.want*uint64(times), repairBatches); got != want {
				t.Errorf("%s, %d times: %d batches sent, want %d", test.name, times, got, want)
			}
		}
	}
	// Numbers without sense from a peer harm only what that peer says.
	for _, seq := range []uint64{1 << 63, 1<<64 - 1, 0, 1 << 20} {
		b.handleHeartbeat(b.peers[a.o.ID], Heartbeat{Newest: seq, Oldest: seq, Sent: seq})
		b.handleBatch(b.peers[a.o.ID], Batch{Seq: seq, Made: seq})
		b.tick()
		s.run(10 * time.Millisecond)
	}
	b.publish(simKey(5000), "session")
	s.run(100 * time.Millisecond)
	if len(a.memory.sessions) != 1001 {
		t.Errorf("a has %d sessions, want 1001", len(a.memory.sessions))
	}
}

// Any bytes, also well sealed ones, do nothing worse than what they say.
func TestRandomMessages(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	sealer := NewSealer(a.o.Secrets[0], a.o.ID)
	sealer.next.Counter = 1 << 30
	rnd := rand.New(rand.NewPCG(1, 2))
	var messages []byte
	for range 20000 {
		messages = messages[:0]
		for range rnd.IntN(4) {
			body := make([]byte, rnd.IntN(80))
			for i := range body {
				body[i] = byte(rnd.Uint32()) >> (rnd.Uint32() % 9)
			}
			if rnd.IntN(2) == 0 {
				copy(body, b.o.ID[:4])
			}
			messages = append(messages, byte(rnd.IntN(14)), 0, byte(len(body)))
			messages = append(messages, body...)
		}
		b.Receive(b.clock(), a.addr, sealer.Seal(nil, messages))
		b.tick()
		s.run(50 * time.Microsecond)
	}
	s.run(5 * time.Second)
	if len(b.questions.open) != 0 || len(b.forgets) != 0 || len(b.snapshot.donations) > maxDonations || len(b.peers) > 2 {
		t.Errorf("left behind: %d questions, %d forgets, %d donations, %d peers", len(b.questions.open), len(b.forgets), len(b.snapshot.donations), len(b.peers))
	}
}
