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
	// PlainHeaderLen is the length of the time of sealing, which precedes the messages in a
	// plaintext and which [Sender.Seal] writes.
	PlainHeaderLen = 4

	randomLen = 16 // of the nonce; the counter is the rest
	aeadLen   = chacha20poly1305.Overhead

	// DatagramOverhead is how much longer, in bytes, a datagram is than its messages.
	DatagramOverhead = HeaderLen + randomLen + PlainHeaderLen + aeadLen

	// RatchetEvery and ratchetUses are when a sender's key is replaced by the next one. A receiver
	// keeps the previous one for ratchetGrace, because datagrams may overtake each other.
	RatchetEvery = 30 * time.Second
	ratchetUses  = 1 << 20
	ratchetGrace = 2 * time.Second

	// maxAhead is by how many epochs a datagram may be ahead of the last one. A sender takes one
	// step in RatchetEvery, and one after a pause; a receiver that has not heard it for two of
	// these has dropped its key. More steps, which are taken before anything is authenticated,
	// would let others that can make headers, such as a repeater, occupy a node.
	maxAhead = 4

	// staleAfter bounds how long a datagram may be under way: holding one back longer does not
	// lengthen a session's life.
	staleAfter = 2 * time.Second
	// driftPer is how fast two clocks may drift apart: 1/4096, 244 ppm.
	driftPer = 4096

	ratchetInfo = "reprise ratchet v2"
	sealInfo    = "reprise seal v2"
)

// A Chain is the state of a sender's ratchet: all its later keys are derived from it, and no
// earlier ones.
type Chain [keyLen]byte

// step moves to the next epoch.
func (c *Chain) step() { expandInto(c[:], c[:], ratchetInfo) }

// An aead is XChaCha20-Poly1305, or ChaCha20-Poly1305 in introductions, under a key that can be
// replaced and wiped.
type aead struct {
	cipher.AEAD
	key *[keyLen]byte // the AEAD's own
}

// newAEAD returns an aead of datagrams without a key.
func newAEAD() aead { return wipeable(chacha20poly1305.NewX) }

// wipeable returns an aead without a key.
//
// chacha20poly1305 copies its key into memory of its own and has no way to wipe it, but expired
// keys must be gone. The AEAD it returns is a pointer to a struct that contains only the key; each
// call here asserts that, so that a change of that package would be noticed before anything is
// sealed.
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

// of sets the key to that of a chain.
func (a aead) of(c *Chain) { expandInto(a.key[:], c[:], sealInfo) }

func (a aead) wipe() { clear(a.key[:]) }

func (a aead) isSet() bool { return *a.key != [keyLen]byte{} }

// A Sender seals the datagrams of one life of a node. It belongs to one goroutine. Its clock must
// never go back.
//
// A datagram's nonce is 16 random bytes and the counter. So two copies of a machine that continue
// from one snapshot, with one key and one counter, do not use a nonce twice.
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

// NewSender returns a sender with a random key. It takes ownership of the checker.
func NewSender(c *Checker, id ShortID, now time.Duration) *Sender {
	s := &Sender{checker: c, id: id, aead: newAEAD(), counter: 1}
	s.Renew(now)
	return s
}

// Recheck continues with another secret's check.
func (s *Sender) Recheck(c *Checker) { s.checker = c }

// Next is the counter of the next datagram.
func (s *Sender) Next() uint64 { return s.counter }

// Continue continues with another sender's counters, under its own key.
func (s *Sender) Continue(next uint64) { s.counter = max(s.counter, next) }

// Renew continues under a random key, unknown to holders of the one before. Counters continue,
// because receivers have one window per sender.
func (s *Sender) Renew(now time.Duration) {
	_, _ = rand.Read(s.chain[:]) // never fails
	s.epoch++
	s.take(now)
}

// take puts the chain's key in use.
func (s *Sender) take(now time.Duration) {
	s.aead.of(&s.chain)
	s.uses, s.until = 0, now+RatchetEvery
}

