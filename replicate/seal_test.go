package replicate

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
)

// clusterSecret returns the nth of many secrets.
func clusterSecret(t testing.TB, n int) Secret {
	t.Helper()
	s, err := NewSecret(fmt.Appendf(nil, "cluster secret no. %d", n))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// unhex turns hexadecimal digits into bytes, whatever the white space between.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSecretRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, secret string
		want         string // in the error; empty if it is good
	}{
		{"empty", "", "0 bytes, at least 16"},
		{"short", "0123456789abcde", "15 bytes, at least 16"},
		{"zeros", strings.Repeat("\x00", 32), "same byte"},
		{"constant", strings.Repeat("a", 64), "same byte"},
		{"just long enough", "0123456789abcdef", ""},
		{"zeros but for the last", strings.Repeat("\x00", 31) + "\x01", ""},
	} {
		_, err := NewSecret([]byte(tt.secret))
		if got := fmt.Sprint(err); tt.want == "" != (err == nil) || !strings.Contains(got, tt.want) && err != nil {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := clusterSecret(t, 1)
	want := fmt.Sprintf("secret %02x", s.ID())
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(format, s); got != want {
			t.Errorf("%s prints %q, want %q", format, got, want)
		}
		if got := fmt.Sprintf(format, []Secret{s}); strings.Contains(got, hex.EncodeToString(s.prk[:4])) || !strings.Contains(got, want) {
			t.Errorf("%s prints %q in a slice, want %q", format, got, want)
		}
	}
}

func TestSecretKeepsNothingOfTheCaller(t *testing.T) {
	b := []byte("0123456789abcdef")
	s, err := NewSecret(b)
	if err != nil {
		t.Fatal(err)
	}
	before := NewSealer(s, ID{1}).Seal(nil, nil)
	clear(b)
	if after := NewSealer(s, ID{1}).Seal(nil, nil); !bytes.Equal(before, after) {
		t.Error("wiping the bytes that a secret was made of changes it")
	}
}

// A wiped or forgotten secret must not become a key that everyone knows.
func TestSecretUselessWhenWiped(t *testing.T) {
	wiped := clusterSecret(t, 1)
	shared := wiped
	wiped.Wipe()
	for name, s := range map[string]Secret{"wiped": wiped, "its copy": shared, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it seals")
				}
			}()
			NewSealer(s, ID{1})
		})
	}
}

