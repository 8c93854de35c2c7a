package repeater

import (
	"time"

	"reprise/replicate/wire"
)

const (
	// maxSenders bounds the senders kept: 2 KiB each.
	maxSenders = 4096
	// senderIdle is when a sender's window is forgotten.
	senderIdle = 10 * time.Minute
	// A subscriber may have this many datagrams of introductions forwarded: enough for a fleet that
	// starts at once.
	introductionsLen   = 256
	introductionsEvery = 100 * time.Millisecond
	// For one sender, kind and number, as many datagrams are forwarded as a node repeats a hello,
	// and the first one's number; the newest recentLen of these are kept for a sender.
	introductionTries = 5
	recentLen         = 64
)

// fits reports whether a datagram is no longer than its kind can be: the body of an introduction is
// not checked here, and must not carry anything else.
func fits(kind wire.Kind, length int) bool {
	switch kind {
	case wire.KindRetry:
		return length <= 44
	case wire.KindHello:
		return length <= 92
	case wire.KindWelcome, wire.KindProof:
		return length <= wire.MaxWelcomeLen
	}
	return true
}

// seen records what was forwarded before. An attacker cannot have a recorded datagram multiplied
// again. The zero value is empty.
type seen struct {
	senders map[wire.ShortID]*sender
}

type sender struct {
	window wire.Window
	last   time.Duration

	recent [recentLen]introduction
	next   int // of recent, to be overwritten
}

// introduction is one datagram of an introduction, which may be sent again.
type introduction struct {
	kind   wire.Kind
	epoch  byte
	number uint64
	left   int
}

// budget is the number of datagrams of introductions a subscriber may still send, until then.
type budget struct {
	left  int
	until time.Duration
}

// take reports whether there is one left. The budget is the subscriber's and not the sender's:
// otherwise repeating a recorded header would use up another node's.
func (b *budget) take(now time.Duration) bool {
	if now >= b.until {
		b.left, b.until = introductionsLen, now+introductionsEvery
	}
	b.left--
	return b.left >= 0
}

// isNew reports whether a datagram with such a header is to be forwarded. The header's check has
// been verified.
func (s *seen) isNew(now time.Duration, h wire.Header) bool {
	from := s.senders[h.Sender]
	if from == nil {
		if len(s.senders) >= maxSenders && !s.forget(now) {
			return false
		}
		if s.senders == nil {
			s.senders = make(map[wire.ShortID]*sender)
		}
		from = new(sender)
		s.senders[h.Sender] = from
	}
	from.last = now
	if h.Kind == wire.KindSealed {
		return from.window.Check(h.Counter)
	}
	return from.mayRepeat(h)
}

// mayRepeat reports whether a datagram of an introduction may be forwarded again.
func (f *sender) mayRepeat(h wire.Header) bool {
	for i := range f.recent {
		r := &f.recent[i]
		if r.kind == h.Kind && r.number == h.Counter && r.epoch == h.Epoch {
			r.left--
			return r.left >= 0
		}
	}
	f.recent[f.next] = introduction{h.Kind, h.Epoch, h.Counter, introductionTries - 1}
	f.next = (f.next + 1) % recentLen
	return true
}

// forget makes room by dropping idle senders.
func (s *seen) forget(now time.Duration) bool {
	for id, from := range s.senders {
		if now-from.last > senderIdle {
			delete(s.senders, id)
		}
	}
	return len(s.senders) < maxSenders
}
