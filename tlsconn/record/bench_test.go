package record

import (
	"fmt"
	"testing"

	"reprise/tlsconn/primitive"
)

func BenchmarkRecord(b *testing.B) {
	for _, suite := range allSuites {
		if suite.ID == 0xc02f || suite.ID == 0xc030 || suite.ID == 0xcca8 {
			continue // as with ECDSA
		}
		for _, n := range []int{100, MaxPlain} {
			name := fmt.Sprintf("suite=%s/n=%d", suite.OpenSSLName, n)
			plain := make([]byte, n)
			b.Run("do=seal/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(n))
				var s Scratch
				out, _ := newPair(suite)
				buf := make([]byte, 0, out.SealedLen(n))
				for b.Loop() {
					out.Seal(&s, buf, ApplicationData, 0, plain)
				}
			})
			b.Run("do=open/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(n))
				var s Scratch
				out, in := newPair(suite)
				record := out.Seal(&s, nil, ApplicationData, 0, plain)
				dst := make([]byte, 0, len(record))
				for b.Loop() {
					in.seq = 0
					if _, _, f := in.Open(&s, dst, record[:HeaderLen], record[HeaderLen:]); f != None {
						b.Fatal(f)
					}
				}
			})
		}
	}
}

// BenchmarkRest is what the first record after a pause pays for its state.
func BenchmarkRest(b *testing.B) {
	for _, suite := range primitive.Suites13 {
		b.Run("suite="+suite.OpenSSLName, func(b *testing.B) {
			b.ReportAllocs()
			h, _ := newPair(suite)
			for b.Loop() {
				h.Rest()
				h.state()
			}
		})
	}
}
