package replicate

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"slices"
	"time"

	"reprise/internal/metric"
)

// Subscribing to a repeater
//
// A [Repeater] forwards the sealed datagrams of its subscribers to each other.
// Who subscribes shows that it has the repeater key, and that it receives what
// is sent to its address: else somebody with a recording could have a fleet's
// datagrams sent to anybody.
//
//	node                          repeater
//	subscribe, no cookie      ->
//	                          <-  challenge, a cookie
//	subscribe, that cookie    ->
//	                          <-  accepted, the next cookie
//	  ... a fifth of the lifetime later ...
//	subscribe, next cookie    ->
//	                          <-  accepted, the next cookie
//
// All four are control datagrams of one form and one length, so that no answer
// is larger than what it answers. All integers are big endian.
//
//	offset  length  field
//	     0       1  0xf1, where a sealed datagram has its version
//	     1       1  type: 1 subscribe, 2 challenge, 3 accepted
//	     2      16  nonce: random for each subscribe, and repeated in its answer
//	    18      16  cookie, or zeros
//	    34       4  accepted: lifetime of the subscription in ms; else 0
//	    38      16  tag
//
// The tag is HMAC-SHA-256(repeater key, bytes 0 to 37), the cookie
// HMAC-SHA-256(key that the repeater made at its start, IPv6 or IPv4-mapped
// address 16, port 2, epoch 8), both cut to 16 bytes. An epoch is as long as a
// subscription's lifetime; cookies of this one and the one before are good. So a
// repeater remembers nothing about an address that is not proven, and a
// subscribe that is recorded and sent again keeps its own address subscribed for
// three lifetimes at most, and any other not at all.
//
// After a restart a repeater knows nobody and takes no old cookie: the next
// renewal is challenged, and the node is subscribed again one round trip later.
//
// A node subscribes at each unicast peer, since repeaters look like any other.
// Peers that are nodes do not answer, and are asked less and less often.

const (
	controlVersion = 0xf1
	controlLen     = 54
	cookieLen      = 16

	repeaterKeyInfo = "reprise repeater v1"

	// renewals is how often a subscription is renewed in its lifetime, so that
	// it outlives the loss of some of them.
	renewals = 5

	// subscribeFirst and subscribeMost bound the time between two attempts at
	// a peer that has never answered.
	subscribeFirst = 250 * time.Millisecond
	subscribeMost  = 10 * time.Second
)

// RepeaterKey derives what a [Repeater] must know of a cluster secret: enough to
// tell the fleet's nodes from strangers, nothing about what they say. Whoever
// has it can subscribe and see sealed datagrams pass by.
func RepeaterKey(secret Secret) []byte {
	if isConstant(secret.prk) { // so that a mistake of ours does not become a skeleton key
		panic("replicate: use of an empty or wiped secret")
	}
	key, err := hkdf.Expand(sha256.New, secret.prk, repeaterKeyInfo, sha256.Size)
	if err != nil {
		panic(err) // only for a key length out of range
	}
	return key
}

// controlType is the number of a control datagram on the wire.
type controlType uint8

const (
	controlSubscribe controlType = 1
	controlChallenge controlType = 2
	controlAccepted  controlType = 3
)

// A cookie proves that its bearer receives what is sent to an address.
type cookie [cookieLen]byte

// A control is a datagram between a node and a repeater.
type control struct {
	kind     controlType
	nonce    Nonce
	cookie   cookie
	lifetime time.Duration // whole milliseconds and at most 49 days on the wire
}

// isControl reports whether a datagram is meant to be a control, however wrong.
func isControl(datagram []byte) bool { return len(datagram) > 0 && datagram[0] == controlVersion }

// parseControl reads a datagram. Nothing of it is to be believed before its tag
// has been verified.
func parseControl(datagram []byte) (control, bool) {
	if len(datagram) != controlLen || !isControl(datagram) {
		return control{}, false
	}
	c := control{
		kind:     controlType(datagram[1]),
		nonce:    Nonce(datagram[2:]),
		cookie:   cookie(datagram[18:]),
		lifetime: parseDuration(datagram[34:], time.Millisecond),
	}
	return c, c.kind >= controlSubscribe && c.kind <= controlAccepted
}

// append appends the datagram to b.
func (c control) append(b []byte, m *mac) []byte {
	start := len(b)
	b = append(b, controlVersion, byte(c.kind))
	b = append(b, c.nonce[:]...)
	b = append(b, c.cookie[:]...)
	b = appendDuration(b, c.lifetime, time.Millisecond)
	tag := m.sum(b[start:])
	return append(b, tag[:]...)
}

// A mac makes and verifies 16-byte tags without allocating. It belongs to one
// goroutine.
type mac struct {
	h    hash.Hash
	long [sha256.Size]byte // here because it would escape from the stack
}

func newMAC(key []byte) *mac { return &mac{h: hmac.New(sha256.New, key)} }

