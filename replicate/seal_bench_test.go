package replicate

import "testing"

const benchDatagramLen = 1200

// sealSessions packs and seals n sessions as a node does and hands each datagram
// to send, which must not keep it.
func sealSessions(n int, s *Sealer, send func(datagram []byte)) {
	p := NewBatchPacker(benchDatagramLen - DatagramOverhead - BatchOverhead)
	messages, datagram := make([]byte, 0, benchDatagramLen), make([]byte, 0, benchDatagramLen)
	seq := uint64(0)
	flush := func() {
		seq++
		messages = Batch{Seq: seq, Records: p.Records()}.Append(messages[:0])
		datagram = s.Seal(datagram[:0], messages)
		send(datagram)
		p.Reset()
	}
	for range n {
		if !p.TryAdd(&benchSession) {
			flush()
			p.TryAdd(&benchSession)
		}
	}
	flush()
}

func perSecond(b *testing.B, n int) { b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "sessions/s") }

// BenchmarkPackSeal is a session's way from the ring to the socket, without
// both; an operation is a session.
func BenchmarkPackSeal(b *testing.B) {
	b.ReportAllocs()
	s := NewSealer(clusterSecret(b, 1), ID{1})
	bytes := 0
	sealSessions(b.N, s, func(datagram []byte) { bytes += len(datagram) })
	perSecond(b, b.N)
	b.ReportMetric(float64(bytes)/float64(b.N), "wire-B/session")
}

// BenchmarkOpenParse is a session's way from the socket to the cache, without
// both; an operation is a session.
func BenchmarkOpenParse(b *testing.B) {
	b.ReportAllocs()
	secret, sender := clusterSecret(b, 1), ID{1}
	var datagrams [][]byte
	sealSessions(4000, NewSealer(secret, sender), func(datagram []byte) {
		datagrams = append(datagrams, append([]byte(nil), datagram...))
	})
	o := NewOpener([]Secret{secret}, sender)
	plaintext := make([]byte, 0, benchDatagramLen)
	b.ResetTimer()
	sessions := 0
	for i := 0; sessions < b.N; i++ {
		if i%len(datagrams) == 0 {
			o.window = Window{} // or the next lap would be replays
		}
		messages, reason := o.Open(plaintext, datagrams[i%len(datagrams)])
		ms, ok := ParseMessages(messages)
		if reason != Opened || !ok {
			b.Fatal(reason, ok)
		}
		for m := range ms.All() {
			for u := range m.Batch().Records.All() {
				if len(u.Value) != len(benchSession.Value) {
					b.Fatal(len(u.Value))
				}
				sessions++
			}
		}
	}
	perSecond(b, sessions)
}

// BenchmarkRefuse is what a forged datagram of a known sender costs.
func BenchmarkRefuse(b *testing.B) {
	b.ReportAllocs()
	secret, sender := clusterSecret(b, 1), ID{1}
	forged := NewSealer(secret, sender).Seal(nil, make([]byte, benchDatagramLen-DatagramOverhead))
	forged[len(forged)-1] ^= 1
	o := NewOpener([]Secret{secret}, sender)
	plaintext := make([]byte, 0, benchDatagramLen)
	for b.Loop() {
		if _, reason := o.Open(plaintext, forged); reason != NotAuthentic {
			b.Fatal(reason)
		}
	}
}

// BenchmarkNewOpener is what a datagram of an unknown sender costs before it can
// be refused: two keys are derived.
func BenchmarkNewOpener(b *testing.B) {
	b.ReportAllocs()
	secrets := []Secret{clusterSecret(b, 1), clusterSecret(b, 2)}
	for b.Loop() {
		NewOpener(secrets, ID{1})
	}
}

func BenchmarkWindow(b *testing.B) {
	b.ReportAllocs()
	var w Window
	counter := uint64(0)
	for b.Loop() {
		if counter++; !w.Check(counter) {
			b.Fatal(counter)
		}
	}
}