// ratchet replaces the key if its time is over. One step is enough after any pause: nothing was
// sealed meanwhile.
func (s *Sender) ratchet(now time.Duration) {
	if now < s.until && s.uses < ratchetUses {
		return
	}
	s.chain.step()
	s.epoch++
	s.take(now)
}

// Seal appends a datagram to dst, for a plaintext whose first [PlainHeaderLen] bytes are room for
// the time; with room in dst it does not allocate. plain must not overlap the appended bytes. After
// 2^64 datagrams it panics rather than use a counter twice.
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

// Handover writes into an introduction what a receiver needs to open what is sealed from now on.
func (s *Sender) Handover(i *Introduction, now time.Duration) {
	s.ratchet(now)
	i.Chain, i.Epoch, i.Counter, i.Clock = s.chain, s.epoch, s.counter, ticks(now)
}

// Recent reports whether a counter is that of one of the last datagrams.
func (s *Sender) Recent(counter uint64) bool {
	return counter < s.counter && s.counter-counter <= windowLen
}

// Wipe overwrites the keys. The sender must not be used afterwards.
func (s *Sender) Wipe() {
	s.aead.wipe()
	clear(s.chain[:])
}

// tick is the unit in which a clock's reading is sent. Two readings less than nine hours apart can
// be compared.
const tick = 16 * time.Microsecond

func ticks(d time.Duration) uint32 { return uint32(d / tick) }

// An Opener opens the datagrams of one sender and drops what it opened before. It belongs to one
// goroutine. The zero value has no key: it opens nothing.
type Opener struct {
	window    Window
	epoch     uint32
	chain     Chain
	keys      [2]aead // those of the current epoch and the one before
	oldUntil  time.Duration
	next      aead // for trying a later epoch
	nextChain Chain
	// anchor is a lower bound of our clock less the sender's, in ticks: known from a datagram that
	// answered one of ours, since it cannot have been under way longer than both together. It
	// becomes less exact with time, and is lowered accordingly.
	anchor   uint32
	anchorAt time.Duration
	took     uint32 // our clock at the last datagram's arrival less the sender's at sealing
	nonce    [randomLen + 8]byte
}

// Introduce gives the opener what a sender has handed over, in an answer that came within rtt. What
// the sender sealed before is refused, so that recordings of it are worthless.
func (o *Opener) Introduce(i *Introduction, now, rtt time.Duration) {
	o.took = ticks(now) - i.Clock
	o.anchor, o.anchorAt = o.took-ticks(rtt), now
	if o.Ready() && o.epoch == i.Epoch && subtle.ConstantTimeCompare(o.chain[:], i.Chain[:]) == 1 {
		return // known: datagrams under way are not lost
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

// Wipe overwrites the keys. What was opened before still counts as a replay.
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

// Expire wipes the previous epoch's key once its grace is over.
func (o *Opener) Expire(now time.Duration) {
	if o.next.AEAD != nil && now >= o.oldUntil {
		o.keys[1].wipe()
	}
}

// Open appends a datagram's plaintext to dst; with room in dst it does not allocate, except for a
// new epoch. Its header must have been parsed and its check verified. For any reason but Opened it
// returns dst unchanged. dst must not overlap the datagram.
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

// Transit is a bound on how long the last datagram was under way.
func (o *Opener) Transit() time.Duration { return time.Duration(int32(o.took-o.anchor)+2) * tick }

// Sample records that the last datagram answers one that was sent rtt ago.
func (o *Opener) Sample(rtt time.Duration) {
	if a := o.took - ticks(rtt); int32(a-o.anchor) > 0 {
		o.anchor = a
	}
}

// keyFor returns the key of the epoch with the given low byte, and how many epochs that is ahead.
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

// advance makes the key just tried the sender's newest.
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

// isLate records how long a datagram was under way that was sealed at sent, by the sender's clock,
// and reports whether that is too long.
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
