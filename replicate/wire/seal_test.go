package wire

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

func clusterSecret(t testing.TB, i byte) Secret {
	t.Helper()
	s, err := NewSecret([]byte{i, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pairOf returns a sender and what opens its datagrams.
func pairOf(t testing.TB) (*Sender, *Opener) {
	s := NewSender(clusterSecret(t, 1).Checker(), ShortID{1}, 0)
	o := new(Opener)
	var i Introduction
	s.Handover(&i, 0)
	o.Introduce(&i, 0, time.Millisecond)
	return s, o
}

func (s *Sender) sealText(text string, now time.Duration) []byte {
	return s.Seal(nil, append(make([]byte, PlainHeaderLen), text...), now)
}

// openText opens a datagram as a node would.
func (o *Opener) openText(datagram []byte, now time.Duration) (string, Reason) {
	h, reason := ParseHeader(datagram)
	if reason != Opened {
		return "", reason
	}
	plain, reason := o.Open([]byte("kept"), datagram, h, now)
	if reason != Opened {
		return string(plain), reason
	}
	return string(plain[4+PlainHeaderLen:]), reason
}

func TestSealing(t *testing.T) {
	s, o := pairOf(t)
	for i := range 100 {
		text := fmt.Sprint("message ", i)
		d := s.sealText(text, 0)
		if len(d) != len(text)+DatagramOverhead || bytes.Contains(d, []byte(text)) {
			t.Fatalf("sealed as %x", d)
		}
		if got, reason := o.openText(d, 0); reason != Opened || got != text {
			t.Fatalf("opened as %q, %v", got, reason)
		}
		if got, reason := o.openText(d, 0); reason != Replayed || got != "kept" {
			t.Fatalf("opened again as %q, %v", got, reason)
		}
	}
}

// Each bit that is changed, and each byte that is missing, closes a datagram.
func TestDamage(t *testing.T) {
	s, o := pairOf(t)
	c := clusterSecret(t, 1).Checker()
	d := s.sealText("messages", 0)
	for i := range d {
		for bit := range 8 {
			bad := bytes.Clone(d)
			bad[i] ^= 1 << bit
			_, reason := ParseHeader(bad)
			if reason == Opened && c.Verify(bad) {
				t.Errorf("byte %d: the check passes", i)
			}
			if isHeader := i < bodyCheck; reason == Opened && c.VerifyHeader(bad) == isHeader {
				t.Errorf("byte %d: the header's check passes: %v", i, !isHeader)
			}
			if got, reason := o.openText(bad, 0); reason == Opened || got != "kept" && got != "" {
				// The check is not the opener's; it is left out of what is sealed.
				if i < blockLen || i >= HeaderLen {
					t.Errorf("byte %d: opened as %q", i, got)
				}
				s, o = pairOf(t)
				d = s.sealText("messages", 0)
			}
		}
	}
	for n := range d {
		if got, reason := o.openText(d[:n], 0); reason == Opened {
			t.Errorf("cut to %d: opened as %q", n, got)
		}
	}
}

func TestForeignSecrets(t *testing.T) {
	mine, other := clusterSecret(t, 1), clusterSecret(t, 2)
	if mine.ID() == other.ID() {
		t.Fatal("choose other secrets for this test")
	}
	d := NewSender(other.Checker(), ShortID{1}, 0).sealText("", 0)
	if mine.Checker().Verify(d) || !other.Checker().Verify(d) {
		t.Error("the check is not the secret's")
	}
	if bytes.Equal(mine.RepeaterKey(), other.RepeaterKey()) ||
		bytes.Equal(mine.RepeaterKey(), mine.presharedKey()) {
		t.Error("keys are the same")
	}
	if got := fmt.Sprintf("%v %s %#v %x %+v", mine, mine, mine, mine, mine); got != fmt.Sprintf("%[1]s %[1]s %[1]s %[1]s %[1]s",
		fmt.Sprintf("secret %02x", mine.id)) {
		t.Errorf("a secret is written as %q", got)
	}
	for _, b := range [][]byte{nil, make([]byte, 15), make([]byte, 32), bytes.Repeat([]byte{7}, 32)} {
		if _, err := NewSecret(b); err == nil {
			t.Errorf("%x was taken for a secret", b)
		}
	}
}

// Keys follow each other at the times they should, receivers follow, and what is over
// is wiped.
func TestRatchet(t *testing.T) {
	s, o := pairOf(t)
	first := s.chain
	old := s.sealText("before", RatchetEvery-1)
	now := RatchetEvery
	fresh := s.sealText("after", now)
	if s.chain == first || s.epoch != o.epoch+1 {
		t.Fatal("the key was not exchanged")
	}
	if got, reason := o.openText(fresh, now); reason != Opened || got != "after" {
		t.Fatalf("the first of a new key: %q, %v", got, reason)
	}
	if got, reason := o.openText(old, now+time.Millisecond); reason != Opened || got != "before" {
		t.Fatalf("one that was overtaken: %q, %v", got, reason)
	}
	late := s.sealText("", now)
	_ = late
	o.Expire(now + ratchetGrace)
	if o.keys[1].isSet() || !isConstant(o.nextChain[:]) || o.next.isSet() {
		t.Error("keys that are over are kept")
	}

	// After a long silence, one step is enough; receivers walk a few.
	for _, steps := range []int{1, 2, maxAhead} {
		for range steps {
			s.until = 0
			s.ratchet(now)
		}
		if got, reason := o.openText(s.sealText("text", now), now); reason != Opened || got != "text" {
			t.Fatalf("after %d steps: %q, %v", steps, got, reason)
		}
	}
	// By use.
	epoch := s.epoch
	s.uses = ratchetUses
	s.sealText("", now)
	if s.epoch != epoch+1 {
		t.Error("a key that was used often goes on")
	}
	// What cannot be opened moves nothing.
	bad := s.sealText("text", now)
	bad[3]++
	bad[len(bad)-1] ^= 1
	before := o.epoch
	if _, reason := o.openText(bad, now); reason != NotAuthentic || o.epoch != before {
		t.Errorf("a forged epoch: %v, from %d to %d", reason, before, o.epoch)
	}
	o.Wipe()
	s.Wipe()
	if o.Ready() || !isConstant(o.chain[:]) || !isConstant(s.chain[:]) || s.aead.isSet() {
		t.Error("not wiped")
	}
	if _, reason := o.openText(s.sealText("", now), now); reason != KeyGone {
		t.Errorf("opened without a key: %v", reason)
	}
}

// Whoever is told of the key now opens nothing from before, though it was sealed under
// the same key.
func TestIntroducedLater(t *testing.T) {
	s, _ := pairOf(t)
	before := s.sealText("before", 0)
	var i Introduction
	s.Handover(&i, 0)
	o := new(Opener)
	o.Introduce(&i, 0, time.Millisecond)
	if got, reason := o.openText(before, 0); reason != Replayed {
		t.Errorf("what was sealed before: %q, %v", got, reason)
	}
	after := s.sealText("after", 0)
	// Introduced again, under the same key: nothing that is under way is lost.
	s.Handover(&i, 0)
	o.Introduce(&i, 0, time.Millisecond)
	if got, reason := o.openText(after, 0); reason != Opened {
		t.Errorf("what was under way: %q, %v", got, reason)
	}
	s.Renew(0)
	s.Handover(&i, 0)
	if _, reason := o.openText(s.sealText("", 0), 0); reason != NotAuthentic {
		t.Errorf("under a key that is not known: %v", reason)
	}
	o.Introduce(&i, 0, time.Millisecond)
	if got, reason := o.openText(s.sealText("new", 0), 0); reason != Opened || got != "new" {
		t.Errorf("under the new key: %q, %v", got, reason)
	}
}

// The time on the way is never taken for less than it was, and what took too long is
// refused.
func TestTransit(t *testing.T) {
	s := NewSender(clusterSecret(t, 1).Checker(), ShortID{1}, 0)
	const apart = 90 * 24 * time.Hour // of the clocks
	o := new(Opener)
	var i Introduction
	s.Handover(&i, 0)
	o.Introduce(&i, apart+3*time.Millisecond, 10*time.Millisecond) // it took 3 ms of 10
	for n, took := range []time.Duration{
		0, 100 * time.Microsecond, 5 * time.Millisecond, time.Second, 1900 * time.Millisecond,
		3 * time.Second, time.Hour,
	} {
		sent := time.Duration(n) * 10 * time.Second
		_, reason := o.openText(s.sealText("", sent), apart+sent+took)
		if got := o.Transit(); got < took || got > took+30*time.Millisecond+took/driftPer {
			t.Errorf("%v on the way were taken for %v", took, got)
		}
		if want := map[bool]Reason{true: Stale, false: Opened}[took > staleAfter]; reason != want {
			t.Errorf("after %v: %v, want %v", took, reason, want)
		}
	}
	at := 100 * time.Second
	o.openText(s.sealText("", at), apart+at+time.Millisecond)
	o.Sample(2 * time.Millisecond)
	if got := o.Transit(); got < time.Millisecond || got > 2100*time.Microsecond {
		t.Errorf("after a better sample 1 ms was taken for %v", got)
	}
}

// The key inside the AEAD is the one that is exchanged and wiped.
func TestKeyOfAEAD(t *testing.T) {
	a := newAEAD()
	chain := Chain{1, 2, 3}
	a.of(&chain)
	plain, err := chacha20poly1305.NewX(expand(chain[:], sealInfo, keyLen))
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, 24)
	if got, want := a.Seal(nil, nonce, []byte("text"), nil), plain.Seal(nil, nonce, []byte("text"),
		nil); !bytes.Equal(got, want) {
		t.Error("it seals with another key")
	}
	a.wipe()
	zero, _ := chacha20poly1305.NewX(make([]byte, 32))
	if got, want := a.Seal(nil, nonce, []byte("text"), nil), zero.Seal(nil, nonce, []byte("text"),
		nil); !bytes.Equal(got, want) {
		t.Error("the key is still there")
	}
}

// M7: two copies of a sender use no nonce twice.
func TestFork(t *testing.T) {
	s, o := pairOf(t)
	fork := *s
	seen := make(map[[24]byte]bool)
	for range 1000 {
		one, two := s.sealText("one", 0), fork.sealText("two", 0)
		for _, d := range [][]byte{one, two} {
			nonce := [24]byte(append(bytes.Clone(d[HeaderLen:HeaderLen+randomLen]), d[8:16]...))
			if seen[nonce] {
				t.Fatal("a nonce was used twice")
			}
			seen[nonce] = true
		}
		_, first := o.openText(one, 0)
		_, second := o.openText(two, 0)
		if first != Opened || second != Replayed {
			t.Fatalf("of two with one number: %v, %v", first, second)
		}
	}
}

func TestSealingDoesNotAllocate(t *testing.T) {
	s, o := pairOf(t)
	plain, d, opened := make([]byte, 1000), make([]byte, 0, 2000), make([]byte, 0, 2000)
	if got := testing.AllocsPerRun(1000, func() {
		d = s.Seal(d[:0], plain, 0)
		h, _ := ParseHeader(d)
		if !s.checker.Verify(d) {
			t.Fatal("forged")
		}
		if _, reason := o.Open(opened[:0], d, h, 0); reason != Opened {
			t.Fatal(reason)
		}
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// What was not sealed as it is does not open, and leaves no trace.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("messages"), []byte{}, uint16(0))
	f.Add([]byte("messages"), append(make([]byte, 3), 1), uint16(0))
	f.Add([]byte("messages"), append(make([]byte, HeaderLen+20), 0x80), uint16(0))
	f.Add([]byte{}, []byte{}, uint16(1))
	f.Add(make([]byte, 2000), []byte{}, uint16(30))
	f.Fuzz(func(t *testing.T, messages, flips []byte, cut uint16) {
		s, o := pairOf(t)
		c := clusterSecret(t, 1).Checker()
		good := s.sealText(string(messages), 0)
		// a forgery as well as a change
		for _, bad := range [][]byte{altered(good, flips, int(cut)), flips} {
			if bytes.Equal(bad, good) {
				continue
			}
			h, reason := ParseHeader(bad)
			if reason != Opened || !c.Verify(bad) {
				continue
			}
			if got, reason := o.Open([]byte("kept"), bad, h, 0); reason == Opened || string(got) != "kept" {
				t.Fatalf("%x opened as %q, %v", bad, got, reason)
			}
		}
		if got, reason := o.openText(good, 0); reason != Opened || got != string(messages) {
			t.Fatalf("the good one opened as %q, %v", got, reason)
		}
	})
}

// altered returns datagram with flips' bits flipped and cut bytes off its end.
func altered(datagram, flips []byte, cut int) []byte {
	b := bytes.Clone(datagram)
	for i := range min(len(flips), len(b)) {
		b[i] ^= flips[i]
	}
	return b[:len(b)-min(cut, len(b))]
}

func BenchmarkSeal(b *testing.B) {
	s, _ := pairOf(b)
	plain, d := make([]byte, 1144), make([]byte, 0, 2000)
	b.ReportAllocs()
	b.SetBytes(1200)
	for b.Loop() {
		d = s.Seal(d[:0], plain, 0)
	}
}

func BenchmarkCheck(b *testing.B) {
	s, _ := pairOf(b)
	for _, length := range []int{0, 200, 1140} {
		d := s.sealText(string(make([]byte, length)), 0)
		b.Run(fmt.Sprintf("of=datagram/len=%d", len(d)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.checker.Verify(d)
			}
		})
		b.Run(fmt.Sprintf("of=header/len=%d", len(d)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.checker.VerifyHeader(d)
			}
		})
	}
}
