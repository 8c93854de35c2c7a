package wire

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// party is one side of an introduction.
type party struct {
	own    Introduction
	secret Secret
	check  *Checker
}

func newParty(t testing.TB, secret byte, name string) *party {
	s := clusterSecret(t, secret)
	id := NewID()
	p := &party{secret: s, check: s.Checker()}
	p.own = Introduction{
		ID: id, Instance: Instance{1}, Epoch: 7, Chain: Chain{3, 4}, Counter: 99, Clock: 5,
		Wall: time.UnixMilli(1_000_000), Context: 11, Lifetime: 5 * time.Minute, Name: name,
	}
	return p
}

// meet introduces a to b; spoil may change each datagram on its way.
func meet(a, b *party, spoil func(kind Kind, d []byte) []byte) (atA, atB Introduction, ok bool) {
	cookie := Cookie{1, 2, 3}
	i := NewInitiator(a.secret, a.check, a.own.ID.Short(), b.own.ID.Short(), cookie)
	hello := spoil(KindHello, bytes.Clone(i.Hello))
	if to, c, ok := HelloTo(hello); !ok || to != b.own.ID.Short() || c != cookie {
		return atA, atB, false
	}
	own := b.own
	r, ok := NewResponder(b.secret, b.check, hello, &own)
	if !ok {
		return atA, atB, false
	}
	own = a.own
	atA, proof, ok := i.Welcome(spoil(KindWelcome, bytes.Clone(r.Welcome)), a.check, &own)
	if !ok {
		return atA, atB, false
	}
	atB, ok = r.Proof(spoil(KindProof, proof))
	return atA, atB, ok
}

func asIs(_ Kind, d []byte) []byte { return d }

func TestIntroduction(t *testing.T) {
	a, b := newParty(t, 1, "alpha"), newParty(t, 1, "")
	atA, atB, ok := meet(a, b, asIs)
	if !ok || !reflect.DeepEqual(atA, b.own) || !reflect.DeepEqual(atB, a.own) {
		t.Errorf("%v, got\n%+v\n%+v, want\n%+v\n%+v", ok, atA, atB, b.own, a.own)
	}
	// A name is bounded, and what would disturb a log is replaced.
	a.own.Name = "line\nquote\"" + strings.Repeat("x", 100)
	if _, atB, ok := meet(a, b, asIs); !ok || len(atB.Name) != MaxNameLen ||
		strings.ContainsAny(atB.Name, "\n\"") {
		t.Errorf("%v, name %q", ok, atB.Name)
	}
	longest := 0
	meet(b, a, func(kind Kind, d []byte) []byte { longest = max(longest, len(d)); return d })
	if longest != MaxWelcomeLen {
		t.Errorf("the longest datagram has %d bytes, want %d", longest, MaxWelcomeLen)
	}
}

// Nothing that was altered on its way introduces a node, except bytes that only say
// whose the datagram is, which the caller looks at.
func TestSpoiledIntroductions(t *testing.T) {
	a, b := newParty(t, 1, "alpha"), newParty(t, 1, "beta")
	for _, kind := range []Kind{KindHello, KindWelcome, KindProof} {
		for at := HeaderLen; at < 300; at++ {
			changed := false
			_, _, ok := meet(a, b, func(k Kind, d []byte) []byte {
				if k == kind && at < len(d) {
					d[at] ^= 0x10
					changed = true
				}
				return d
			})
			if isAddressee := at < HeaderLen+toLen && kind == KindWelcome; changed && ok && !isAddressee {
				t.Fatalf("kind %d, byte %d was changed: introduced", kind, at)
			}
		}
		if _, _, ok := meet(a, b, func(k Kind, d []byte) []byte {
			if k == kind {
				return d[:len(d)-1]
			}
			return d
		}); ok {
			t.Errorf("kind %d was cut: introduced", kind)
		}
	}
	if _, _, ok := meet(a, newParty(t, 2, ""), asIs); ok {
		t.Error("introduced with another secret")
	}
}

