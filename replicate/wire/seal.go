package wire

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"math"
	"time"
	"unsafe"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// PlainHeaderLen is what a plaintext begins with, before its messages: the
	// time of sealing, which [Sender.Seal] writes.
	PlainHeaderLen = 4

	randomLen = 16 // of the nonce; the counter is the rest
	aeadLen   = chacha20poly1305.Overhead

	// DatagramOverhead is how many bytes longer a datagram is than its messages.
	DatagramOverhead = HeaderLen + randomLen + PlainHeaderLen + aeadLen

	// RatchetEvery and ratchetUses are when a sender's key is exchanged for the
	// next one. A receiver keeps the one before for ratchetGrace, because of
	// datagrams that overtake each other.
	RatchetEvery = 30 * time.Second
	ratchetUses  = 1 << 20
	ratchetGrace = 2 * time.Second

	// maxAhead is by how many epochs a datagram may be ahead of the last one. A sender
	// takes one step in RatchetEvery, and one after a pause; a receiver that has not
	// heard it for two of these has forgotten its key. More steps, which are made
	// before anything is authentic, would let others who can make headers, a repeater,
	// occupy a node.
	maxAhead = 4

	// staleAfter is how long a datagram may be on its way: who holds one back
	// longer has lengthened no session's life.
	staleAfter = 2 * time.Second
	// driftPer is how fast two clocks may drift apart: 1/4096, 244 ppm.
	driftPer = 4096

	ratchetInfo = "reprise ratchet v2"
	sealInfo    = "reprise seal v2"
)

// A Chain is the state of a sender's ratchet: what all its keys from here on are
// derived from, and none before.
type Chain [keyLen]byte

// step moves to the next epoch.
func (c *Chain) step() { expandInto(c[:], c[:], ratchetInfo) }

// An aead is XChaCha20-Poly1305, or ChaCha20-Poly1305 in introductions, under a key
// that can be exchanged and wiped.
type aead struct {
	cipher.AEAD
	key *[keyLen]byte // the AEAD's own
}

// newAEAD returns an aead of datagrams without a key.
func newAEAD() aead { return wipeable(chacha20poly1305.NewX) }

// wipeable returns an aead without a key.
//
// chacha20poly1305 copies its key into memory of its own and has no way to wipe
// it, but keys that are over must be gone. The AEAD it returns is a pointer to a
// struct that is the key and nothing else; that is asserted here for each one, so
// that another version of that package would be noticed before anything is sealed.
func wipeable(construct func(key []byte) (cipher.AEAD, error)) aead {
	var marker [keyLen]byte
	_, _ = rand.Read(marker[:]) // never fails
	a, err := construct(marker[:])
	if err != nil {
		panic(err) // only for a key length out of range, or in a process that allows no ChaCha20
	}
	type iface struct{ _, data unsafe.Pointer }
	key := (*[keyLen]byte)((*iface)(unsafe.Pointer(&a)).data)
	if *key != marker {
		panic("replicate: chacha20poly1305 keeps its key elsewhere than in its first 32 bytes")
	}
	clear(key[:])
	return aead{a, key}
}

// of makes the key that of a chain.
func (a aead) of(c *Chain) { expandInto(a.key[:], c[:], sealInfo) }

func (a aead) wipe() { clear(a.key[:]) }

func (a aead) isSet() bool { return *a.key != [keyLen]byte{} }

// A Sender seals the datagrams of one life of a node. It belongs to one
// goroutine. Time is a clock's that never goes back.
//
// A datagram's nonce is 16 random bytes and the counter. So two copies of a machine
// that go on from one snapshot, with one key and one counter, do not use a nonce
// twice.
type Sender struct {
	checker *Checker
	id      ShortID
	chain   Chain
	epoch   uint32
	aead    aead
	counter uint64 // of the next datagram
	uses    int    // of the key
	until   time.Duration
	nonce   [randomLen + 8]byte // here because it would escape from the stack
}

// NewSender returns a sender with a random key. The checker is the sender's from
// then on.
func NewSender(c *Checker, id ShortID, now time.Duration) *Sender {
	s := &Sender{checker: c, id: id, aead: newAEAD(), counter: 1}
	s.Renew(now)
	return s
}

// Recheck goes on with another secret's check.
func (s *Sender) Recheck(c *Checker) { s.checker = c }

