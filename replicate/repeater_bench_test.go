package replicate

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A forwarding is a repeater without a goroutine between one sender and its other
// subscribers, all on loopback sockets.
type forwarding struct {
	t     testing.TB
	r     *testRepeater
	nodes []*socket // the first sends
	out   *batch
	in    *batch
	batch []outgoing
}

func newForwarding(t testing.TB, subscribers, datagramLen int) *forwarding {
	f := &forwarding{
		t: t, r: newTestRepeater(t, RepeaterOptions{BufferLen: 4 << 20}),
		out: newBatch(batchLen, 0), in: newBatch(batchLen, datagramLen),
	}
	for range subscribers {
		s, err := openSocket(&Network{}, loopback)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(s.fd) })
		f.nodes = append(f.nodes, s)
		f.r.subscribe(t, 0, s.addr)
	}
	f.r.outlets[0].pending = f.r.outlets[0].pending[:0]
	datagram := NewSealer(clusterSecret(t, 1), ID{1}).Seal(nil, make([]byte, datagramLen-DatagramOverhead))
	for range batchLen {
		f.batch = append(f.batch, outgoing{f.r.outlets[0].addr, datagram})
	}
	return f
}

// send gives the repeater a batch.
func (f *forwarding) send() {
	if n, err := f.out.send(f.nodes[0].fd, f.nodes[0].family, f.batch); n != batchLen {
		f.t.Fatalf("sent %d datagrams: %v", n, err)
	}
}

// serve makes it forward them.
func (f *forwarding) serve() { f.r.serve(0, f.r.outlets[0]) }

// drain takes what the subscribers have got, so that their buffers do not fill,
// and returns how much that is.
func (f *forwarding) drain() (datagrams int) {
	for _, s := range f.nodes {
		for {
			n, _ := f.in.receive(s.fd, func(netip.AddrPort, []byte) {})
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
				before := f.r.Stats().SentDatagrams
				var busy time.Duration
				for b.Loop() {
					f.send()
					began := time.Now()
					f.serve()
					busy += time.Since(began)
					f.drain()
				}
				sent := float64(f.r.Stats().SentDatagrams - before)
				b.ReportMetric(float64(b.N*batchLen)/busy.Seconds(), "in/s")
				b.ReportMetric(sent/busy.Seconds(), "forwarded/s")
				b.ReportMetric(0, "ns/op") // sender and receivers are not the subject
			})
		}
	}
}

// BenchmarkRepeaterFlood is the cost of datagrams that come to nothing, with as
// many subscribers as there may be.
func BenchmarkRepeaterFlood(b *testing.B) {
	r := newTestRepeater(b, RepeaterOptions{})
	var recorded []byte
	for i := range defaultMaxSubscribers {
		recorded = r.subscribe(b, 0, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7171))
	}
	for name, datagram := range map[string][]byte{
		"sealed": sealedDatagram(b), "replayed": recorded, "forged": control{kind: controlSubscribe}.append(nil, newMAC([]byte("x"))),
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
