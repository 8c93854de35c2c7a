package replicate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// listed returns what the peers of a node are called in its statistics.
func (n *simNode) listed() (names []string) {
	for _, p := range n.stats(n.clock()).Peers {
		names = append(names, p.Name)
	}
	return names
}

// A node that comes back as another installation, like a container, is listed under its
// name and no other, whatever became of its earlier lives. Two that live are told apart.
func TestLabelsOfRestarts(t *testing.T) {
	s := newSim(t, 1)
	a := s.nodes[0]
	named := func(o *Options) { o.Name, o.Instance = "web2", Instance(NewID()) }
	b := s.add(named)
	s.runUntil(5*time.Second, func() bool { return a.peers[b.o.ID] != nil })
	for range 3 {
		b.down = true
		s.run(a.o.DeadAfter + time.Second)
		if got := a.listed(); !slices.Equal(got, []string{"web2"}) {
			t.Errorf("while it is down: listed %q", got)
		}
		b = s.add(named) // at another address
		s.runUntil(5*time.Second, func() bool { return a.peers[b.o.ID] != nil })
		if got := a.listed(); !slices.Equal(got, []string{"web2"}) {
			t.Errorf("after a restart: listed %q", got)
		}
	}
	second := s.add(named)
	s.runUntil(5*time.Second, func() bool { return a.peers[second.o.ID] != nil })
	if got := a.listed(); !slices.Equal(got, []string{"web2", "web2#2"}) {
		t.Errorf("two that live: listed %q", got)
	}
	// One under another name at the address of a dead one leaves no series of that.
	second.down = true
	s.run(a.o.DeadAfter + time.Second)
	other := s.start(second.addr, func(o *Options) { o.Name, o.Instance = "web3", Instance(NewID()) })
	s.runUntil(5*time.Second, func() bool { return a.peers[other.o.ID] != nil })
	if got := a.listed(); !slices.Equal(got, []string{"web2", "web3"}) {
		t.Errorf("another at its address: listed %q", got)
	}
}

// However many addresses send what cannot be opened, that is one line a minute, and what
// is wrong with a configured peer is told all the same: each time anew.
func TestUnknownAddressesSilenceNothing(t *testing.T) {
	s := newSim(t, 0)
	s.unlisted = true
	a := s.add(nil)
	var counts []uint64
	told := make(map[string]int)
	a.Notice = func(m Notice) {
		if m.Name == "" {
			counts = append(counts, m.Unknown)
			return
		}
		told[fmt.Sprint(m.Kind, m.Name)]++
	}
	b := s.add(func(o *Options) { o.Secrets = []Secret{testSecret(t, "another cluster secret")} })
	a.SetPeers(a.clock(), addrsOf(b), map[netip.AddrPort]string{b.addr: "b.example"})
	const sent = 3000
	for i := range sent {
		a.Receive(a.clock(), netip.AddrPortFrom(elsewhere.Addr(), uint16(1+i)),
			[]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	}
	b.SetPeers(b.clock(), addrsOf(a), nil)
	b.tick()
	s.run(3 * time.Second)
	if got := told[fmt.Sprint(NoticeSecret, "b.example")]; got != 1 {
		t.Errorf("that a configured peer has another secret was told %d times", got)
	}
	s.run(time.Minute)
	a.Receive(a.clock(), elsewhere, []byte{1, 2, 3})
	if !slices.Equal(counts, []uint64{1, sent}) {
		t.Errorf("unknown addresses: notices of %v datagrams, want of 1 and then of %d", counts, sent)
	}
	// It is put right, and then wrong again.
	b.Rekey(b.clock(), a.o.Secrets)
	s.runUntil(5*time.Second, func() bool { p := a.peers[b.o.ID]; return p != nil && p.up })
	b.Rekey(b.clock(), []Secret{testSecret(t, "another cluster secret")})
	s.run(10 * time.Second)
	if got := told[fmt.Sprint(NoticeSecret, "b.example")]; got != 2 {
		t.Errorf("that it has another secret again was told %d times in all", got)
	}
}

// Garbage costs no allocation, wherever it seems to come from.
func TestGarbageDoesNotAllocate(t *testing.T) {
	s := newSim(t, 2)
	s.runUntil(5*time.Second, s.introduced)
	a := s.nodes[0]
	silent := netip.MustParseAddrPort("127.9.9.9:7171")
	a.SetPeers(a.clock(), append(addrsOf(s.nodes[1]), silent), nil)
	a.Notice = func(Notice) {}
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, first := range map[string][]byte{
		"foreign version": {1}, "foreign secret": {wire.Version, byte(wire.KindSealed), a.secrets[0].ID() ^ 1},
		"forged": {wire.Version, byte(wire.KindSealed), a.secrets[0].ID()}, "short": nil,
	} {
		d := make([]byte, 300)
		for i := range d {
			d[i] = byte(rnd.Uint32())
		}
		copy(d, first)
		if first == nil {
			d = d[:3]
			d[0] = wire.Version
		}
		for from, addr := range map[string]netip.AddrPort{"a peer": s.nodes[1].addr, "a silent peer": silent, "a stranger": elsewhere} {
			if got := testing.AllocsPerRun(100, func() { a.Receive(a.clock(), addr, d) }); got != 0 {
				t.Errorf("%s from %s: %v allocations", name, from, got)
			}
		}
	}
}
