package repeater

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// The bytes here were computed apart from this package, with Python's hmac
// module, from the comment in subscription.go alone.

func TestRepeaterKey(t *testing.T) {
	secret, err := wire.NewSecret([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "d2babebed5a140080f4dc52587a937ed130a78d2befe746d5a7d2de66125a0b5")
	if got := secret.RepeaterKey(); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	secret.Wipe()
	defer func() {
		if recover() == nil {
			t.Error("a wiped secret has a key")
		}
	}()
	secret.RepeaterKey()
}

func TestControlBytes(t *testing.T) {
	m := wire.NewMAC(unhex(t, "d2babebed5a140080f4dc52587a937ed130a78d2befe746d5a7d2de66125a0b5"))
	nonce := nonce(unhex(t, "000102030405060708090a0b0c0d0e0f"))
	biscuit := wire.Cookie(unhex(t, "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"))
	for _, tt := range []struct {
		control control
		want    string
	}{
		{
			control{kind: controlSubscribe, nonce: nonce},
			`f1 01 000102030405060708090a0b0c0d0e0f 00000000000000000000000000000000 00000000 bd091c2bf9e6950f060214f446f5f23a`,
		},
		{
			control{kind: controlChallenge, nonce: nonce, cookie: biscuit},
			`f1 02 000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 00000000 e09b2e20850a9bf004b2baa454d1e8a5`,
		},
		{
			control{kind: controlAccepted, nonce: nonce, cookie: biscuit, lifetime: 10 * time.Second},
			`f1 03 000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 00002710 7e9314c87ef19aab09f8ae1816ccaaa9`,
		},
	} {
		b := tt.control.append([]byte("kept"), m)[4:]
		if !bytes.Equal(b, unhex(t, tt.want)) {
			t.Errorf("%+v:\n got %x\nwant %s", tt.control, b, tt.want)
		}
		if got, ok := parseControl(b); !ok || got != tt.control || !verify(m, b) {
			t.Errorf("got %+v, %v, want %+v", got, ok, tt.control)
		}
	}
}

// A subscriberTest is a subscriber with one peer, whose mind is the test's.
type subscriberTest struct {
	*Subscriber
	mac  *wire.MAC
	now  time.Duration
	sent []control
}

func newSubscriberTest(t *testing.T) *subscriberTest {
	key := clusterKey(t, 1)
	peer := netip.MustParseAddrPort("192.0.2.1:7171")
	return &subscriberTest{
		Subscriber: NewSubscriber(key, []netip.AddrPort{peer}),
		mac:        wire.NewMAC(key),
	}
}

// tick calls Tick until nothing is due any more and moves on to when it is.
func (s *subscriberTest) tick() {
	next := s.now
	for next <= s.now {
		next = s.Tick(s.now, func(_ netip.AddrPort, b []byte) {
			c, _ := parseControl(b)
			s.sent = append(s.sent, c)
		})
	}
	s.now = next
}

// answer answers the newest subscribe.
func (s *subscriberTest) answer(c control) {
	c.nonce = s.sent[len(s.sent)-1].nonce
	s.Receive(s.now, c.append(nil, s.mac))
}

// A peer that is a node costs next to nothing, and is still found when it becomes
// a repeater.
func TestSubscriberBacksOff(t *testing.T) {
	s := newSubscriberTest(t)
	for s.now < time.Hour {
		before := s.now
		s.tick()
		if s.now-before > subscribeMost {
			t.Fatalf("silent for %v", s.now-before)
		}
	}
	if got, most := len(s.sent), int(time.Hour/subscribeMost)+10; got > most {
		t.Errorf("%d datagrams in an hour, want at most %d", got, most)
	}
}

func TestSubscriberRenews(t *testing.T) {
	s := newSubscriberTest(t)
	s.tick()
	s.now = 10 * time.Millisecond
	s.answer(control{kind: controlChallenge, cookie: wire.Cookie{1}})
	if s.tick(); len(s.sent) != 2 || s.sent[1].cookie != (wire.Cookie{1}) ||
		s.sent[1].nonce == s.sent[0].nonce {
		t.Fatalf("after the challenge: sent %+v", s.sent)
	}
	accepted := s.now
	s.answer(control{kind: controlAccepted, cookie: wire.Cookie{2}, lifetime: 10 * time.Second})
	s.Tick(s.now, func(netip.AddrPort, []byte) { t.Error("subscribed again at once") })
	s.now = accepted + 2*time.Second
	if s.tick(); len(s.sent) != 3 || s.sent[2].cookie != (wire.Cookie{2}) {
		t.Fatalf("at the renewal: sent %+v", s.sent)
	}
	for range 100 { // the repeater is down
		before := s.now
		if s.tick(); s.now-before != 2*time.Second {
			t.Fatalf("next attempt %v later, want 2s", s.now-before)
		}
	}
}

// Subscriptions at peers that stay are not disturbed.
func TestSubscriberSetPeers(t *testing.T) {
	s := newSubscriberTest(t)
	s.tick()
	s.answer(control{kind: controlAccepted, cookie: wire.Cookie{2}, lifetime: 10 * time.Second})
	old := s.list[0]
	added, group := netip.MustParseAddrPort("192.0.2.2:7171"), netip.MustParseAddrPort("239.1.1.1:7171")
	s.SetPeers([]netip.AddrPort{group, added, old.peer})
	if len(s.list) != 2 || s.list[0].peer != added || s.list[1] != old {
		t.Errorf("got %+v", s.list)
	}
}

// A peer that answers every subscribe with a challenge gets no storm of them.
func TestSubscriberEndlessChallenges(t *testing.T) {
	s := newSubscriberTest(t)
	for ; s.now < time.Minute; s.now += 10 * time.Millisecond {
		before := len(s.sent)
		s.Tick(s.now, func(_ netip.AddrPort, b []byte) {
			c, _ := parseControl(b)
			s.sent = append(s.sent, c)
		})
		if len(s.sent) > before {
			s.answer(control{kind: controlChallenge, cookie: wire.Cookie{byte(before)}})
		}
	}
	if got := len(s.sent); got > 4*60 {
		t.Errorf("%d datagrams in a minute", got)
	}
}

func TestSubscriberIgnores(t *testing.T) {
	challenge := control{kind: controlChallenge, cookie: wire.Cookie{1}}
	for _, tt := range []struct {
		name   string
		answer func(s *subscriberTest, nonce nonce) []byte
	}{
		{"no answer to anything", func(s *subscriberTest, _ nonce) []byte { return challenge.append(nil, s.mac) }},
		{"another node's subscribe", func(s *subscriberTest, nonce nonce) []byte {
			return control{kind: controlSubscribe, nonce: nonce, cookie: wire.Cookie{1}}.append(nil, s.mac)
		}},
		{"forged", func(_ *subscriberTest, nonce nonce) []byte {
			return control{kind: controlChallenge, nonce: nonce, cookie: wire.Cookie{1}}.append(nil,
				wire.NewMAC([]byte("x")))
		}},
		{"short", func(*subscriberTest, nonce) []byte { return []byte{controlVersion} }},
		{"long", func(s *subscriberTest, nonce nonce) []byte {
			return append(control{kind: controlChallenge, nonce: nonce, cookie: wire.Cookie{1}}.append(nil,
				s.mac), 0)
		}},
		{"unknown type", func(s *subscriberTest, nonce nonce) []byte {
			return control{kind: 4, nonce: nonce, cookie: wire.Cookie{1}}.append(nil, s.mac)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSubscriberTest(t)
			s.tick()
			before := s.list[0]
			if !s.Receive(s.now, tt.answer(s, s.sent[0].nonce)) {
				t.Error("left to the node")
			}
			if got := s.list[0]; got != before {
				t.Errorf("became %+v, want %+v", got, before)
			}
			if got := s.counts.ignored.Load(); got != 1 {
				t.Errorf("counted %d, want 1", got)
			}
		})
	}
	s := newSubscriberTest(t)
	s.tick()
	again := control{kind: controlAccepted, nonce: s.sent[0].nonce, lifetime: time.Second}.append(nil,
		s.mac)
	s.Receive(s.now, again)
	s.Receive(s.now, again)
	if got := s.counts.accepted.Load(); got != 1 {
		t.Errorf("an answer counted %d times", got)
	}
	if s.Receive(s.now, sealed(t, nil)) {
		t.Error("a sealed datagram was taken for a control")
	}
}

// Whatever is read as a control, writes the same; without the key nothing makes
// or changes one, and neither side panics.
func FuzzControl(f *testing.F) {
	key := clusterKey(f, 1)
	m := wire.NewMAC(key)
	for _, kind := range []controlType{0, controlSubscribe, controlChallenge, controlAccepted, 4} {
		f.Add(control{
			kind: kind, nonce: nonce{1}, cookie: wire.Cookie{2},
			lifetime: time.Second,
		}.append(nil, wire.NewMAC([]byte("x"))))
	}
	f.Add([]byte{controlVersion})
	f.Add([]byte{})
	r := newTestRepeater(f, Options{Keys: [][]byte{key}})
	from := netip.MustParseAddrPort("192.0.2.1:7171")
	s := NewSubscriber(key, []netip.AddrPort{from})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s.Receive(0, b) != isControl(b) {
			t.Error("it is for the node and for the subscriber, or for neither")
		}
		if got := r.give(0, from, b); len(got) > 0 {
			t.Fatalf("%x was answered with %x", b, got[0].Datagram)
		}
		c, ok := parseControl(b)
		if !ok {
			return
		}
		if verify(m, b) {
			t.Fatalf("%x is authentic", b)
		}
		good := c.append(nil, m)
		if n := controlLen - tagLen; !bytes.Equal(good[:n], b[:n]) {
			t.Fatalf("%x reads as %+v, which is %x", b, c, good)
		}
		if !verify(m, good) {
			t.Fatalf("%x is not authentic", good)
		}
	})
}
