package replicate

import (
	"math/bits"
	"sync/atomic"
	"time"

	"golang.org/x/sys/cpu"

	"reprise/replicate/wire"
)

// UpdateKind is the kind of an update.
type UpdateKind = wire.UpdateKind

// The kinds. Those that are never sent pass only from loops to the poller.
const (
	UpdateSession            = wire.UpdateSession
	UpdateDelete             = wire.UpdateDelete
	UpdateRelease UpdateKind = 0xfe // a loop releases a held session
	UpdateAsk     UpdateKind = 0xff // a loop wants a session that is not here
)

// An Update is a loop's message to the poller about one session.
type Update struct {
	Kind  UpdateKind
	Key   Key
	Age   time.Duration // since the full handshake
	Left  time.Duration // to live
	Value []byte        // of a session; the function that passes it defines its ownership
	Made  time.Duration // when Age and Left were true, by the poller's clock
	Ask   *Question     // of an ask
	Owner ShortID       // of a release: the node that holds the session
	Hold  uint64        // of a release
}

// ringValueLen is the room for a value in each slot without allocation: a session without client
// certificates takes about half of it.
const ringValueLen = 512

// A Ring is a bounded queue of updates from many producers to one consumer. Its memory is allocated
// once, except for values longer than 512 bytes.
//
// It is Dmitry Vyukov's bounded queue with a sequence number per slot. A slot's sequence says which
// side owns it at position pos of the queue:
//
//	seq == pos          free: the producer that moves tail from pos to pos+1 owns it
//	seq == pos+1        published: the consumer owns it
//	seq == pos+slots    free again, for the next lap
//
// Publication order: the producer writes the slot, then stores seq = pos+1; the
// consumer loads seq, then reads the slot, wipes it and stores seq = pos+slots,
// which the producer of the next lap loads before it writes. Producers order
// themselves by the compare-and-swap of tail alone. A producer that is descheduled
// between claiming and publishing holds up the consumer, never another producer.
type Ring struct {
	slots []slot // a power of two of them

	_    cpu.CacheLinePad
	tail atomic.Uint64 // the next position to claim; written by producers

	_    cpu.CacheLinePad
	head uint64 // the next position to consume; the consumer's own

	_        cpu.CacheLinePad
	sleeping atomic.Bool // set by the consumer, cleared by the goroutine that ends its sleep

	_        cpu.CacheLinePad
	dropped  atomic.Uint64 // written by producers, only when full
	tooLarge atomic.Uint64 // written by producers

	_ cpu.CacheLinePad
}

// slot is padded because different producers write neighbouring slots.
type slot struct {
	seq    atomic.Uint64
	update Update
	buf    []byte // the slot's own memory for update.Value

	_ cpu.CacheLinePad
}

// NewRing returns an empty ring with room for slots updates, rounded up to a power of two. It takes
// about 700 bytes a slot; a slot that once held a longer value keeps the memory for it, at most 16
// KiB.
func NewRing(slots int) *Ring {
	// In a ring of one slot "published" and "free again" would be the same number.
	n := 1 << bits.Len(uint(max(slots, 2)-1))
	r := &Ring{slots: make([]slot, n)}
	slab := make([]byte, n*ringValueLen)
	for i := range r.slots {
		s := &r.slots[i]
		s.seq.Store(uint64(i))
		s.buf = slab[i*ringValueLen : (i+1)*ringValueLen : (i+1)*ringValueLen]
	}
	return r
}

// TryPush appends u with a copy of its value and reports whether there was room. Refusals are
// counted: because the ring is full, or because the value is too long to be sent (16 KiB). It never
// blocks, and allocates only the first time that a slot gets a value longer than 512 bytes. Any
// goroutine may call it; updates of one goroutine keep their order. Ask [Ring.NeedsWake]
// afterwards.
func (r *Ring) TryPush(u Update) bool {
	if len(u.Value) > wire.MaxValueLen {
		r.tooLarge.Add(1)
		return false
	}
	pos := r.tail.Load()
	for {
		s := r.slot(pos)
		switch turn := int64(s.seq.Load() - pos); {
		case turn < 0: // not consumed since the last lap
			r.dropped.Add(1)
			return false
		case turn == 0 && r.tail.CompareAndSwap(pos, pos+1):
			s.fill(u)
			s.seq.Store(pos + 1)
			return true
		}
		pos = r.tail.Load() // another producer was faster
	}
}

// NeedsWake reports whether the caller has to wake the consumer: true once for each time that it
// fell asleep. A producer calls it after its push. The consumer may then find nothing yet, when
// another producer is in the middle of an earlier push; that producer gets true in its turn.
//
// No wake-up is lost: a producer publishes and then looks whether the consumer sleeps, the consumer
// announces its sleep and then looks for published updates. Both use sequentially consistent
// atomics (the Go memory model's), so at least one of them sees the other.
func (r *Ring) NeedsWake() bool {
	// The plain load keeps the cache line shared while the consumer is awake.
	return r.sleeping.Load() && r.sleeping.CompareAndSwap(true, false)
}

// Sleep announces that the consumer is about to wait for a wake-up, and reports whether it may:
// false if there is something to drain after all. Only the consumer calls it, before every wait;
// [Ring.Drain] withdraws the announcement.
func (r *Ring) Sleep() bool {
	r.sleeping.Store(true)
	if r.published() {
		r.sleeping.Store(false)
		return false
	}
	return true
}

// Drain passes at most limit updates to f, oldest first, and returns their number. An update and
// its value are valid until f returns; then they are wiped, because sessions are secrets. Only the
// consumer calls it.
func (r *Ring) Drain(limit int, f func(u *Update)) int {
	if r.sleeping.Load() {
		r.sleeping.Store(false)
	}
	n := 0
	for n < limit && r.published() {
		s := r.slot(r.head)
		f(&s.update)
		s.wipe()
		s.seq.Store(r.head + uint64(len(r.slots)))
		r.head++
		n++
	}
	return n
}

// Dropped returns how many updates were refused because the ring was full. Any
// goroutine may call it.
func (r *Ring) Dropped() uint64 { return r.dropped.Load() }

// TooLarge returns how many updates were refused because their value is too long
// to be sent. Any goroutine may call it.
func (r *Ring) TooLarge() uint64 { return r.tooLarge.Load() }

func (r *Ring) slot(pos uint64) *slot { return &r.slots[pos&uint64(len(r.slots)-1)] }

// published reports whether there is an update at head.
func (r *Ring) published() bool { return r.slot(r.head).seq.Load() == r.head+1 }

func (s *slot) fill(u Update) {
	s.buf = append(s.buf[:0], u.Value...)
	s.update = u
	s.update.Value = s.buf
}

func (s *slot) wipe() {
	clear(s.buf) // not update.Value, which f may have changed
	s.update = Update{}
}
