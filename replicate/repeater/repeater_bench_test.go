package repeater

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"reprise/replicate/udp"
	"reprise/replicate/wire"
)

// A forwarding is a repeater without a goroutine between one sender and its other
// subscribers, all on loopback sockets.
type forwarding struct {
	t     testing.TB
	r     *testRepeater
	nodes []*udp.Socket // the first sends
	out   *udp.Batch
	in    *udp.Batch
	batch []udp.Outgoing
}

func newForwarding(t testing.TB, subscribers, datagramLen int) *forwarding {
	f := &forwarding{
		t: t, r: newTestRepeater(t, Options{BufferLen: 4 << 20}),
		out: udp.NewBatch(udp.BatchLen, 0), in: udp.NewBatch(udp.BatchLen, datagramLen),
	}
	for range subscribers {
		s, err := udp.OpenSocket(&udp.Network{}, loopback)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(s.FD) })
		f.nodes = append(f.nodes, s)
		f.r.subscribe(t, 0, s.Addr)
	}
	f.r.outlets[0].pending = f.r.outlets[0].pending[:0]
	for range udp.BatchLen {
		datagram := sealed(t, make([]byte, datagramLen-wire.DatagramOverhead))
		f.batch = append(f.batch, udp.Outgoing{To: f.r.outlets[0].Addr, Datagram: datagram})
	}
	return f
}

// send gives the repeater a batch.
func (f *forwarding) send() {
	if n, err := f.out.Send(f.nodes[0].FD, f.nodes[0].Family, f.batch); n != udp.BatchLen {
		f.t.Fatalf("sent %d datagrams: %v", n, err)
	}
}

// serve makes it forward them, though it has before.
func (f *forwarding) serve() {
	for _, from := range f.r.seen.senders {
		from.window = wire.Window{}
	}
	f.r.serve(0, f.r.outlets[0])
}

// drain takes what the subscribers have got, so that their buffers do not fill,
// and returns how much that is.
func (f *forwarding) drain() (datagrams int) {
	for _, s := range f.nodes {
		for {
			n, _ := f.in.Receive(s.FD, func(netip.AddrPort, []byte) {})
			if n == 0 {
				break
			}
			datagrams += n
		}
	}
	return datagrams
}

// BenchmarkRepeater is a repeater's whole work on one core; an operation is a
// batch of 64 datagrams from one subscriber. Only the repeater is timed.
func BenchmarkRepeater(b *testing.B) {
	for _, subscribers := range []int{3, 30} {
		for _, datagramLen := range []int{100, 1200} {
			b.Run(fmt.Sprintf("subscribers=%d/bytes=%d", subscribers, datagramLen), func(b *testing.B) {
				b.ReportAllocs()
				f := newForwarding(b, subscribers, datagramLen)
				before := f.r.Stats().SentDatagrams.Load()
				var busy time.Duration
				for b.Loop() {
					f.send()
					began := time.Now()
					f.serve()
					busy += time.Since(began)
					f.drain()
				}
				sent := float64(f.r.Stats().SentDatagrams.Load() - before)
				b.ReportMetric(float64(b.N*udp.BatchLen)/busy.Seconds(), "in/s")
				b.ReportMetric(sent/busy.Seconds(), "forwarded/s")
				b.ReportMetric(0, "ns/op") // sender and receivers are not the subject
			})
		}
	}
}

// BenchmarkRepeaterFlood is the cost of datagrams that come to nothing, with as
// many subscribers as there may be.
func BenchmarkRepeaterFlood(b *testing.B) {
	r := newTestRepeater(b, Options{})
	var recorded []byte
	for i := range defaultMaxSubscribers {
		recorded = r.subscribe(b, 0, netip.AddrPortFrom(netip.AddrFrom4([4]byte{
			10, 0, byte(i >> 8),
			byte(i),
		}), 7171))
	}
	for name, datagram := range map[string][]byte{
		"sealed": sealedDatagram(b), "replayed": recorded, "forged": control{kind: controlSubscribe}.append(nil,
			wire.NewMAC([]byte("x"))),
	} {
		b.Run("datagram="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o := r.outlets[0]
				r.handle(0, o, addrA, datagram)
				o.pending, r.answers = o.pending[:0], r.answers[:0]
			}
		})
	}
}
