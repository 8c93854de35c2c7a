package http2

import (
	"slices"

	"reprise/backend/http1"
)

// BackendOptions bound what a backend may make a connection hold and do. They are shared
// by connections and not changed.
type BackendOptions struct {
	Limits   *http1.Limits // of heads; all of a response's, and its trailers
	MaxCalls int           // open at once, if the backend allows as many
	// CallWindow bounds the bytes of a response's body that were received and not yet
	// consumed. ConnWindow is what all calls may send before they are heard of again: it is
	// given back as bytes come, so that a call whose client stops holds up no other. Both are at
	// least 65,535.
	CallWindow, ConnWindow int
	// ControlBurst and ControlPerSec bound frames that no call has a use for. What is sent to
	// the backend earns some, since it has to acknowledge that.
	ControlBurst, ControlPerSec int
}

// DefaultBackendOptions returns bounds that servers do not meet.
func DefaultBackendOptions(l *http1.Limits) *BackendOptions {
	return &BackendOptions{
		Limits: l, MaxCalls: 256, CallWindow: 128 << 10, ConnWindow: 1 << 20, ControlBurst: 20_000,
		ControlPerSec: 5_000,
	}
}

// A Backend is a connection to a backend, which answers the calls of many clients on it.
// It belongs to one goroutine. Of what it returns nothing outlives the next call of a method, but
// Calls.
type Backend struct {
	o       *BackendOptions
	scratch *Scratch
	phase   connPhase
	now     uint64 // milliseconds

	calls []*Call // that are not closed, in the order of their identifiers
	next  uint32  // identifier of the next one
	last  uint32  // highest one that the backend serves, by its GOAWAY

	at   uint32    // stream of the frame being taken
	data callFrame // whose payload is being consumed
	skip int       // bytes of a payload still to be passed over
	in   headerBlock

	recvWindow, sendWindow int32 // of the connection
	credit                 int32 // received, and not yet told
	peerWindow             int32 // that the backend gives each new call
	peerCalls              int   // that it takes at once
	settled                bool  // it has acknowledged our settings
	sizeTold               bool  // our encoder has said that it uses no table
	leaving                bool  // we have said GOAWAY

	control budget
}

// A Call is one request with its response on a connection to a backend. It is the caller's
// until it has seen the call's Reset, or has reset it.
type Call struct {
	ID    uint32
	Owner any // for the caller's use

	state      state
	responded  bool  // the head of the response has come: HEADERS are trailers
	interim    int   // bytes of heads of interim responses that have come
	recvWindow int32 // bytes that the backend may still send
	credit     int32 // consumed, and not yet told
	held       int32 // received, and not consumed
	sendWindow int32
}

// callFrame is a DATA frame of which a part has come.
type callFrame struct {
	call *Call
	left int // of its data
	pad  int // behind them
	end  bool
}

// Held is the number of bytes of the response's body that were received and not consumed.
func (c *Call) Held() int { return int(c.held) }

// Over reports whether the call is closed: both have said all, or one has reset it.
func (c *Call) Over() bool { return c.state >= closed }

// NewBackend returns a connection that expects the backend's settings. Calls may be opened
// when they have come.
func NewBackend(o *BackendOptions, s *Scratch) *Backend {
	b := &Backend{
		o: o, scratch: s, phase: awaitSettings, next: 1, last: maxStreamID,
		recvWindow: int32(o.ConnWindow), sendWindow: defaultWindow, peerWindow: defaultWindow,
		peerCalls: maxStreamID,
		control:   newBudget(o.ControlBurst, o.ControlPerSec),
	}
	b.in.start(o.Limits)
	return b
}

// Start appends the preface of a client with prior knowledge (RFC 9113, Section 3.3), which
// goes out first.
func (b *Backend) Start(dst []byte) []byte {
	settings := [...]struct {
		id    uint16
		value int
	}{
		{settingEnablePush, 0},
		{settingInitialWindowSize, b.o.CallWindow},
		{settingMaxHeaderListSize, b.o.Limits.HeadLen},
	}
	dst = append(dst, preface...)
	dst = appendFrameHeader(dst, 6*len(settings), frameSettings, 0, 0)
	for _, s := range settings {
		dst = appendSetting(dst, s.id, uint32(s.value))
	}
	if more := b.o.ConnWindow - defaultWindow; more > 0 {
		dst = appendWindowUpdate(dst, 0, uint32(more))
	}
	return dst
}

// Tick tells the time, in milliseconds since whenever.
func (b *Backend) Tick(now uint64) { b.now = now }

// Ready reports whether the backend's settings have come.
func (b *Backend) Ready() bool { return b.phase == serving || b.phase == awaitContinuation }

// Leaves reports whether no call can be opened any more.
func (b *Backend) Leaves() bool {
	return b.phase == dead || b.leaving || b.last < maxStreamID || b.next > maxStreamID
}

// Room returns how many calls may be opened now.
func (b *Backend) Room() int {
	if !b.Ready() || b.Leaves() {
		return 0
	}
	return max(0, min(b.peerCalls, b.o.MaxCalls)-len(b.calls))
}

// Len returns the number of calls that are not closed.
func (b *Backend) Len() int { return len(b.calls) }

// Call returns the ith of the calls that are not closed, in the order in which they were
// opened.
func (b *Backend) Call(i int) *Call { return b.calls[i] }

// find returns the open call, nil if there is none, and the state of any.
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
	if b.data.call == c {
		b.skip, b.data = b.data.left+b.data.pad, callFrame{}
	}
}