// Recordings of an introduction introduce no node again, and its sizes amplify nothing.
func TestReplayedIntroduction(t *testing.T) {
	a, b := newParty(t, 1, "alpha"), newParty(t, 1, "beta")
	var hello, welcome, proof []byte
	meet(a, b, func(k Kind, d []byte) []byte {
		switch k {
		case KindHello:
			hello = bytes.Clone(d)
		case KindWelcome:
			welcome = bytes.Clone(d)
		case KindProof:
			proof = bytes.Clone(d)
		}
		return d
	})
	own := b.own
	// a replayed hello is answered, if its cookie is still good
	r, ok := NewResponder(b.secret, b.check, hello, &own)
	if !ok {
		t.Fatal("not answered")
	}
	if _, ok := r.Proof(proof); ok {
		t.Error("a replayed proof introduced")
	}
	i := NewInitiator(a.secret, a.check, a.own.ID.Short(), b.own.ID.Short(), Cookie{1, 2, 3})
	copy(welcome[8:16], i.Hello[8:16]) // its number
	if _, _, ok := i.Welcome(welcome, a.check, &own); ok {
		t.Error("a replayed welcome introduced")
	}
	if len(r.Welcome) > 3*len(hello) {
		t.Errorf("a welcome has %d bytes, a hello %d", len(r.Welcome), len(hello))
	}
	h := Header{Kind: KindSealed, Sender: ShortID{1}, Counter: 3}
	retry := AppendRetry(nil, a.check, ShortID{2}, h, Cookie{9})
	if len(retry) > DatagramOverhead {
		t.Errorf("a retry has %d bytes, the shortest datagram %d", len(retry), DatagramOverhead)
	}
	if m, ok := ParseRetry(retry); !ok || m.To != h.Sender || m.Cookie != (Cookie{9}) {
		t.Errorf("read as %+v, %v", m, ok)
	}
	for _, secret := range [][]byte{a.own.Chain[:2], []byte("alpha")} {
		if bytes.Contains(welcome, secret) && len(secret) > 2 || bytes.Contains(proof, secret) &&
			len(secret) > 2 {
			t.Errorf("%q can be read", secret)
		}
	}
}

// Whatever bytes are taken for a part of an introduction, they introduce no node
// and nothing panics.
func FuzzIntroduction(f *testing.F) {
	a, b := newParty(f, 1, "alpha"), newParty(f, 1, "beta")
	meet(a, b, func(_ Kind, d []byte) []byte { f.Add(d, false); f.Add(d, true); return d })
	f.Add(AppendRetry(nil, a.check, ShortID{2}, Header{Kind: KindHello}, Cookie{9}), false)
	cookies := NewCookieJar(time.Second)
	addr := netip.MustParseAddrPort("192.0.2.1:1")
	f.Fuzz(func(t *testing.T, d []byte, sealed bool) {
		ParseRetry(d)
		if _, c, ok := HelloTo(d); ok && cookies.IsGood(0, addr, c) {
			t.Fatal("a guessed cookie is good")
		}
		To(d)
		i := NewInitiator(a.secret, a.check, a.own.ID.Short(), b.own.ID.Short(), Cookie{})
		own := a.own
		if sealed && len(d) > 16 {
			copy(d[8:], i.Hello[8:16])
		}
		if other, _, ok := i.Welcome(d, a.check, &own); ok {
			t.Fatalf("introduced: %+v", other)
		}
		own = b.own
		r, ok := NewResponder(b.secret, b.check, i.Hello, &own)
		if !ok {
			t.Fatal("a genuine hello was refused")
		}
		if other, ok := r.Proof(d); ok {
			t.Fatalf("introduced: %+v", other)
		}
		NewResponder(b.secret, b.check, d, &own)
		if i, ok := parseIntroduction(d); ok && len(i.Name) > 4*MaxNameLen {
			t.Fatalf("a name of %d bytes", len(i.Name))
		}
	})
}

func BenchmarkIntroduction(b *testing.B) {
	x, y := newParty(b, 1, "alpha"), newParty(b, 1, "beta")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := meet(x, y, asIs); !ok {
			b.Fatal("not introduced")
		}
	}
}
