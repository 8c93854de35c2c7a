package replicate

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"reprise/replicate/wire"
)

var elsewhere = netip.MustParseAddrPort("192.0.2.66:6666")

var elsewhere2 = netip.MustParseAddrPort("192.0.2.67:6666")

// droppedLen is how many datagrams the node has not believed.
func (n *simNode) droppedLen() (sum uint64) {
	for why := range drops {
		sum += n.counts.Dropped.Load(dropReason(why))
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

// suspect gives n a datagram that must change nothing but a counter, and may be
// answered by nothing but a retry, which is shorter.
func (n *simNode) suspect(t *testing.T, what string, at int, datagram []byte) {
	t.Helper()
	before, sent, bytes := n.droppedLen(), n.sim.datagrams, n.sim.bytes
	n.Receive(n.clock(), elsewhere, datagram)
	if got := n.droppedLen() - before; got != 1 {
		t.Fatalf("%s %d: counted %d times", what, at, got)
	}
	if n.sim.datagrams > sent+1 || n.sim.bytes-bytes > len(datagram) {
		t.Fatalf("%s %d was answered by %d bytes", what, at, n.sim.bytes-bytes)
	}
}

func TestDamagedDatagrams(t *testing.T) {
	a, b, datagram := captured(t)
	for i := range datagram {
		for bit := range 8 {
			bad := bytes.Clone(datagram)
			bad[i] ^= 1 << bit
			clear(b.intro.retried) // there is a bound
			if i < wire.HeaderLen {
				b.refuse(t, "byte", i, bad)
			} else {
				b.suspect(t, "byte", i, bad)
			}
		}
	}
	for n := range datagram {
		clear(b.intro.retried)
		b.suspect(t, "cut to", n, datagram[:n])
	}
	clear(b.intro.retried)
	b.suspect(t, "lengthened by", 1, append(bytes.Clone(datagram), 0))
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
func TestDropsAreReported(t *testing.T) {
	a, b, datagram := captured(t)
	change := func(at int, to byte) []byte {
		d := bytes.Clone(datagram)
		d[at] = to
		return d
	}
	malformed := a.sender.Seal(nil, append(make([]byte, wire.PlainHeaderLen), byte(wire.TypeAsk), 0, 1,
		0), a.clock())
	stranger := wire.NewSender(a.secrets[0].check, wire.ShortID{9}, 0)
	late := func() []byte {
		d := a.sender.Seal(nil, make([]byte, wire.PlainHeaderLen), a.clock())
		b.sim.run(5 * time.Second)
		return d
	}
	old := func() []byte {
		d := a.sender.Seal(nil, make([]byte, wire.PlainHeaderLen), a.clock())
		b.sim.cut = nil
		b.sim.run(3 * wire.RatchetEvery)
		return d
	}
	tests := []struct {
		why      wire.Reason
		name     string
		datagram func() []byte
	}{
		{wire.TooShort, "too_short", func() []byte { return datagram[:20] }},
		{wire.ForeignVersion, "foreign_version", func() []byte { return change(0, 1) }},
		{wire.ForeignSecret, "foreign_secret", func() []byte { return change(2, datagram[2]+1) }},
		{wire.Forged, "forged", func() []byte { return change(9, datagram[9]+1) }},
		{wire.NotAuthentic, "not_authentic", func() []byte { return change(70, datagram[70]+1) }},
		{dropMalformed, "malformed", func() []byte { return malformed }},
		{dropReflected, "reflected", func() []byte { return b.sender.Seal(nil, make([]byte, 4), b.clock()) }},
		{dropNotIntroduced, "not_introduced", func() []byte { return stranger.Seal(nil, make([]byte, 4), b.clock()) }},
		{wire.Stale, "stale", late},
		{wire.KeyGone, "key_gone", old},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := test.datagram()
			before := b.stats(b.clock()).Dropped.Counts()[test.name]
			b.suspect(t, "datagram", 0, d)
			if got := b.stats(b.clock()).Dropped.Counts()[test.name] - before; got != 1 {
				t.Errorf("the counter went up by %d, want 1: %v", got, b.stats(b.clock()).Dropped.Counts())
			}
		})
	}
}

// A flood of garbage, of recordings of earlier lives and of replays costs the
// flooded node no peer, no answer, and keeps no node out.
func TestFlood(t *testing.T) {
	s := newSim(t, 3)
	var recorded [][]byte
	s.tap = func(d []byte) { recorded = append(recorded, bytes.Clone(d)) }
	s.run(3 * time.Second)
	s.tap = nil
	s.nodes[2] = s.restart(s.nodes[2]) // so that some recordings are of an earlier life
	s.runUntil(5*time.Second, s.introduced)
	a, b := s.nodes[0], s.nodes[1]
	s.live[elsewhere] = &simNode{sim: s, down: true}
	sent, received := s.countSent(elsewhere), 0
	const milliseconds = 2000
	var late *simNode
	lateAt, introducedAt := time.Duration(0), time.Duration(0)
	for ms := range milliseconds {
		received += b.flooded(recorded)
		b.tick()
		a.publish(simKey(ms), "session")
		s.run(time.Millisecond)
		if _, ok := b.ask(simKey(ms), a.id, 0); ms%100 == 0 && !ok {
			s.run(2 * time.Millisecond)
			if _, ok := b.ask(simKey(ms), a.id, 5*time.Millisecond); !ok {
				t.Fatalf("the flooded node did not get session %d", ms)
			}
		}
		if ms == milliseconds/2 {
			late = s.add(nil)
			lateAt = s.now
		}
		if late != nil && introducedAt == 0 && b.peers[late.o.ID] != nil && late.peers[b.o.ID] != nil {
			introducedAt = s.now
		}
	}
	s.run(100 * time.Millisecond)
	if got := len(b.memory.sessions); got != milliseconds {
		t.Errorf("%d sessions arrived through the flood, want %d", got, milliseconds)
	}
	if took := introducedAt - lateAt; introducedAt == 0 || took > 100*time.Millisecond {
		t.Errorf("a node that started during the flood was introduced after %v", took)
	}
	if *sent > received {
		t.Errorf("%d bytes were sent for %d received", *sent, received)
	}
	if len(b.peers) != 4 || len(b.intro.awaited) > maxAwaited || len(b.intro.begun) > maxBegun ||
		len(b.intro.retried) > maxSenders {
		t.Errorf("%d peers, %d and %d introductions, %d senders", len(b.peers), len(b.intro.awaited), len(b.intro.begun), len(b.intro.retried))
	}
	t.Logf("introduced after %v, %.2f bytes sent for each received: %v", introducedAt-lateAt, float64(*sent)/float64(received),
		b.stats(b.clock()).Dropped.Counts())
}

// flooded is sent, from elsewhere, half garbage and half recordings.
func (n *simNode) flooded(recorded [][]byte) (received int) {
	const perMillisecond = 100
	garbage := make([]byte, 100)
	for i := range perMillisecond {
		d := recorded[n.sim.rand.IntN(len(recorded))]
		if i%2 == 0 {
			for j := range garbage {
				garbage[j] = byte(n.sim.rand.Uint32())
			}
			if d = garbage; i%4 == 0 {
				d[0], d[1], d[2] = wire.Version, byte(wire.KindSealed), n.secrets[0].ID()
			}
		}
		received += len(d)
		n.Receive(n.clock(), elsewhere, d)
	}
	return received
}

// No recording, sent again from a forged address, at any time, draws more than it
// has bytes there.
func TestRecordingsDoNotAmplify(t *testing.T) {
	s := newSim(t, 3)
	var recorded [][]byte
	s.tap = func(d []byte) { recorded = append(recorded, bytes.Clone(d)) }
	s.run(2 * time.Second)
	s.tap = nil
	s.live[elsewhere] = &simNode{sim: s, down: true}
	for _, pause := range []time.Duration{0, time.Second, time.Hour} {
		s.run(pause)
		for _, n := range s.nodes {
			for i, d := range recorded {
				sent := s.countSent(elsewhere)
				n.Receive(n.clock(), elsewhere, d)
				n.tick()
				s.run(200 * time.Microsecond)
				if *sent > len(d) {
					t.Fatalf("recording %d of %d bytes, kind %d, after %v: %d bytes were sent", i, len(d), d[1], pause, *sent)
				}
			}
		}
	}
}

// M1: a request to repeat batches that was captured and is sent from elsewhere, even
// before it arrives, draws nothing there, and nothing else is sent there.
func TestCapturedRepairDrawsNothing(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	for i := range 1000 {
		a.publish(simKey(i), "session")
	}
	s.run(time.Second)
	var repair []byte
	s.cut = func(from, _ *simNode) bool { return from == b }
	s.tap = func(d []byte) { repair = bytes.Clone(d) }
	p := b.peers[a.o.ID]
	b.sendTo(p, wire.Repair{To: a.id, Ranges: wire.Ranges(nil).Append(wire.Range{
		First: 1,
		Count: 1000,
	})}.Append(b.begin()))
	s.tap, s.cut = nil, nil
	s.live[elsewhere] = &simNode{sim: s, down: true}
	sent := s.countSent(elsewhere)
	before := a.counts.RepairsSent.Load()
	a.Receive(a.clock(), elsewhere, repair)
	for range 100 {
		a.Receive(a.clock(), elsewhere, repair)
		a.publish(simKey(5000), "session")
		s.run(100 * time.Millisecond)
	}
	if *sent > len(repair) {
		t.Errorf("%d bytes were sent to where a capture of %d came from", *sent, len(repair))
	}
	if got := a.counts.RepairsSent.Load() - before; got != repairBatches {
		t.Errorf("%d batches were repeated, want those of one request, to its sender", got)
	}
	if got := a.peers[b.o.ID].addr; got != b.addr {
		t.Errorf("the peer's address is %v", got)
	}
}

// A peer that moves is believed at its new address once it has proved to be there.
func TestPeerMoves(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	delete(s.live, b.addr)
	b.addr = netip.MustParseAddrPort("127.0.9.9:7171")
	s.live[b.addr] = b
	s.runUntil(10*time.Second, func() bool { return a.peers[b.o.ID].addr == b.addr })
	a.publish(simKey(1), "session")
	s.runUntil(time.Second, func() bool { return len(b.memory.sessions) == 1 })
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
		r    wire.Range
		want uint64
	}{
		{"one", wire.Range{First: 500, Count: 1}, 1},
		{"all", wire.Range{First: 1, Count: 65535}, repairBatches},
		{"of the future", wire.Range{First: 1001, Count: 65535}, 0},
		{"none", wire.Range{First: 1, Count: 0}, 0},
		{"zero", wire.Range{First: 0, Count: 1}, 0},
		{"at the end of numbers", wire.Range{First: 1<<64 - 10, Count: 65535}, 0},
	}
	for _, test := range tests {
		for _, times := range []int{1, 1700} {
			before := a.counts.RepairsSent.Load()
			a.handleRepair(p, wire.Repair{Ranges: slices.Repeat(wire.Ranges{}.Append(test.r), times)})
			if got, want := a.counts.RepairsSent.Load()-before, min(test.want*uint64(times),
				repairBatches); got != want {
				t.Errorf("%s, %d times: %d batches sent, want %d", test.name, times, got, want)
			}
		}
	}
	// Absurd numbers from a peer harm only what that peer sends.
	for _, seq := range []uint64{1 << 63, 1<<64 - 1, 0, 1 << 20} {
		b.handleHeartbeat(b.peers[a.o.ID], wire.Heartbeat{Newest: seq, Oldest: seq, Sent: seq})
		b.handleBatch(b.peers[a.o.ID], wire.Batch{Seq: seq})
		b.tick()
		s.run(10 * time.Millisecond)
	}
	b.publish(simKey(5000), "session")
	s.run(100 * time.Millisecond)
	if len(a.memory.sessions) != 1001 {
		t.Errorf("a has %d sessions, want 1001", len(a.memory.sessions))
	}
}

