package http2

import "reprise/backend/http1"

// Options bound what a client may make a connection hold and do. They are shared by
// connections and not changed.
type Options struct {
	Limits     *http1.Limits // of heads; all of a request's, and its trailers
	MaxStreams int           // that a client may have open at once
	// StreamWindow and ConnWindow bound the bytes of bodies that were received and not
	// yet consumed, of one stream and of all. Both are at least 65,535, with
	// which RFC 9113 has every connection begin.
	StreamWindow, ConnWindow int
	// ResetBurst and ResetsPerSec bound streams that end before their time: that the
	// client resets (CVE-2023-44487), or makes us reset (CVE-2025-8671).
	ResetBurst, ResetsPerSec int
	// ControlBurst and ControlPerSec bound frames that ask for an answer, or for
	// nothing (CVE-2019-9512 to 9518).
	ControlBurst, ControlPerSec int
}

// fewResets is how many requests a client may have taken back before it counts as one
// that does.
const fewResets = 8

// DefaultOptions returns bounds that browsers and load generators do not meet.
func DefaultOptions(l *http1.Limits) *Options {
	return &Options{
		Limits: l, MaxStreams: 100, StreamWindow: 128 << 10, ConnWindow: 512 << 10,
		ResetBurst: 200, ResetsPerSec: 33, ControlBurst: 1000, ControlPerSec: 200,
	}
}

// Scratch is what a step needs and the next one does not. The connections of one
// goroutine share it.
type Scratch struct {
	head   []byte // of the request being decoded
	cookie []byte // its cookie crumbs
	block  []byte // of the response being encoded
}

// A Conn is a client's connection. It belongs to one goroutine. Of what it returns
// nothing outlives the next call, but streams.
type Conn struct {
	o       *Options
	scratch *Scratch
	phase   connPhase
	now     uint64 // milliseconds

	streams []*Stream  // that are not closed, in the order of their identifiers
	last    uint32     // highest identifier that the client has used
	done    int        // of them: whose response has gone out
	recent  [16]recent // streams closed last, a ring
	oldest  uint8      // in it
	turn    uint32     // stream that was the last to send what waited

	at   uint32      // stream of the frame being taken
	data dataFrame   // whose payload is being consumed
	skip int         // bytes of a payload still to be passed over
	in   headerBlock // being decoded

	recvWindow, sendWindow int32 // of the connection
	credit                 int32 // consumed, and not yet told
	peerWindow             int32 // that the client gives each new stream
	settled                bool  // it has acknowledged our settings
	sizeTold               bool  // our encoder has said that it uses no table

	control, resets budget
	goingAway       goingAway
}

// connPhase is how far a connection is.
type connPhase uint8

const (
	awaitPreface connPhase = iota
	awaitSettings
	serving
	awaitContinuation
	dead // failed: nothing is read or written any more
)

// recent is a stream that was closed not long ago, and how.
type recent struct {
	id    uint32
	state state
}

// A Stream is one request with its response. It is the caller's until it has seen
// the stream's Reset, or ended it by AppendEnd, AppendHead or Reset.
type Stream struct {
	ID    uint32
	Owner any // for the caller's use

	state      state
	isTunnel   bool  // of an extended CONNECT, and it may still come to stand
	refused    bool  // the tunnel it wanted to be
	finished   bool  // the caller has ended the response; what is pending is left
	recvWindow int32 // bytes that the client may still send
	credit     int32 // consumed, and not yet told
	held       int32 // received, and not consumed
	sendWindow int32
	length     int64 // of the request's body that is still to come, -1 if unknown

	pending  []byte // of the response's body: what no window let out
	trailers []byte // to be sent behind it
}

// Held is the number of bytes of the request's body that were received and not consumed.
func (s *Stream) Held() int { return int(s.held) }

// Pending is the number of bytes of the response's body that wait for a window.
func (s *Stream) Pending() int { return len(s.pending) }

