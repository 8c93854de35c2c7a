package replicate

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/replicate/repeater"
	"reprise/replicate/wire"
)

// A repeaterLife is a repeater that runs until it is stopped.
type repeaterLife struct {
	*repeater.Repeater
	addr netip.AddrPort
}

func startRepeater(t *testing.T, addr netip.AddrPort) *repeaterLife {
	t.Helper()
	r, err := repeater.New(repeater.Options{
		Listen: []netip.AddrPort{addr}, Keys: [][]byte{testSecret(t, fleetSecret).RepeaterKey()},
		Lifetime: time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	return &repeaterLife{r, r.Addrs()[0]}
}

func (r *repeaterLife) stop(t *testing.T) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func (r *repeaterLife) requireSubscribers(t *testing.T, n int64) {
	t.Helper()
	nettest.Eventually(t, 10*time.Second, func() bool { return r.Stats().Subscribers.Load() == n }, "there are not %d subscribers",
		n)
}

const fleetSecret = "a cluster secret for tests"

// startMember starts a node that knows a repeater and nothing else.
func startMember(t *testing.T, listen, gateway netip.AddrPort) *livePoller {
	t.Helper()
	return startPoller(t, fleetSecret, Network{
		Listen: []netip.AddrPort{listen},
		Peers:  []netip.AddrPort{gateway},
	}, nil)
}

func (l *livePoller) requireSession(t *testing.T, key Key, value string) {
	t.Helper()
	nettest.Eventually(t, 10*time.Second, func() bool {
		got, _, _, ok := l.memory.Find(nil, key)
		return ok && string(got) == value
	}, "%q did not arrive", value)
}

// on runs f on the poller's goroutine.
func (l *livePoller) on(f func()) {
	done := make(chan struct{})
	l.do(func() { f(); close(done) })
	<-done
}

// share makes a session at one node and waits until all others have it.
func share(t *testing.T, fleet []*livePoller, at int, key Key, value string) {
	t.Helper()
	fleet[at].on(func() { fleet[at].make(key, value) })
	for _, l := range fleet {
		l.requireSession(t, key, value)
	}
}

// A tap is a subscriber that has the repeater key, but not the cluster secret: it
// sees what a repeater sees.
type tap struct {
	conn *net.UDPConn
	sub  *repeater.Subscriber
	to   netip.AddrPort
	seen chan []byte // all of it, once the connection is closed
}

func startTap(t *testing.T, gateway netip.AddrPort) *tap {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback))
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{conn, repeater.NewSubscriber(testSecret(t, fleetSecret).RepeaterKey(),
		[]netip.AddrPort{gateway}), gateway, make(chan []byte, 1)}
	go p.run()
	return p
}

func (p *tap) run() {
	var seen []byte
	buf := make([]byte, receiveLen)
	for began := time.Now(); ; {
		next := p.sub.Tick(time.Since(began),
			func(to netip.AddrPort, b []byte) { _, _ = p.conn.WriteToUDPAddrPort(b, to) })
		_ = p.conn.SetReadDeadline(began.Add(next))
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil && !p.sub.Receive(time.Since(began), buf[:n]):
			seen = append(seen, buf[:n]...)
		case err != nil && !err.(net.Error).Timeout():
			p.seen <- seen
			return
		}
	}
}

// Three nodes whose only peer is a repeater are a fleet: they push, ask and join,
// and nothing they say can be read on the way.
func TestRepeaterFleet(t *testing.T) {
	nettest.LeakCheck(t)
	r := startRepeater(t, loopback)
	defer r.stop(t)
	tapped := startTap(t, r.addr)
	r.requireSubscribers(t, 1)
	var fleet []*livePoller
	for range 3 {
		fleet = append(fleet, startMember(t, loopback, r.addr))
	}
	for _, l := range fleet {
		nettest.Eventually(t, 10*time.Second, func() bool { return l.introducedLen() == 2 }, "nodes were not introduced")
	}
	for i := range fleet {
		share(t, fleet, i, simKey(i), fmt.Sprintf("a master secret of node %d", i))
	}

	// Asked for, since it was never pushed.
	fleet[0].on(func() { fleet[0].memory.Put(simKey(7), []byte("a master secret to ask for"), 0, time.Minute, false) })
	answer := make(chan string, 1)
	fleet[1].TryAsk(&Question{
		Key: simKey(7), Owner: fleet[0].node.o.ID.Short(),
		Answer: func(r Reply) {
			answer <- fmt.Sprint(string(r.Value), r.Verdict == Found)
		},
	})
	if got := <-answer; got != "a master secret to ask fortrue" {
		t.Errorf("the answer is %q", got)
	}

	// Joined.
	fleet = append(fleet, startMember(t, loopback, r.addr))
	for i := range 3 {
		fleet[3].requireSession(t, simKey(i), fmt.Sprintf("a master secret of node %d", i))
	}

	tapped.conn.Close()
	seen := <-tapped.seen
	if len(seen) == 0 {
		t.Error("the tap saw nothing")
	}
	for _, secret := range [][]byte{[]byte("master secret"), simKeyBytes(7), []byte(fleetSecret)} {
		if bytes.Contains(seen, secret) {
			t.Errorf("%q can be read on the wire", secret)
		}
	}
}

func simKeyBytes(i int) []byte {
	key := simKey(i)
	return key[:]
}

func TestRepeaterRestarts(t *testing.T) {
	r := startRepeater(t, loopback)
	var fleet []*livePoller
	for range 3 {
		fleet = append(fleet, startMember(t, loopback, r.addr))
	}
	r.requireSubscribers(t, 3)
	share(t, fleet, 0, simKey(0), "before")
	r.stop(t)
	fleet[1].on(func() { fleet[1].make(simKey(1), "meanwhile") })
	r = startRepeater(t, r.addr)
	defer r.stop(t)
	r.requireSubscribers(t, 3)
	share(t, fleet, 2, simKey(2), "after")
	for _, l := range fleet {
		l.requireSession(t, simKey(1), "meanwhile")
	}
}

func TestRepeaterOutlivesNodes(t *testing.T) {
	r := startRepeater(t, loopback)
	defer r.stop(t)
	fleet := []*livePoller{startMember(t, loopback, r.addr), startMember(t, loopback, r.addr)}
	third := netip.MustParseAddrPort(nettest.FreeAddr(t))
	for _, life := range []string{"first life", "second life"} {
		t.Run(life, func(t *testing.T) {
			all := append(slices.Clone(fleet), startMember(t, third, r.addr))
			r.requireSubscribers(t, 3)
			for i := range all {
				share(t, all, i, Key{life[0], byte(i)}, life)
			}
			all[2].requireSession(t, Key{"first life"[0], 0}, "first life") // joined
		})
	}
	r.requireSubscribers(t, 2)
}

// Nodes tell each other directly that they would subscribe. Nothing comes of it.
func TestSubscribersAtNodes(t *testing.T) {
	fleet := loopbackFleet(t, 2, nil)
	for _, l := range fleet {
		nettest.Eventually(t, 10*time.Second, func() bool { return l.subs.Ignored() > 0 }, "a node to try")
		if got := l.node.counts.Dropped.Load(dropReason(wire.ForeignVersion)); got != 0 {
			t.Errorf("the node was bothered %d times", got)
		}
	}
}

var loopback = netip.MustParseAddrPort("127.0.0.1:0")
