package http2

// state is the state of a stream (RFC 9113, Section 5.1). There is no push, hence no
// reserved stream.
type state uint8

const (
	idle state = iota
	open
	halfClosedLocal  // we have sent all
	halfClosedRemote // the client has
	closed
	resetByUs // closed, and what the client sent before it knew is ignored
	forgotten // closed long ago, or passed over
	stateLen
)

// verdict is what becomes of a frame in a state: a fault, or take, or skip.
type verdict struct {
	skip  bool // and count it
	fault *fault
}

var (
	take    = verdict{}
	skip    = verdict{skip: true}
	noSuch  = verdict{fault: errIdle}
	ended   = verdict{fault: errHalfClosed}
	over    = verdict{fault: errStreamClosed}
	tooLate = verdict{fault: errClosed}
	lower   = verdict{fault: errStreamID}
)

// verdicts says which frame a stream takes in which state. Frames that are not
// listed belong to no stream, or are not for a client to send; Next refuses them
// before it looks here. HEADERS on an idle stream open it; those on an open one are
// trailers.
//
// On a closed stream only PRIORITY is always in order; WINDOW_UPDATE and RST_STREAM may
// have been under way. Of DATA the stream is told that it is closed, each time at the
// expense of its budget. HEADERS there mean that a client lost count, or tries to.
var verdicts = [stateLen][frameUnknown]verdict{
	idle: {
		frameData: noSuch, frameHeaders: take, framePriority: take, frameRSTStream: noSuch,
		frameWindowUpdate: noSuch,
	},
	open: {
		frameData: take, frameHeaders: take, framePriority: take, frameRSTStream: take,
		frameWindowUpdate: take,
	},
	halfClosedLocal: {
		frameData: take, frameHeaders: take, framePriority: take, frameRSTStream: take,
		frameWindowUpdate: skip,
	},
	halfClosedRemote: {
		frameData: ended, frameHeaders: ended, framePriority: take, frameRSTStream: take,
		frameWindowUpdate: take,
	},
	closed: {
		frameData: over, frameHeaders: tooLate, framePriority: take, frameRSTStream: skip,
		frameWindowUpdate: skip,
	},
	resetByUs: {
		frameData: skip, frameHeaders: skip, framePriority: take, frameRSTStream: skip,
		frameWindowUpdate: skip,
	},
	forgotten: {
		frameData: over, frameHeaders: lower, framePriority: take, frameRSTStream: skip,
		frameWindowUpdate: skip,
	},
}