// Ended reports whether the response is complete, or the stream is over without one. It may
// still have to be sent.
func (s *Stream) Ended() bool { return s.finished || s.state >= closed }

// left reports whether the caller has nothing to do with the stream any more, though it
// is not closed: what it was given last waits for a window.
func (s *Stream) left() bool { return s.finished && (!s.isTunnel || s.state == halfClosedRemote) }

// isDone reports whether the response has gone out, and the client has not said all.
func (s *Stream) isDone() bool { return s.state == halfClosedLocal && !s.isTunnel }

// New returns a connection that expects the client's preface.
func New(o *Options, s *Scratch) *Conn {
	c := &Conn{
		o: o, scratch: s,
		recvWindow: int32(o.ConnWindow), sendWindow: defaultWindow,
		peerWindow: defaultWindow,
		control:    newBudget(o.ControlBurst, o.ControlPerSec),
		resets:     newBudget(o.ResetBurst, o.ResetsPerSec),
	}
	c.in.start(o.Limits)
	return c
}

// Start appends the preface of a server (RFC 9113, Section 3.4), which goes out first.
func (c *Conn) Start(dst []byte) []byte {
	settings := [...]struct {
		id    uint16
		value int
	}{
		{settingMaxConcurrentStreams, c.o.MaxStreams},
		{settingInitialWindowSize, c.o.StreamWindow},
		{settingMaxHeaderListSize, c.o.Limits.HeadLen},
		{settingEnableConnect, 1},
		{settingNoPriorities, 1},
	}
	dst = appendFrameHeader(dst, 6*len(settings), frameSettings, 0, 0)
	for _, s := range settings {
		dst = appendSetting(dst, s.id, uint32(s.value))
	}
	if more := c.o.ConnWindow - defaultWindow; more > 0 {
		dst = appendWindowUpdate(dst, 0, uint32(more))
	}
	return dst
}

// Tick tells the time, in milliseconds since whenever.
func (c *Conn) Tick(now uint64) { c.now = now }

// Cancels reports whether the client has taken back many requests of late. What such a
// client asks for is better not begun at once: what it takes back in the same breath then
// costs no backend anything.
func (c *Conn) Cancels() bool { return c.resets.left < c.resets.max-fewResets }

// Len returns the number of streams that are not closed, without those whose response has
// gone out.
func (c *Conn) Len() int { return len(c.streams) - c.done }

// Streams calls yield for each stream that is not closed, in the order of their
// identifiers; after Failed for those that were not. None may be opened or closed meanwhile.
func (c *Conn) Streams(yield func(*Stream) bool) {
	for _, s := range c.streams {
		if !yield(s) {
			return
		}
	}
}

// find returns the open stream, nil if there is none, and the state of any.
func (c *Conn) find(id uint32) (*Stream, state) {
	if i, ok := c.index(id); ok {
		return c.streams[i], c.streams[i].state
	}
	switch {
	case id > c.last:
		return nil, idle
	case id%2 == 0:
		return nil, idle // those would be ours to open
	}
	for i := range c.recent {
		if c.recent[i].id == id {
			return nil, c.recent[i].state
		}
	}
	return nil, forgotten
}

func (c *Conn) index(id uint32) (int, bool) {
	// A client mostly speaks of its newest streams.
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
	s := &Stream{
		ID: id, state: open, recvWindow: int32(c.o.StreamWindow), sendWindow: c.peerWindow,
		length: -1,
	}
	c.streams = append(c.streams, s)
	return s
}

// closeStream ends a stream. What it held of the connection's window, its backend will
// not take any more.
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
	if c.data.stream == s {
		c.skip, c.data = c.data.left+c.data.pad, dataFrame{}
	}
	c.remember(s.ID, as)
	held := s.held
	s.held = 0
	return c.giveBack(dst, held)
}

func (c *Conn) remember(id uint32, as state) {
	c.recent[c.oldest] = recent{id, as}
	c.oldest = (c.oldest + 1) % uint8(len(c.recent))
}
