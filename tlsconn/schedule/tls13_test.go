package schedule

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"math/rand/v2"
	"testing"

	"reprise/tlsconn/primitive"
)

// The schedule of both hashes, with and without a PSK, against HKDF of the
// standard library.
func TestScheduleAgreesWithStandardLibrary(t *testing.T) {
	for _, h := range hashes {
		t.Run(h.name, func(t *testing.T) {
			n := h.hash.Len()
			empty := h.hash.New().Sum(nil)
			r := rand.New(rand.NewPCG(3, 4))
			var s Scratch
			for i := range 200 {
				psk, ikm, transcript := make([]byte, n), random(r, 100), random(r, n+1)
				if transcript == nil {
					transcript = []byte{}
				}
				var k Schedule
				if i%2 == 0 {
					k.Start(&s, h.hash, nil)
				} else {
					copy(psk, random(r, n+1))
					k.Start(&s, h.hash, psk)
				}
				early := extract(t, h.hash, nil, psk)
				handshake := extract(t, h.hash, expandLabel(h.hash, early, "derived", empty, n), ikm)
				master := extract(t, h.hash, expandLabel(h.hash, handshake, "derived", empty, n), make([]byte, n))

				got := make([]byte, n)
				check := func(what string, want []byte) {
					t.Helper()
					if !bytes.Equal(got, want) {
						t.Fatalf("%s: got %x, want %x", what, got, want)
					}
				}
				k.Derive(&s, got, "c e traffic", transcript)
				check("early", expandLabel(h.hash, early, "c e traffic", transcript, n))
				s.Binder(h.hash, got, &k, transcript)
				binderKey := expandLabel(h.hash, early, "res binder", empty, n)
				mac := hmac.New(h.hash.New, expandLabel(h.hash, binderKey, "finished", nil, n))
				mac.Write(transcript)
				check("binder", mac.Sum(nil))

				k.Next(&s, ikm)
				k.Derive(&s, got, "s hs traffic", transcript)
				traffic := expandLabel(h.hash, handshake, "s hs traffic", transcript, n)
				check("handshake", traffic)
				s.NextTraffic(h.hash, got)
				check("traffic upd", expandLabel(h.hash, traffic, "traffic upd", nil, n))

				k.Next(&s, nil)
				k.Derive(&s, got, "res master", nil)
				resumption := expandLabel(h.hash, master, "res master", empty, n)
				check("master", resumption)
				s.Resumption(h.hash, got, resumption, transcript[:min(8, len(transcript))])
				check("ticket", expandLabel(h.hash, resumption, "resumption", transcript[:min(8, len(transcript))], n))

				k.Clear()
				if k != (Schedule{}) {
					t.Fatal("Clear leaves something behind")
				}
			}
		})
	}
}

func extract(t *testing.T, h primitive.Hash, salt, ikm []byte) []byte {
	prk, err := hkdf.Extract(h.New, ikm, salt)
	if err != nil {
		t.Fatal(err)
	}
	return prk
}

func TestClearWipesScratch(t *testing.T) {
	var s Scratch
	s.HMAC(hashes[1].hash, make([]byte, 48), []byte("a key"), []byte("data"))
	if s == (Scratch{}) {
		t.Fatal("HMAC has left nothing, so this test shows nothing")
	}
	s.Clear()
	if s != (Scratch{}) {
		t.Error("Clear leaves something behind")
	}
}
