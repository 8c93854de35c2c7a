package http2

// callVerdicts says which frame of a backend a call takes in which state, as verdicts
// does for those of a client. A backend opens no streams, so on an idle one nothing may come. On a
// closed one whatever comes may have been under way when it was reset here: it is
// skipped, at the expense of the connection's budget. HEADERS on an open call are those of
// the response, interim or not, and then its trailers.
var callVerdicts = [forgotten][frameUnknown]verdict{
	idle: {
		frameData: noSuch, frameHeaders: noSuch, framePriority: take, frameRSTStream: noSuch,
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
		frameData: answered, frameHeaders: answered, framePriority: take, frameRSTStream: take,
		frameWindowUpdate: take,
	},
	closed: {
		frameData: skip, frameHeaders: skip, framePriority: take, frameRSTStream: skip,
		frameWindowUpdate: skip,
	},
	resetByUs: {
		frameData: skip, frameHeaders: skip, framePriority: take, frameRSTStream: skip,
		frameWindowUpdate: skip,
	},
}

var answered = verdict{fault: errAnswered}
