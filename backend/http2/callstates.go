package http2

// callVerdicts says which frame of a backend a call accepts in which state, as verdicts does for a
// client's. A backend opens no streams, so frames on an idle one are faults. Frames on a closed one
// may have been under way when it was reset here: they are skipped and charged to the connection's
// budget. HEADERS on an open call are those of the response, interim or not, and then its trailers.
var callVerdicts = [forgotten]verdictRow{
	idle: {
		frameData: noSuch, frameHeaders: noSuch, framePriority: take, frameRSTStream: noSuch,
		frameWindowUpdate: noSuch,
	},
	open:            whenOpen,
	halfClosedLocal: whenSent,
	halfClosedRemote: {
		frameData: answered, frameHeaders: answered, framePriority: take, frameRSTStream: take,
		frameWindowUpdate: take,
	},
	closed:    whenReset,
	resetByUs: whenReset,
}

var answered = verdict{fault: errAnswered}