// Any bytes, even well sealed ones, do no more than their messages allow.
func TestRandomMessages(t *testing.T) {
	s := newSim(t, 2)
	s.run(3 * time.Second)
	a, b := s.nodes[0], s.nodes[1]
	rnd := rand.New(rand.NewPCG(1, 2))
	var messages []byte
	for range 20000 {
		messages = append(messages[:0], make([]byte, wire.PlainHeaderLen)...)
		for range rnd.IntN(4) {
			body := make([]byte, rnd.IntN(80))
			for i := range body {
				body[i] = byte(rnd.Uint32()) >> (rnd.Uint32() % 9)
			}
			if rnd.IntN(2) == 0 {
				copy(body, b.o.ID[:4])
			}
			messages = append(messages, byte(rnd.IntN(15)), 0, byte(len(body)))
			messages = append(messages, body...)
		}
		b.Receive(b.clock(), a.addr, a.sender.Seal(nil, messages, a.clock()))
		b.tick()
		s.run(50 * time.Microsecond)
	}
	s.run(5 * time.Second)
	if len(b.questions.open) != 0 || len(b.forgets) != 0 || len(b.snapshot.donations) > maxDonations ||
		len(b.peers) > 2 || len(b.rumours) > maxRumours || len(b.holds.given) > maxHolds {
		t.Errorf("left behind: %d questions, %d forgets, %d donations, %d peers", len(b.questions.open), len(b.forgets), len(b.snapshot.donations), len(b.peers))
	}
}

// countSent counts the bytes that are sent to an address from now on.
func (s *sim) countSent(to netip.AddrPort) *int {
	sent := 0
	s.tapTo = func(addr netip.AddrPort, d []byte) {
		if addr == to {
			sent += len(d)
		}
	}
	return &sent
}
