package schedule

import (
	"bytes"
	"crypto/hmac"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"reprise/tlsconn/primitive"
)

// Vectors of P. Kleinjung, sent to the TLS working group's list in 2010
// (msg03416); OpenSSL's TLS1-PRF gives the same.
func TestPRFVectors(t *testing.T) {
	for _, test := range []struct {
		name               string
		hash               primitive.Hash
		secret, seed, want string
	}{
		{
			"SHA256", primitive.SHA256, "9bbe436ba940f017b17652849a71db35",
			"a0ba9f936cda311827a6f796ffd5198c",
			"e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9" +
				"c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789ba" +
				"a48082d122ee42c5a72e5a5110fff70187347b66",
		},
		{
			"SHA384", primitive.SHA384, "b80b733d6ceefcdc71566ea48e5567df",
			"cd665cf6a8447dd6ff8b27555edb7465",
			"7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be9fe3" +
				"4f82b1233c9146a0e534cb400fed2700884f9dc236f80edd8bfa961144c9e8d792eca722a7b32fc3" +
				"d416d473ebc2c5fd4abfdad05d9184259b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236" +
				"a3e52655c9e9aee691c8f3a26854308d5eaa3be85e0990703d73e56f",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			secret, _ := hex.DecodeString(test.secret)
			seed, _ := hex.DecodeString(test.seed)
			want, _ := hex.DecodeString(test.want)
			var s Scratch
			for n := range len(want) + 1 { // a shorter output is the beginning of a longer one
				got := make([]byte, n)
				s.PRF(test.hash, got, secret, "test label", seed)
				if !bytes.Equal(got, want[:n]) {
					t.Fatalf("%d bytes: got %x, want %x", n, got, want[:n])
				}
			}
		})
	}
}

// prf is RFC 5246, Section 5, written down.
func prf(h primitive.Hash, secret []byte, label string, seed []byte, n int) []byte {
	sum := func(data ...[]byte) []byte {
		mac := hmac.New(h.New, secret)
		for _, d := range data {
			mac.Write(d)
		}
		return mac.Sum(nil)
	}
	seed = append([]byte(label), seed...)
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

func TestPRFAgreesWithStandardLibrary(t *testing.T) {
	for _, h := range hashes {
		t.Run(h.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(5, 6))
			var s Scratch
			for range 500 {
				secret, label, seed := random(r, 300), string(random(r, 40)), random(r, 1000)
				got := make([]byte, 1+r.IntN(300))
				cut := r.IntN(len(seed) + 1)
				s.PRF(h.hash, got, secret, label, seed[:cut], seed[cut:])
				if want := prf(h.hash, secret, label, seed, len(got)); !bytes.Equal(got, want) {
					t.Fatalf("got %x, want %x", got, want)
				}
			}
		})
	}
}

func TestLabelsOfTLS12(t *testing.T) {
	for _, h := range hashes {
		t.Run(h.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, 8))
			var s Scratch
			client, server := make([]byte, 32), make([]byte, 32)
			copy(client, random(r, 33))
			copy(server, random(r, 33))
			premaster := []byte("premaster")
			check := func(what string, got, want []byte) {
				t.Helper()
				if !bytes.Equal(got, want) {
					t.Errorf("%s: got %x, want %x", what, got, want)
				}
			}
			clientServer := append(bytes.Clone(client), server...)
			serverClient := append(bytes.Clone(server), client...)

			var master [48]byte
			s.Master(h.hash, &master, premaster, client, server)
			check("Master", master[:], prf(h.hash, premaster, "master secret", clientServer, 48))
			s.ExtendedMaster(h.hash, &master, premaster, client)
			check("ExtendedMaster", master[:],
				prf(h.hash, premaster, "extended master secret", client, 48))
			block := make([]byte, 88)
			s.KeyBlock(h.hash, block, master[:], server, client)
			check("KeyBlock", block, prf(h.hash, master[:], "key expansion", serverClient, 88))
			var verify [12]byte
			s.Finished12(h.hash, &verify, master[:], true, client)
			check("client's Finished", verify[:], prf(h.hash, master[:], "client finished", client, 12))
			s.Finished12(h.hash, &verify, master[:], false, client)
			check("server's Finished", verify[:], prf(h.hash, master[:], "server finished", client, 12))
		})
	}
}
