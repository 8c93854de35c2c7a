package schedule

import "testing"

// steps are the derivations of handshakes, each with inputs of usual lengths.
func steps(s *Scratch, h int) []struct {
	name string
	do   func()
} {
	hash := hashes[h].hash
	var k, early Schedule
	n := hash.Len()
	secret, out, transcript := make([]byte, n), make([]byte, n), make([]byte, n)
	random, shared, nonce := make([]byte, 32), make([]byte, 64), make([]byte, 8)
	key, iv, block := make([]byte, 32), make([]byte, 12), make([]byte, 88)
	var master [48]byte
	var verify [12]byte
	k.Start(s, hash, nil)
	early.Start(s, hash, secret)
	return []struct {
		name string
		do   func()
	}{
		{"HMAC", func() { s.HMAC(hash, out, secret, transcript, random) }},
		{"Extract", func() { s.Extract(hash, out, secret, shared) }},
		{"ExpandLabel", func() { s.ExpandLabel(hash, out, secret, "c hs traffic", transcript) }},
		{"Start", func() { early.Start(s, hash, secret) }},
		{"Next", func() { early.Next(s, shared) }},
		{"StartNextWithoutPSK", func() { k.Start(s, hash, nil); k.Next(s, shared) }},
		{"Derive", func() { k.Derive(s, out, "s ap traffic", transcript) }},
		{"Binder", func() { s.Binder(hash, out, &early, transcript) }},
		{"Finished", func() { s.Finished(hash, out, secret, transcript) }},
		{"TrafficKeys", func() { s.TrafficKeys(hash, secret, key, iv) }},
		{"NextTraffic", func() { s.NextTraffic(hash, secret) }},
		{"Resumption", func() { s.Resumption(hash, out, secret, nonce) }},
		{"PRF", func() { s.PRF(hash, out, secret, "label", random, random) }},
		{"Master", func() { s.Master(hash, &master, shared, random, random) }},
		{"ExtendedMaster", func() { s.ExtendedMaster(hash, &master, shared, transcript) }},
		{"KeyBlock", func() { s.KeyBlock(hash, block, master[:], random, random) }},
		{"Finished12", func() { s.Finished12(hash, &verify, master[:], true, transcript) }},
		{"Clear", s.Clear},
	}
}

func TestDerivationsDoNotAllocate(t *testing.T) {
	for i, h := range hashes {
		t.Run(h.name, func(t *testing.T) {
			var s Scratch
			for _, step := range steps(&s, i) {
				if got := testing.AllocsPerRun(100, step.do); got != 0 {
					t.Errorf("%s makes %v allocations, want 0", step.name, got)
				}
			}
		})
	}
}

func BenchmarkSchedule(b *testing.B) {
	for i, h := range hashes {
		var s Scratch
		for _, step := range steps(&s, i) {
			b.Run("step="+step.name+"/hash="+h.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					step.do()
				}
			})
		}
	}
}
