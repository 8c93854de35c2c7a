package repeater

import (
	"time"

	"reprise/replicate/wire"
)

const (
	// maxSenders bounds the windows kept: 300 bytes each.
	maxSenders = 4096
	// senderIdle is when a sender's window is forgotten.
	senderIdle = 10 * time.Minute
	// A sender may have so many datagrams of introductions forwarded: enough
	// for a fleet that starts at once.
	introductionsLen   = 256
	introductionsEvery = 100 * time.Millisecond
)

// seen tells what was forwarded before. Whoever records a datagram cannot have it
// multiplied again. The zero value has seen nothing.
type seen struct {
	senders map[wire.ShortID]*sender
}

type sender struct {
	window wire.Window
	last   time.Duration

	left  int // datagrams of introductions
	until time.Duration
}

// isNew reports whether a datagram with such a header is to be forwarded. The
// header's check has been verified.
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
	if now >= from.until {
		from.left, from.until = introductionsLen, now+introductionsEvery
	}
	from.left--
	return from.left >= 0
}

// forget makes room by forgetting senders that are gone.
func (s *seen) forget(now time.Duration) bool {
	for id, from := range s.senders {
		if now-from.last > senderIdle {
			delete(s.senders, id)
		}
	}
	return len(s.senders) < maxSenders
}