// sum returns the tag over b.
func (m *mac) sum(b []byte) [tagLen]byte {
	m.h.Reset()
	m.h.Write(b)
	return [tagLen]byte(m.h.Sum(m.long[:0]))
}

// verify reports whether a control datagram's tag is right.
func (m *mac) verify(datagram []byte) bool {
	want := m.sum(datagram[:controlLen-tagLen])
	return hmac.Equal(want[:], datagram[controlLen-tagLen:])
}

// A cookieJar makes and recognizes cookies. It belongs to one goroutine.
type cookieJar struct {
	mac   *mac
	epoch time.Duration
	input [26]byte // here because it would escape from the stack
}

// newCookieJar returns a jar whose cookies are good for one to two epochs, and no
// longer than it exists.
func newCookieJar(epoch time.Duration) *cookieJar {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return &cookieJar{mac: newMAC(key), epoch: epoch}
}

// make returns the cookie for an address.
func (j *cookieJar) make(now time.Duration, addr netip.AddrPort) cookie {
	return j.of(addr, uint64(now/j.epoch))
}

// isGood reports whether c was made for addr, in this epoch or the one before.
func (j *cookieJar) isGood(now time.Duration, addr netip.AddrPort, c cookie) bool {
	epoch := uint64(now / j.epoch)
	newer, older := j.of(addr, epoch), j.of(addr, epoch-1)
	return hmac.Equal(c[:], newer[:]) || hmac.Equal(c[:], older[:])
}

func (j *cookieJar) of(addr netip.AddrPort, epoch uint64) cookie {
	ip := addr.Addr().As16()
	b := append(j.input[:0], ip[:]...)
	b = binary.BigEndian.AppendUint16(b, addr.Port())
	return j.mac.sum(binary.BigEndian.AppendUint64(b, epoch))
}

// A subscriber keeps a node subscribed at those of its peers that are repeaters,
// as a value: time and datagrams come in, datagrams go out. It belongs to one
// goroutine; only the counts may be read elsewhere.
type subscriber struct {
	mac  *mac
	list []subscription
	buf  [controlLen]byte

	counts struct{ sent, accepted, ignored metric.Counter }
}

// A subscription is a node's side of one, if peer is a repeater.
type subscription struct {
	peer   netip.AddrPort
	nonce  Nonce // of the newest subscribe, zero once that is answered
	cookie cookie

	dueAt    time.Duration // when to subscribe again
	wait     time.Duration // from then to the next
	answerAt time.Duration // when a challenge may be answered at once
	accepted bool          // once, so that peer is a repeater
}

// newSubscriber returns a subscriber that begins with the first Tick. key is from
// [RepeaterKey].
func newSubscriber(key []byte, peers []netip.AddrPort) *subscriber {
	s := new(subscriber)
	s.Rekey(key)
	s.SetPeers(peers)
	return s
}

// Rekey goes on with another key. Repeaters must have got it before.
func (s *subscriber) Rekey(key []byte) { s.mac = newMAC(key) }

// SetPeers exchanges the peers. Subscriptions at those that stay go on.
func (s *subscriber) SetPeers(peers []netip.AddrPort) {
	list := make([]subscription, 0, len(peers))
	for _, peer := range peers {
		if peer.Addr().IsMulticast() {
			continue // a group repeats by itself
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

// Tick subscribes where it is time to and returns when to call again, at the
// latest. send must copy what it keeps.
func (s *subscriber) Tick(now time.Duration, send func(to netip.AddrPort, datagram []byte)) (next time.Duration) {
	next = now + subscribeMost
	for i := range s.list {
		sub := &s.list[i]
		if now >= sub.dueAt {
			_, _ = rand.Read(sub.nonce[:]) // never fails
			s.counts.sent.Inc()
			send(sub.peer, control{kind: controlSubscribe, nonce: sub.nonce, cookie: sub.cookie}.append(s.buf[:0], s.mac))
			sub.dueAt = now + sub.wait
			if !sub.accepted {
				sub.wait = min(2*sub.wait, subscribeMost)
			}
		}
		next = min(next, sub.dueAt)
	}
	return next
}

// Receive takes a datagram that arrived and reports whether it was a control,
// which is not for the node. Something may have become due by it. The nonce says
// what it answers, so that a repeater may answer from another address of its
// machine than it was asked at.
func (s *subscriber) Receive(now time.Duration, datagram []byte) bool {
	if !isControl(datagram) {
		return false
	}
	c, ok := parseControl(datagram)
	i := slices.IndexFunc(s.list, func(sub subscription) bool { return sub.nonce == c.nonce })
	if !ok || c.kind == controlSubscribe || i < 0 || !s.mac.verify(datagram) {
		s.counts.ignored.Inc() // a node took us for a repeater, or somebody lies
		return true
	}
	sub := &s.list[i]
	sub.nonce = Nonce{} // each answer counts once
	sub.cookie = c.cookie
	switch c.kind {
	case controlChallenge:
		// At once, but not for ever: an address that changes on the way
		// makes each cookie a wrong one.
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
