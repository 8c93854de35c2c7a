package replicate

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reprise/internal/nettest"
	"reprise/replicate/udp"
	"reprise/replicate/wire"
)

// BenchmarkPublish sends sessions to three peers as fast as the poller takes them,
// all on the cores of this machine. A loop would drop what the ring refuses; here
// it is tried again.
func BenchmarkPublish(b *testing.B) {
	p := benchFleet(b, 4)[0]
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for !p.Publish(benchSession) {
			runtime.Gosched()
		}
	}
	perSecond(b, b.N)
}

func benchFleet(b *testing.B, n int) (fleet []*Poller) {
	var addrs []netip.AddrPort
	for range n {
		addrs = append(addrs, netip.MustParseAddrPort(nettest.FreeAddr(b)))
	}
	for i := range n {
		network := Network{Listen: addrs[i : i+1], BufferLen: 4 << 20}
		for j, a := range addrs {
			if j != i {
				network.Peers = append(network.Peers, a)
			}
		}
		p, err := NewPoller(PollerOptions{Network: network, RingLen: 8192}, Options{
			ID: NewID(), Secrets: []Secret{testSecret(b, "a cluster secret for tests")}, DatagramLen: 1200,
			Heartbeat: 50 * time.Millisecond, DeadAfter: time.Second, LookupTimeout: 5 * time.Millisecond,
			MaxQuestions: 1024, SnapshotRate: 1 << 20, Mode: Push, HoldFor: time.Second, KnownFor: time.Hour,
		}, newSlotMemory())
		if err != nil {
			b.Fatal(err)
		}
		p.Start()
		b.Cleanup(func() { p.Close() })
		fleet = append(fleet, p)
	}
	for _, p := range fleet {
		nettest.Eventually(b, 10*time.Second, func() bool {
			believed := 0
			for _, s := range p.Stats().Peers {
				believed += int(s.Introduced.Load())
			}
			return believed == n-1
		}, "nodes were not introduced")
	}
	return fleet
}

// BenchmarkReceive is a session's way from the datagram into a memory like a
// cache, without the socket; an operation is a session. The clock stands still for
// the datagrams to be made.
func BenchmarkReceive(b *testing.B) {
	n, m, _, peer := pairOf(b)
	const lap = 1 << 12 // datagrams
	var datagrams [][]byte
	seq, perBatch := uint64(0), 0
	next := func() {
		datagrams = datagrams[:0]
		for range lap {
			seq++
			records := benchRecords()
			perBatch = len(slices.Collect(records.All()))
			datagrams = append(datagrams, slices.Clone(peer.seal(0,
				wire.Batch{Seq: seq, Records: records}.Append(nil))))
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	sessions := 0
	for i := 0; sessions < b.N; i++ {
		if i%lap == 0 {
			b.StopTimer()
			next()
			b.StartTimer()
		}
		n.Receive(0, elsewhere, datagrams[i%lap])
		sessions += perBatch
	}
	b.StopTimer()
	if m.putLen != sessions {
		b.Fatalf("%d of %d sessions arrived", m.putLen, sessions)
	}
	perSecond(b, sessions)
}

// BenchmarkSend is a session's way from the ring to the socket, without both; an
// operation is a session.
func BenchmarkSend(b *testing.B) {
	n, _, out, _ := pairOf(b)
	u := benchSession
	bytes := 0
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		n.Publish(0, &u)
		if i%4 == 3 {
			n.Flush(0)
			bytes += len(out.last)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(bytes)/float64(b.N), "wire-B/session")
	perSecond(b, b.N)
}

// BenchmarkRefuse is what a datagram costs that is not believed.
func BenchmarkRefuse(b *testing.B) {
	n, _, _, peer := pairOf(b)
	genuine := slices.Clone(peer.seal(0, wire.Heartbeat{}.Append(nil)))
	n.Receive(0, elsewhere, genuine)
	garbage := slices.Clone(genuine)
	garbage[20] ^= 1
	altered := slices.Clone(peer.seal(0, wire.Heartbeat{}.Append(nil)))
	altered[60] ^= 1
	for _, test := range []struct {
		name     string
		datagram []byte
	}{{"garbage", garbage}, {"replayed", genuine}, {"altered", altered}} {
		b.Run("datagram="+test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n.Receive(0, elsewhere, test.datagram)
			}
		})
	}
}

// BenchmarkSendPath is what the system call path costs for one datagram of 1200
// bytes on loopback, to a socket that is not read.
func BenchmarkSendPath(b *testing.B) {
	for _, peers := range []int{1, 3, 30} {
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			sinkSocket, err := udp.Open(&udp.Network{
				Listen: []netip.AddrPort{netip.MustParseAddrPort(nettest.FreeAddr(b))},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer sinkSocket.Close()
			network := Network{}
			for range peers {
				network.Peers = append(network.Peers, sinkSocket.List[0].Addr)
			}
			s, err := udp.Open(&network)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := unix.SetsockoptInt(sinkSocket.List[0].FD, unix.SOL_SOCKET, unix.SO_RCVBUF,
				1<<20); err != nil {
				b.Fatal(err)
			}
			datagram := make([]byte, 1200)
			b.ReportAllocs()
			b.ResetTimer()
			sent := 0
			for sent < b.N {
				for i := 0; i < udp.BatchLen; i += peers {
					s.SendAll(network.Peers, datagram)
					sent += peers
				}
				s.Flush()
			}
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "datagrams/s")
		})
	}
}

// BenchmarkTick is what looking after silent peers costs a turn of the poller.
func BenchmarkTick(b *testing.B) {
	for _, peers := range []int{3, 30, 300, maxPeers} {
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			n, _, _, _ := pairOf(b)
			for len(n.peers) < peers {
				n.meet(NewID()).introduced = true
			}
			b.ReportAllocs()
			for b.Loop() {
				n.Tick(0)
			}
		})
	}
}

// BenchmarkPeer measures how many bytes a node keeps for another.
func BenchmarkPeer(b *testing.B) {
	n, _, _, _ := pairOf(b)
	b.ReportAllocs()
	for b.Loop() {
		n.removePeer(n.meet(NewID()))
	}
}

// benchRecords are as many sessions as fit a datagram.
func benchRecords() (records wire.Records) {
	u := wire.Update{
		Kind: UpdateSession, Key: keyA, Left: 300 * time.Second,
		Value: benchSession.Value,
	}
	for len(records)+wire.RecordLen(&u) <= 1200-wire.DatagramOverhead-wire.BatchOverhead {
		records = wire.AppendRecord(records, &u)
	}
	return records
}

func perSecond(b *testing.B, n int) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "sessions/s")
}