// The bytes were computed apart from this package, with Python's hmac and
// cryptography modules, from doc.go alone.
func TestSealBytes(t *testing.T) {
	secret, err := NewSecret([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	sender := ID(unhex(t, "00112233445566778899aabbccddeeff"))
	s := NewSealer(secret, sender)
	for i, want := range []string{
		`01 2c 00112233445566778899aabbccddeeff 0000000000000001 1f2db1451d5fc1a4 b231dfb96f88d05595a270a8b72282ee`,
		`01 2c 00112233445566778899aabbccddeeff 0000000000000002 6bccf56a95485fc8 39c7d6a82037bf2885463cc3d67df900`,
	} {
		if got := s.Seal(nil, []byte("messages")); !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("datagram %d:\n got %x\nwant %s", i+1, got, want)
		}
	}
}

func TestParseHeader(t *testing.T) {
	header := unhex(t, `01 7f 00112233445566778899aabbccddeeff 0102030405060708`)
	datagram := append(header, make([]byte, tagLen)...)
	want := Header{
		KeyID:   0x7f,
		Sender:  ID{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff},
		Counter: 0x0102030405060708,
	}
	if got, reason := ParseHeader(datagram); got != want || reason != Opened {
		t.Errorf("got %+v, %v; want %+v", got, reason, want)
	}
	if got := want.Sender.Short(); got != (ShortID{0, 0x11, 0x22, 0x33}) {
		t.Errorf("short id %v", got)
	}
	for n := range datagram {
		if got, reason := ParseHeader(datagram[:n]); got != (Header{}) || reason != TooShort {
			t.Errorf("of %d bytes: got %+v, %v", n, got, reason)
		}
	}
	for _, b := range [][]byte{{0}, {2}, append([]byte{2}, datagram[1:]...)} {
		if got, reason := ParseHeader(b); got != (Header{}) || reason != ForeignVersion {
			t.Errorf("%x: got %+v, %v", b, got, reason)
		}
	}
}

func TestSealOpen(t *testing.T) {
	secret, sender := clusterSecret(t, 1), ID{1}
	s, o := NewSealer(secret, sender), NewOpener([]Secret{secret}, sender)
	for _, n := range []int{0, 1, 100, 1158, 60_000} {
		messages := bytes.Repeat([]byte{0xa5}, n)
		datagram := s.Seal([]byte("before"), messages)
		if got := len(datagram) - len("before") - n; got != DatagramOverhead || string(datagram[:6]) != "before" {
			t.Errorf("%d bytes: overhead %d, beginning %q", n, got, datagram[:6])
		}
		got, reason := o.Open([]byte("kept"), datagram[6:])
		if reason != Opened || string(got[:4]) != "kept" || !bytes.Equal(got[4:], messages) {
			t.Errorf("%d bytes: opened as %d, %v", n, len(got)-4, reason)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	secret, sender, other := clusterSecret(t, 1), ID{1}, clusterSecret(t, 2)
	if secret.ID() == other.ID() {
		t.Fatal("choose secrets with different ids")
	}
	good := NewSealer(secret, sender).Seal(nil, []byte("messages"))
	changed := func(offset int, to byte) []byte {
		b := bytes.Clone(good)
		b[offset] = to
		return b
	}
	for _, tt := range []struct {
		name     string
		datagram []byte
		want     Reason
	}{
		{"nothing", nil, TooShort},
		{"header alone", good[:headerLen], TooShort},
		{"one byte short of a tag", good[:DatagramOverhead-1], TooShort},
		{"truncated", good[:len(good)-1], NotAuthentic},
		{"extended", append(bytes.Clone(good), 0), NotAuthentic},
		{"another version", changed(0, wireVersion+1), ForeignVersion},
		{"version 0", changed(0, 0), ForeignVersion},
		{"an unknown key id", changed(1, ^secret.ID()), ForeignKey},
		{"another fleet's", NewSealer(other, sender).Seal(nil, []byte("messages")), ForeignKey},
		{"another sender's", NewSealer(secret, ID{2}).Seal(nil, []byte("messages")), NotAuthentic},
		{"said to be another sender's", changed(2, 9), NotAuthentic},
		{"a later counter", changed(18, 0xff), NotAuthentic},
		{"ciphertext of zeros", append(bytes.Clone(good[:headerLen]), make([]byte, 8+tagLen)...), NotAuthentic},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := NewOpener([]Secret{secret}, sender)
			got, reason := o.Open([]byte("kept"), tt.datagram)
			if reason != tt.want || string(got) != "kept" {
				t.Errorf("got %q, %v; want %v", got, reason, tt.want)
			}
			// What is refused leaves no trace in the window.
			if _, reason := o.Open(nil, good); reason != Opened {
				t.Errorf("the good datagram afterwards: %v", reason)
			}
		})
	}
}

func TestOpenRefusesEveryFlippedBit(t *testing.T) {
	secret, sender := clusterSecret(t, 1), ID{1}
	good := NewSealer(secret, sender).Seal(nil, []byte("messages"))
	o := NewOpener([]Secret{secret}, sender)
	for bit := range len(good) * 8 {
		b := bytes.Clone(good)
		b[bit/8] ^= 1 << (bit % 8)
		if got, reason := o.Open(nil, b); reason == Opened || len(got) != 0 {
			t.Errorf("bit %d flipped: opened as %q, %v", bit, got, reason)
		}
	}
	if _, reason := o.Open(nil, good); reason != Opened {
		t.Errorf("the good datagram: %v", reason)
	}
}

func TestOpenRefusesReplays(t *testing.T) {
	secret, sender := clusterSecret(t, 1), ID{1}
	s, o := NewSealer(secret, sender), NewOpener([]Secret{secret}, sender)
	datagrams := make([][]byte, windowLen+10)
	for i := range datagrams {
		datagrams[i] = s.Seal(nil, []byte{byte(i)})
	}
	dst := make([]byte, 0, 100)
	for _, tt := range []struct {
		i    int
		want Reason
	}{{5, Opened}, {5, Replayed}, {3, Opened}, {6, Opened}, {3, Replayed}, {windowLen + 9, Opened}, {7, Replayed}, {9, Opened}, {9, Replayed}} {
		dst = dst[:0]
		got, reason := o.Open(dst, datagrams[tt.i])
		if reason != tt.want {
			t.Errorf("datagram %d: %v, want %v", tt.i, reason, tt.want)
		}
		if reason == Replayed && (len(got) != 0 || dst[:1][0] != 0) {
			t.Errorf("datagram %d: a replay left % x in the buffer", tt.i, dst[:1])
		}
	}
}

func TestOpenerFollowsRotation(t *testing.T) {
	first, second, third := clusterSecret(t, 1), clusterSecret(t, 2), clusterSecret(t, 3)
	sender := ID{1}
	s, o := NewSealer(first, sender), NewOpener([]Secret{first}, sender)
	open := func(what string, datagram []byte, want Reason) {
		t.Helper()
		if _, reason := o.Open(nil, datagram); reason != want {
			t.Errorf("%s: %v, want %v", what, reason, want)
		}
	}
	a, late := s.Seal(nil, nil), s.Seal(nil, nil)
	open("under the first", a, Opened)

	o.Rekey([]Secret{first, second}) // 1. every node learns the second
	open("replayed after the receiver's rekeying", a, Replayed)
	s.Rekey(second) // 2. every node seals under it
	b := s.Seal(nil, nil)
	open("under the second", b, Opened)
	open("under the first, late", late, Opened)
	open("under the first, replayed", late, Replayed)

	o.Rekey([]Secret{second}) // 3. the first is forgotten
	open("under the second, replayed", b, Replayed)
	open("under the second still", s.Seal(nil, nil), Opened)
	open("under the first, forgotten", late, ForeignKey)
	s.Rekey(third)
	open("under one it never had", s.Seal(nil, nil), ForeignKey)
}

// Two live secrets have the same id once in 256 fleets.
func TestSecretsWithTheSameID(t *testing.T) {
	first := clusterSecret(t, 1)
	var same []Secret
	for n := 2; len(same) < 2; n++ {
		if s := clusterSecret(t, n); s.ID() == first.ID() {
			same = append(same, s)
		}
	}
	sender := ID{1}
	o := NewOpener([]Secret{first, same[0]}, sender)
	for i, tt := range []struct {
		secret Secret
		want   Reason
	}{{first, Opened}, {same[0], Opened}, {same[1], NotAuthentic}} {
		s := NewSealer(tt.secret, sender)
		s.next.Counter = uint64(10 + i)
		if _, reason := o.Open(nil, s.Seal(nil, []byte("messages"))); reason != tt.want {
			t.Errorf("secret %d: %v, want %v", i, reason, tt.want)
		}
	}
}

func TestSealUsesNoCounterTwice(t *testing.T) {
	secret := clusterSecret(t, 1)
	s := NewSealer(secret, ID{1})
	for want := uint64(1); want < 100; want++ {
		if want == 50 {
			s.Rekey(secret)
		}
		if h, _ := ParseHeader(s.Seal(nil, nil)); h.Counter != want {
			t.Fatalf("counter %d, want %d", h.Counter, want)
		}
	}
	s.next.Counter = math.MaxUint64 - 1
	s.Seal(nil, nil)
	defer func() {
		if recover() == nil {
			t.Error("sealed beyond the last counter")
		}
	}()
	s.Seal(nil, nil)
}

func TestSealOpenDoNotAllocate(t *testing.T) {
	secrets, sender := []Secret{clusterSecret(t, 1), clusterSecret(t, 2)}, ID{1}
	s, o := NewSealer(secrets[1], sender), NewOpener(secrets, sender)
	messages, datagram, plaintext := make([]byte, 1000), make([]byte, 0, 1200), make([]byte, 0, 1200)
	got := testing.AllocsPerRun(100, func() {
		datagram = s.Seal(datagram[:0], messages)
		for _, want := range []Reason{Opened, Replayed} {
			if _, reason := o.Open(plaintext[:0], datagram); reason != want {
				t.Errorf("%v, want %v", reason, want)
			}
		}
		datagram[100] ^= 1
		if _, reason := o.Open(plaintext[:0], datagram); reason != NotAuthentic {
			t.Errorf("%v, want %v", reason, NotAuthentic)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
