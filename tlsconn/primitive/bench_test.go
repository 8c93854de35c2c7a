package primitive

import (
	"crypto/ecdh"
	"crypto/rand"
	"testing"
)

// BenchmarkRespond is what a server does for a client's share in TLS 1.3. Where
// the standard library serves anyway, there is one figure.
func BenchmarkRespond(b *testing.B) {
	if err := SelfCheck(); err != nil {
		b.Fatal(err)
	}
	for _, g := range allGroups {
		share := standardClient(g).share
		run := func(b *testing.B) {
			b.ReportAllocs()
			var x Exchange
			dst := make([]byte, 0, 2048)
			for b.Loop() {
				if _, _, err := x.Respond(dst, g, share); err != nil {
					b.Fatal(err)
				}
			}
		}
		if g == X25519 || g == X25519MLKEM768 {
			b.Run("group="+g.String()+"/by=circl", run)
		}
		b.Run("group="+g.String()+"/by=standard", func(b *testing.B) {
			useStandard(b)
			run(b)
		})
	}
}

// BenchmarkX25519 and BenchmarkMLKEM show which part gains what.
func BenchmarkX25519(b *testing.B) {
	var c x25519
	var private, peer, out [x25519Len]byte
	_, _ = rand.Read(private[:])
	c.base(&peer, &private)
	standard := must(ecdh.X25519().NewPrivateKey(private[:]))
	public := must(ecdh.X25519().NewPublicKey(peer[:]))
	for _, bc := range []struct {
		name string
		run  func()
	}{
		{"do=base/by=edwards25519", func() { c.base(&out, &private) }},
		{"do=base/by=standard", func() { must(ecdh.X25519().GenerateKey(rand.Reader)) }},
		{"do=agree/by=circl", func() { c.agree(&out, &private, &peer) }},
		{"do=agree/by=standard", func() { must(standard.ECDH(public)) }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bc.run()
			}
		})
	}
}

func BenchmarkMLKEM(b *testing.B) {
	key := standardClient(X25519MLKEM768).share[:mlkemKeyLen]
	var secret [mlkemSecretLen]byte
	var seed [32]byte
	dst := make([]byte, 0, mlkemCiphertextLen)
	b.Run("by=circl", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := mlkemFast(dst, secret[:], key, seed[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("by=standard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := mlkemStandard(dst, secret[:], key); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSelfCheck(b *testing.B) {
	for b.Loop() {
		if err := checkX25519(&x25519{}); err != nil {
			b.Fatal(err)
		}
		if err := checkMLKEM(mlkemFast); err != nil {
			b.Fatal(err)
		}
	}
}