// Next is the counter of the next datagram.
func (s *Sender) Next() uint64 { return s.counter }

// Continue goes on with another sender's counters, under a key of its own.
func (s *Sender) Continue(next uint64) { s.counter = max(s.counter, next) }

// Renew goes on under a random key, which nobody has who had the one before.
// Counters go on, because receivers have one window per sender.
func (s *Sender) Renew(now time.Duration) {
	_, _ = rand.Read(s.chain[:]) // never fails
	s.epoch++
	s.take(now)
}

// take makes the chain's key the one in use.
func (s *Sender) take(now time.Duration) {
	s.aead.of(&s.chain)
	s.uses, s.until = 0, now+RatchetEvery
}

// ratchet exchanges the key if its time is over. One step is enough after however
// long a pause: nothing was sealed meanwhile.
func (s *Sender) ratchet(now time.Duration) {
	if now < s.until && s.uses < ratchetUses {
		return
	}
	s.chain.step()
	s.epoch++
	s.take(now)
}

// Seal appends a datagram to dst, of a plaintext whose first [PlainHeaderLen] bytes
// are room for the time; with room in dst it does not allocate. plain must not
// overlap what is appended. It panics rather than use a counter twice, after 2^64
// datagrams.
func (s *Sender) Seal(dst, plain []byte, now time.Duration) []byte {
	if s.counter == math.MaxUint64 {
		panic("replicate: a sender's datagrams are used up")
	}
	s.ratchet(now)
	binary.BigEndian.PutUint32(plain, ticks(now))
	start := len(dst)
	h := Header{Kind: KindSealed, Epoch: byte(s.epoch), Sender: s.id, Counter: s.counter}
	dst = h.append(dst, s.checker)
	_, _ = rand.Read(s.nonce[:randomLen]) // never fails
	binary.BigEndian.PutUint64(s.nonce[randomLen:], s.counter)
	dst = append(dst, s.nonce[:randomLen]...)
	dst = s.aead.Seal(dst, s.nonce[:], plain, dst[start:start+blockLen])
	s.checker.finish(dst[start:])
	s.counter++
	s.uses++
	return dst
}

// Handover writes into an introduction what a receiver needs to open what is
// sealed from now on.
func (s *Sender) Handover(i *Introduction, now time.Duration) {
	s.ratchet(now)
	i.Chain, i.Epoch, i.Counter, i.Clock = s.chain, s.epoch, s.counter, ticks(now)
}

// Recent reports whether a counter is one of the last datagrams'.
func (s *Sender) Recent(counter uint64) bool {
	return counter < s.counter && s.counter-counter <= windowLen
}

// Wipe overwrites the keys. The sender must not be used afterwards.
func (s *Sender) Wipe() {
	s.aead.wipe()
	clear(s.chain[:])
}

// tick is the unit in which a clock's reading travels. Two readings can be compared
// that are less than nine hours apart.
const tick = 16 * time.Microsecond

func ticks(d time.Duration) uint32 { return uint32(d / tick) }

// An Opener opens the datagrams of one sender and drops what it opened before. It
// belongs to one goroutine. The zero value has no key: it opens nothing.
type Opener struct {
	window    Window
	epoch     uint32
	chain     Chain
	keys      [2]aead // those of epoch and of the one before
	oldUntil  time.Duration
	next      aead // for trying an epoch to come
	nextChain Chain
	// anchor is at most our clock less the sender's, in ticks: known from a
	// datagram that answered one of ours, since it cannot have been longer on its
	// way than both together. It becomes less exact with time, and is then the
	// less.
	anchor   uint32
	anchorAt time.Duration
	took     uint32 // our clock when the last datagram came, less the sender's when it was sealed
	nonce    [randomLen + 8]byte
}

// Introduce gives the opener what a sender has handed over, in an answer that came
// within rtt. What the sender sealed before is refused, so that recordings of it are
// worth nothing.
func (o *Opener) Introduce(i *Introduction, now, rtt time.Duration) {
	o.took = ticks(now) - i.Clock
	o.anchor, o.anchorAt = o.took-ticks(rtt), now
	if o.Ready() && o.epoch == i.Epoch && subtle.ConstantTimeCompare(o.chain[:], i.Chain[:]) == 1 {
		return // known: what is under way is not lost
	}
	if o.next.AEAD == nil {
		o.keys[0], o.keys[1], o.next = newAEAD(), newAEAD(), newAEAD()
	}
	o.Wipe()
	o.chain, o.epoch = i.Chain, i.Epoch
	o.keys[0].of(&o.chain)
	o.window.raise(i.Counter)
}

