package http2

// state is the state of a stream (RFC 9113, Section 5.1). Push is not used, so there is no reserved
// state.
type state uint8

const (
	idle state = iota
	open
	halfClosedLocal  // we have ended our side
	halfClosedRemote // the client has ended its side
	closed
	resetByUs // closed; frames that the client sent before it knew are ignored
	forgotten // closed long ago, or skipped by the client
	stateLen
)

// verdict is the treatment of a frame in a state: a fault, or take, or skip.
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

// verdicts says which frame a stream accepts in which state. Frames that are not listed belong to
// no stream, or are not for a client to send; Next refuses them before it looks here. HEADERS on an
// idle stream open it; those on an open one are trailers.
//
// On a closed stream only PRIORITY is always in order; WINDOW_UPDATE and RST_STREAM may have been
// under way. DATA is answered with a reset each time, charged to the budget. HEADERS there mean
// that a client has lost count or is hostile.
var verdicts = [stateLen]verdictRow{
	idle: {
		frameData: noSuch, frameHeaders: take, framePriority: take, frameRSTStream: noSuch,
		frameWindowUpdate: noSuch,
	},
	open:            whenOpen,
	halfClosedLocal: whenSent,
	halfClosedRemote: {
		frameData: ended, frameHeaders: ended, framePriority: take, frameRSTStream: take,
		frameWindowUpdate: take,
	},
	closed: {
		frameData: over, frameHeaders: tooLate, framePriority: take, frameRSTStream: skip,
		frameWindowUpdate: skip,
	},
	resetByUs: whenReset,
	forgotten: {
		frameData: over, frameHeaders: lower, framePriority: take, frameRSTStream: skip,
		frameWindowUpdate: skip,
	},
}

// verdictRow is what becomes of frames in a state.
type verdictRow [frameUnknown]verdict

// These hold for the calls to a backend too (callVerdicts).
var (
	whenOpen = verdictRow{
		frameData: take, frameHeaders: take, framePriority: take, frameRSTStream: take,
		frameWindowUpdate: take,
	}
	whenSent = verdictRow{
		frameData: take, frameHeaders: take, framePriority: take, frameRSTStream: take,
		frameWindowUpdate: skip,
	}
	whenReset = verdictRow{
		frameData: skip, frameHeaders: skip, framePriority: take, frameRSTStream: skip,
		frameWindowUpdate: skip,
	}
)
