package repeater

import (
	"crypto/rand"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"

	"reprise/internal/metric"
	"reprise/replicate/wire"
)

const (
	controlVersion = 0xf1
	controlLen     = 54
	tagLen         = 16

	// renewals is how often a subscription is renewed in its lifetime, so that it survives the loss
	// of some renewals.
	renewals = 5

	// subscribeFirst and subscribeMost bound the time between two attempts at a peer that has never
	// answered.
	subscribeFirst = 250 * time.Millisecond
	subscribeMost  = 10 * time.Second
)

// controlType is the number of a control datagram on the wire.
type controlType uint8

const (
	controlSubscribe controlType = 1
	controlChallenge controlType = 2
	controlAccepted  controlType = 3
)

// A nonce ties an answer to its question.
type nonce [16]byte

// A control is a datagram between a node and a repeater.
type control struct {
	kind     controlType
	nonce    nonce
	cookie   wire.Cookie
	lifetime time.Duration // in whole milliseconds and at most 49 days on the wire
}

// isControl reports whether a datagram is meant to be a control, even if malformed.
func isControl(datagram []byte) bool { return len(datagram) > 0 && datagram[0] == controlVersion }

// parseControl reads a datagram. Its contents must not be trusted before its tag has been verified.
func parseControl(datagram []byte) (control, bool) {
	if len(datagram) != controlLen || !isControl(datagram) {
		return control{}, false
	}
	c := control{
		kind:     controlType(datagram[1]),
		nonce:    nonce(datagram[2:]),
		cookie:   wire.Cookie(datagram[18:]),
		lifetime: time.Duration(binary.BigEndian.Uint32(datagram[34:])) * time.Millisecond,
	}
	return c, c.kind >= controlSubscribe && c.kind <= controlAccepted
}

// append appends the datagram to b.
func (c control) append(b []byte, m *wire.MAC) []byte {
	start := len(b)
	b = append(b, controlVersion, byte(c.kind))
	b = append(b, c.nonce[:]...)
	b = append(b, c.cookie[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(min(c.lifetime/time.Millisecond, math.MaxUint32)))
	tag := m.Sum(b[start:])
	return append(b, tag[:]...)
}

// verify reports whether a control datagram's tag is right.
func verify(m *wire.MAC, datagram []byte) bool {
	return m.Verify(datagram[:controlLen-tagLen], datagram[controlLen-tagLen:])
}

// A Subscriber keeps a node subscribed at those of its peers that are repeaters, as a value: time
// and datagrams come in, datagrams go out. It belongs to one goroutine; only the counts may be read
// elsewhere.
type Subscriber struct {
	mac  *wire.MAC
	list []subscription
	buf  [controlLen]byte

	counts struct{ sent, accepted, ignored metric.Counter }
}

// A subscription is a node's side of a subscription, if peer is a repeater.
type subscription struct {
	peer   netip.AddrPort
	nonce  nonce // of the newest subscribe, zero once that is answered
	cookie wire.Cookie

	dueAt    time.Duration // when to subscribe again
	wait     time.Duration // from then to the next
	answerAt time.Duration // when a challenge may be answered at once
	accepted bool          // at least once, so peer is a repeater
}

// NewSubscriber returns a subscriber that begins with the first Tick. key is from
// [wire.Secret.RepeaterKey].
func NewSubscriber(key []byte, peers []netip.AddrPort) *Subscriber {
	s := new(Subscriber)
	s.Rekey(key)
	s.SetPeers(peers)
	return s
}

// Rekey continues with another key. Repeaters must have it before.
func (s *Subscriber) Rekey(key []byte) { s.mac = wire.NewMAC(key) }

// SetPeers replaces the peers. Subscriptions at those that stay continue.
func (s *Subscriber) SetPeers(peers []netip.AddrPort) {
	list := make([]subscription, 0, len(peers))
	for _, peer := range peers {
		if peer.Addr().IsMulticast() {
			continue // a group needs no repeater
		}
		i := slices.IndexFunc(s.list, func(old subscription) bool { return old.peer == peer })
		if i >= 0 {
			list = append(list, s.list[i])
		} else {
			list = append(list, subscription{peer: peer, wait: subscribeFirst})
		}
	}
	s.list = list
}

// Tick subscribes where it is due and returns when to call again at the latest. send must copy what
// it keeps.
func (s *Subscriber) Tick(now time.Duration, send func(to netip.AddrPort,
	datagram []byte),
) (next time.Duration) {
	next = now + subscribeMost
	for i := range s.list {
		sub := &s.list[i]
		if now >= sub.dueAt {
			_, _ = rand.Read(sub.nonce[:]) // never fails
			s.counts.sent.Inc()
			send(sub.peer, control{
				kind: controlSubscribe, nonce: sub.nonce,
				cookie: sub.cookie,
			}.append(s.buf[:0], s.mac))
			sub.dueAt = now + sub.wait
			if !sub.accepted {
				sub.wait = min(2*sub.wait, subscribeMost)
			}
		}
		next = min(next, sub.dueAt)
	}
	return next
}

// Ignored returns the number of controls that were not for this node. Any goroutine may call it.
func (s *Subscriber) Ignored() uint64 { return s.counts.ignored.Load() }

// Receive handles a datagram and reports whether it was a control, which is not for the node. It
// may make something due. The nonce identifies the question, so that a repeater may answer from
// another address of its machine than it was asked at.
func (s *Subscriber) Receive(now time.Duration, datagram []byte) bool {
	if !isControl(datagram) {
		return false
	}
	c, ok := parseControl(datagram)
	i := slices.IndexFunc(s.list, func(sub subscription) bool { return sub.nonce == c.nonce })
	if !ok || c.kind == controlSubscribe || i < 0 || !verify(s.mac, datagram) {
		s.counts.ignored.Inc() // a node took this one for a repeater, or the control is forged
		return true
	}
	sub := &s.list[i]
	sub.nonce = nonce{} // each answer counts once
	sub.cookie = c.cookie
	switch c.kind {
	case controlChallenge:
		// At once, but not for ever: with an address that changes on the way, each cookie is
		// invalid.
		if now >= sub.answerAt {
			sub.answerAt = now + subscribeFirst
			sub.dueAt = now
		}
	case controlAccepted:
		s.counts.accepted.Inc()
		sub.accepted = true
		sub.wait = min(max(c.lifetime/renewals, time.Millisecond), subscribeMost)
		sub.dueAt = now + sub.wait
	}
	return true
}