// Ready reports whether there is a key.
func (o *Opener) Ready() bool { return o.next.AEAD != nil && o.keys[0].isSet() }

// Wipe overwrites the keys. What was opened before stays a replay.
func (o *Opener) Wipe() {
	if o.next.AEAD == nil {
		return
	}
	for _, k := range o.keys {
		k.wipe()
	}
	o.next.wipe()
	clear(o.chain[:])
	clear(o.nextChain[:])
}

// Expire wipes the key of the epoch before once its grace is over.
func (o *Opener) Expire(now time.Duration) {
	if o.next.AEAD != nil && now >= o.oldUntil {
		o.keys[1].wipe()
	}
}

// Open appends a datagram's plaintext to dst; with room in dst it does not
// allocate, but for a new epoch. Its header has been parsed and its check
// verified. For any reason but Opened it returns dst as it was. dst must not
// overlap the datagram.
func (o *Opener) Open(dst, datagram []byte, h Header, now time.Duration) ([]byte, Reason) {
	if len(datagram) < DatagramOverhead {
		return dst, TooShort
	}
	if !o.window.IsNew(h.Counter) { // before it costs anything
		return dst, Replayed
	}
	key, ahead := o.keyFor(h.Epoch, now)
	if key.AEAD == nil || !key.isSet() {
		return dst, KeyGone
	}
	sealed := datagram[HeaderLen:]
	copy(o.nonce[:], sealed[:randomLen])
	binary.BigEndian.PutUint64(o.nonce[randomLen:], h.Counter)
	plain, err := key.Open(dst, o.nonce[:], sealed[randomLen:], datagram[:blockLen])
	if err != nil {
		return dst, NotAuthentic
	}
	if ahead > 0 {
		o.advance(ahead, now)
	}
	o.window.Check(h.Counter)
	if o.isLate(binary.BigEndian.Uint32(plain[len(dst):]), now) {
		clear(plain[len(dst):])
		return dst, Stale
	}
	return plain, Opened
}

// Transit is for how long the datagram that came last was on its way, or less.
func (o *Opener) Transit() time.Duration { return time.Duration(int32(o.took-o.anchor)+2) * tick }

// Sample notes that the datagram that came last answers one that was sent rtt ago.
func (o *Opener) Sample(rtt time.Duration) {
	if a := o.took - ticks(rtt); int32(a-o.anchor) > 0 {
		o.anchor = a
	}
}

// keyFor returns the key of an epoch of which the low byte is given, and how many
// epochs that is ahead.
func (o *Opener) keyFor(epoch byte, now time.Duration) (key aead, ahead int) {
	if !o.Ready() {
		return aead{}, 0
	}
	switch ahead = int(int8(epoch - byte(o.epoch))); {
	case ahead == 0:
		return o.keys[0], 0
	case ahead == -1 && now < o.oldUntil:
		return o.keys[1], 0
	case ahead < 0 || ahead > maxAhead:
		return aead{}, 0
	}
	o.nextChain = o.chain
	for range ahead {
		o.nextChain.step()
	}
	o.next.of(&o.nextChain)
	return o.next, ahead
}

// advance makes the key that was tried the sender's newest.
func (o *Opener) advance(ahead int, now time.Duration) {
	o.keys[0], o.keys[1], o.next = o.next, o.keys[0], o.keys[1]
	o.next.wipe()
	if o.oldUntil = now + ratchetGrace; ahead > 1 {
		o.keys[1].wipe()
	}
	o.chain = o.nextChain
	clear(o.nextChain[:])
	o.epoch += uint32(ahead)
}

// isLate notes how long a datagram was on its way that was sealed at sent, by the
// sender's clock, and reports whether that is too long.
func (o *Opener) isLate(sent uint32, now time.Duration) bool {
	if drift := (now - o.anchorAt) / driftPer; drift >= tick {
		o.anchor -= uint32(drift / tick)
		o.anchorAt = now
	}
	o.took = ticks(now) - sent
	if int32(o.took-o.anchor) < 0 { // this machine's clock has stood still
		o.anchor = o.took
	}
	return o.Transit() > staleAfter
}
