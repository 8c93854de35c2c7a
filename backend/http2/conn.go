package http2

import "reprise/backend/http1"

// Options bound what a client can make a connection hold and do. They are immutable; connections
// share them.
type Options struct {
	Limits     *http1.Limits // of heads; the sum for a request and its trailers
	MaxStreams int           // that a client may have open at once
	// StreamWindow and ConnWindow bound the bytes of bodies received and not yet consumed, of one
	// stream and of all. Both are at least 65,535, the initial value of RFC 9113.
	StreamWindow, ConnWindow int
	// ResetBurst and ResetsPerSec bound streams that end early: those that the client resets
	// (CVE-2023-44487), or makes us reset (CVE-2025-8671).
	ResetBurst, ResetsPerSec int
	// ControlBurst and ControlPerSec bound frames that require an answer, or have no use
	// (CVE-2019-9512 to 9518).
	ControlBurst, ControlPerSec int
}

// fewResets is how many requests a client may cancel before Cancels reports true.
const fewResets = 8

// DefaultOptions returns bounds that browsers and load generators do not reach.
func DefaultOptions(l *http1.Limits) *Options {
	return &Options{
		Limits: l, MaxStreams: 100, StreamWindow: 128 << 10, ConnWindow: 512 << 10,
		ResetBurst: 200, ResetsPerSec: 33, ControlBurst: 1000, ControlPerSec: 200,
	}
}

// Scratch is memory that is needed only within a step. The connections of one goroutine share it.
type Scratch struct {
	head   []byte // of the request being decoded
	cookie []byte // its cookie crumbs
	block  []byte // of the response being encoded
}

// A Conn is a client's connection. It belongs to one goroutine. What its methods return is valid
// until the next call, except Streams.
type Conn struct {
	link[Stream]
	o *Options

	streams []*Stream  // not closed, in the order of their identifiers
	last    uint32     // highest identifier that the client has used
	done    int        // number of them whose response has gone out
	recent  [16]recent // streams closed last, a ring
	oldest  uint8      // in it
	turn    uint32     // stream that was the last to send pending data

	resets    budget
	goingAway goingAway
}

// recent is a recently closed stream, and how it was closed.
type recent struct {
	id    uint32
	state state
}

// A Stream is one request with its response. The caller owns it until it has received the stream's
// Reset, or ended it by AppendEnd, AppendHead or Reset.
type Stream struct {
	ID    uint32
	Owner any // for the caller's use

	state    state
	isTunnel bool // an extended CONNECT whose tunnel may still be established
	refused  bool // a refused extended CONNECT
	finished bool // the caller has ended the response; pending data is left
	windows
	length int64 // of the request's body that is still to come, -1 if unknown

	pending  []byte // of the response's body: what the windows do not allow yet
	trailers []byte // to be sent behind it
}

// Pending is the number of bytes of the response's body that wait for a window.
func (s *Stream) Pending() int { return len(s.pending) }

// Ended reports whether the response is complete, or the stream ended without one. It may still
// have to be sent.
func (s *Stream) Ended() bool { return s.finished || s.state >= closed }

// left reports whether the caller is done with the stream although it is not closed: its last data
// wait for a window.
func (s *Stream) left() bool { return s.finished && (!s.isTunnel || s.state == halfClosedRemote) }

// isDone reports whether the response has gone out before the client ended its request.
func (s *Stream) isDone() bool { return s.state == halfClosedLocal && !s.isTunnel }

// New returns a connection that expects the client's preface.
func New(o *Options, s *Scratch) *Conn {
	c := &Conn{
		link: newLink[Stream](s, o.ConnWindow, newBudget(o.ControlBurst, o.ControlPerSec)),
		o:    o, resets: newBudget(o.ResetBurst, o.ResetsPerSec),
	}
	c.in.start(o.Limits)
	return c
}

// Start appends the preface of a server (RFC 9113, Section 3.4), which is sent first.
func (c *Conn) Start(dst []byte) []byte {
	return c.appendStart(dst,
		setting{settingMaxConcurrentStreams, c.o.MaxStreams},
		setting{settingInitialWindowSize, c.o.StreamWindow},
		setting{settingMaxHeaderListSize, c.o.Limits.HeadLen},
		setting{settingEnableConnect, 1},
		setting{settingNoPriorities, 1})
}

// Cancels reports whether the client has cancelled many requests of late. The owner should put off
// beginning such a client's requests: one that is cancelled at once then costs no backend anything.
func (c *Conn) Cancels() bool { return c.resets.left < c.resets.max-fewResets }

// Len returns the number of streams that are not closed, without those whose response has gone out.
func (c *Conn) Len() int { return len(c.streams) - c.done }

// Streams calls yield for each stream that is not closed, in the order of their identifiers; after
// Failed for those that were not. No stream may be opened or closed meanwhile.
func (c *Conn) Streams(yield func(*Stream) bool) {
	for _, s := range c.streams {
		if !yield(s) {
			return
		}
	}
}

// find returns the stream if it is open, else nil, and its state.
func (c *Conn) find(id uint32) (*Stream, state) {
	if i, ok := c.index(id); ok {
		return c.streams[i], c.streams[i].state
	}
	switch {
	case id > c.last:
		return nil, idle
	case id%2 == 0:
		return nil, idle // we would have to open those
	}
	for i := range c.recent {
		if c.recent[i].id == id {
			return nil, c.recent[i].state
		}
	}
	return nil, forgotten
}

func (c *Conn) index(id uint32) (int, bool) {
	// A client's frames mostly concern its newest streams.
	for i := len(c.streams) - 1; i >= 0 && i >= len(c.streams)-4; i-- {
		if c.streams[i].ID == id {
			return i, true
		}
	}
	lo, hi := 0, len(c.streams)
	for lo < hi {
		mid := (lo + hi) / 2
		if c.streams[mid].ID < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(c.streams) && c.streams[lo].ID == id
}

// openStream makes the stream of a request.
func (c *Conn) openStream(id uint32) *Stream {
	s := &Stream{ID: id, state: open, length: -1}
	s.recvWindow, s.sendWindow = int32(c.o.StreamWindow), c.peerWindow
	c.streams = append(c.streams, s)
	return s
}

// closeStream ends a stream and returns its part of the connection's window, which its backend will
// not consume any more.
func (c *Conn) closeStream(dst []byte, s *Stream, as state) []byte {
	if i, ok := c.index(s.ID); ok {
		copy(c.streams[i:], c.streams[i+1:])
		c.streams[len(c.streams)-1] = nil
		c.streams = c.streams[:len(c.streams)-1]
	}
	if s.isDone() {
		c.done--
	}
	s.state = as
	s.pending, s.trailers = nil, nil
	c.closeData(s)
	c.remember(s.ID, as)
	held := s.held
	s.held = 0
	return c.giveBack(dst, held)
}

func (c *Conn) remember(id uint32, as state) {
	c.recent[c.oldest] = recent{id, as}
	c.oldest = (c.oldest + 1) % uint8(len(c.recent))
}
