package http2

import (
	"slices"

	"reprise/backend/http1"
)

// BackendOptions bound what a backend can make a connection hold and do. They are immutable;
// connections share them.
type BackendOptions struct {
	Limits   *http1.Limits // of heads; the sum for a response and its trailers
	MaxCalls int           // open at once, if the backend allows that many
	// CallWindow bounds the bytes of a response's body received and not yet consumed. ConnWindow
	// bounds what all calls may send before a window update: it is returned as bytes arrive, so
	// that a call whose client stops does not hold up others. Both are at least 65,535.
	CallWindow, ConnWindow int
	// ControlBurst and ControlPerSec bound frames of no use to any call. Sending to the backend
	// earns some, since it has to acknowledge that.
	ControlBurst, ControlPerSec int
}

// DefaultBackendOptions returns bounds that servers do not reach in normal use.
func DefaultBackendOptions(l *http1.Limits) *BackendOptions {
	return &BackendOptions{
		Limits: l, MaxCalls: 256, CallWindow: 128 << 10, ConnWindow: 1 << 20, ControlBurst: 20_000,
		ControlPerSec: 5_000,
	}
}

// A Backend is a connection to a backend that carries the calls of many clients. It belongs to one
// goroutine. What its methods return is valid until the next call of one, except Calls.
type Backend struct {
	link[Call]
	o *BackendOptions

	calls []*Call // not closed, in the order of their identifiers
	next  uint32  // identifier of the next one
	last  uint32  // highest one that the backend serves, by its GOAWAY

	peerCalls int  // calls that it takes at once
	leaving   bool // we have sent GOAWAY
}

// A Call is one request with its response on a connection to a backend. The caller owns it until it
// has received the call's Reset, or has reset it.
type Call struct {
	ID    uint32
	Owner any // for the caller's use

	state     state
	responded bool // the head of the response has come: HEADERS are trailers
	interim   int  // bytes of interim heads received
	windows
}

// Over reports whether the call is closed: both sides have ended it, or one has reset it.
func (c *Call) Over() bool { return c.state >= closed }

// NewBackend returns a connection that expects the backend's settings. Calls may be opened once
// those have come.
func NewBackend(o *BackendOptions, s *Scratch) *Backend {
	b := &Backend{
		link: newLink[Call](s, o.ConnWindow, newBudget(o.ControlBurst, o.ControlPerSec)),
		o:    o, next: 1, last: maxStreamID, peerCalls: maxStreamID,
	}
	b.phase = awaitSettings
	b.in.start(o.Limits)
	return b
}

// Start appends the preface of a client with prior knowledge (RFC 9113, Section 3.3), which is sent
// first.
func (b *Backend) Start(dst []byte) []byte {
	return b.appendStart(append(dst, preface...),
		setting{settingEnablePush, 0},
		setting{settingInitialWindowSize, b.o.CallWindow},
		setting{settingMaxHeaderListSize, b.o.Limits.HeadLen})
}

// Ready reports whether the backend's settings have come.
func (b *Backend) Ready() bool { return b.phase == serving || b.phase == awaitContinuation }

// Leaves reports whether no further call can be opened.
func (b *Backend) Leaves() bool {
	return b.phase == dead || b.leaving || b.last < maxStreamID || b.next > maxStreamID
}

// Room returns the number of calls that may be opened now.
func (b *Backend) Room() int {
	if !b.Ready() || b.Leaves() {
		return 0
	}
	return max(0, min(b.peerCalls, b.o.MaxCalls)-len(b.calls))
}

// Len returns the number of calls that are not closed.
func (b *Backend) Len() int { return len(b.calls) }

// Call returns the ith of the calls that are not closed, in the order in which they were opened.
func (b *Backend) Call(i int) *Call { return b.calls[i] }

// find returns the call if it is open, else nil, and its state.
func (b *Backend) find(id uint32) (*Call, state) {
	if i, ok := b.index(id); ok {
		return b.calls[i], b.calls[i].state
	}
	if id%2 == 0 || id >= b.next {
		return nil, idle
	}
	return nil, closed
}

func (b *Backend) index(id uint32) (int, bool) {
	return slices.BinarySearchFunc(b.calls, id,
		func(c *Call, id uint32) int { return int(c.ID) - int(id) })
}

func (b *Backend) closeCall(c *Call, as state) {
	if i, ok := b.index(c.ID); ok {
		b.calls = slices.Delete(b.calls, i, i+1)
	}
	c.state, c.held = as, 0
	b.closeData(c)
}
