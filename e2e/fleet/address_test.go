package fleet

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A stranger is a socket at another address that counts its input.
type stranger struct {
	conn     *net.UDPConn
	received atomic.Int64
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 66)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetReadBuffer(8 << 20) // or what the kernel allows
	s := &stranger{conn: conn}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			s.received.Add(int64(n))
		}
	}()
	return s
}

func (s *stranger) send(t *testing.T, to string, datagram []byte) {
	t.Helper()
	if _, err := s.conn.WriteToUDPAddrPort(datagram, netip.MustParseAddrPort(to)); err != nil {
		t.Fatal(err)
	}
}

// awaitQuiet waits until nothing has come for a while and returns how much did.
func (s *stranger) awaitQuiet(t *testing.T) int64 {
	t.Helper()
	last, since := s.received.Load(), time.Now()
	nettest.Eventually(t, harness.Patience, func() bool {
		if now := s.received.Load(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	}, "no more bytes come")
	return last
}

// peerAddresses are the addresses at which node i expects the others.
func (f *fleet) peerAddresses(i int) (list []string) {
	f.T.Helper()
	for _, p := range f.Nodes[i].Shared().Replication.Peers {
		list = append(list, p.Address)
	}
	return list
}

// TestCapturedDatagramsFromElsewhere: a datagram that its receiver has not seen yet
// is authentic wherever it comes from. Its source must not be taken for the peer's
// address, nor be sent more than three times what came from it (RFC 9000, Section 8).
func TestCapturedDatagramsFromElsewhere(t *testing.T) {
	t.Parallel()
	const sender, victim = 1, 0
	f := newFleet(t, 2, "--cache-udp-heartbeat=200ms", "--cache-udp-dead-after=20s", patientLookup)
	n := newNetwork(f.Fleet)
	f.RunAll()

	// The sender misses many of the victim's sessions, and its messages about that are captured on
	// the way: requests for repair, echoes, questions, batches.
	n.setPolicy(func(c captured) bool {
		if c.from == sender {
			return n.holdBack(c)
		}
		return false
	})
	for range 200 {
		f.goHolder(victim, tls.VersionTLS12)
	}
	n.setPolicy(func(c captured) bool { return c.from != sender || n.holdBack(c) })
	f.goHolder(victim, tls.VersionTLS13)
	nettest.Eventually(t, harness.Patience, func() bool { return n.heldLen() >= 20 }, "20 datagrams are captured")
	n.setPolicy(func(c captured) bool { return false })

	before := f.peerAddresses(victim)
	held := n.takeHeld()
	strangers := make([]*stranger, len(held))
	for i, c := range held {
		strangers[i] = newStranger(t)
		strangers[i].send(t, f.UDP(victim), c.datagram)
		if i%8 == 7 || i == len(held)-1 { // some at a time: waiting takes a while
			strangers[i].awaitQuiet(t)
		}
	}
	for i, c := range held {
		if got := strangers[i].received.Load(); got > 3*int64(len(c.datagram)) {
			t.Errorf("datagram %d, %d bytes from elsewhere, drew %d bytes there", i, len(c.datagram), got)
		}
	}
	if now := f.peerAddresses(victim); len(now) != len(before) || now[0] != before[0] {
		t.Errorf("the peer's address is %v, it was %v", now, before)
	}
	n.setPolicy(nil)
	f.AwaitIntroduced()
	f.wantAll(sender, f.hold(victim))
	f.wantAll(victim, f.hold(sender))
}

// TestDamagedDatagramsDrawNothingMuch: a datagram made without the secret costs a counter. One that
// looks like a known sender's under a new key may be answered by a retry, which is shorter, a few
// times.
func TestDamagedDatagramsDrawNothingMuch(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, quickFleet...)
	n := newNetwork(f.Fleet)
	f.RunAll()
	f.wantAll(1, f.hold(0))
	f.Nodes[1].Stop() // from here on node 0 hears only us
	before := f.Nodes[0].Shared().Replication
	s := newStranger(t)
	sent, size := uint64(0), int64(0)
	for _, c := range n.captured() {
		if c.to != 0 {
			continue
		}
		for bit := 0; bit < 8*len(c.datagram); bit += 61 {
			damaged := bytes.Clone(c.datagram)
			damaged[bit/8] ^= 1 << (bit % 8)
			s.send(t, f.UDP(0), damaged)
			sent++
			size += int64(len(damaged))
			if sent%100 == 0 {
				time.Sleep(time.Millisecond) // the socket's buffer is finite
			}
		}
		if sent > 5000 {
			break
		}
	}
	nettest.Eventually(t, harness.Patience, func() bool {
		return f.Nodes[0].Shared().Replication.ReceivedDatagrams >= before.ReceivedDatagrams+sent*9/10
	}, "%d datagrams arrive", sent)
	if got := s.awaitQuiet(t); got > size/10 {
		t.Errorf("%d damaged datagrams of %d bytes drew %d bytes", sent, size, got)
	}
}
