package http2

// Code is an error code of RFC 9113, Section 7.
type Code uint32

// The codes that are sent or distinguished here.
const (
	NoError          Code = 0x0
	ProtocolError    Code = 0x1
	InternalError    Code = 0x2
	FlowControlError Code = 0x3
	StreamClosed     Code = 0x5
	FrameSizeError   Code = 0x6
	RefusedStream    Code = 0x7
	Cancel           Code = 0x8
	CompressionError Code = 0x9
	EnhanceYourCalm  Code = 0xb
)

// A fault is a peer's violation of the protocol, which ends the connection, or one stream. All are
// made in advance, so that a flood of them costs no allocation; the reasons are a closed list, for
// counters.
type fault struct {
	code   Code
	stream bool // it ends only the stream
	reason string
}

func connFault(code Code, reason string) *fault   { return &fault{code, false, reason} }
func streamFault(code Code, reason string) *fault { return &fault{code, true, reason} }

var (
	errPreface       = connFault(ProtocolError, "no preface")
	errFirstFrame    = connFault(ProtocolError, "first frame is not SETTINGS")
	errFrameLen      = connFault(FrameSizeError, "frame too long")
	errFrameSize     = connFault(FrameSizeError, "malformed frame")
	errStreamZero    = connFault(ProtocolError, "frame on stream 0")
	errNotStreamZero = connFault(ProtocolError, "frame not on stream 0")
	errIdle          = connFault(ProtocolError, "frame on an idle stream")
	errStreamID      = connFault(ProtocolError, "stream identifier out of order")
	errClosed        = connFault(StreamClosed, "HEADERS on a closed stream")
	errPadding       = connFault(ProtocolError, "padding longer than its frame")
	errPush          = connFault(ProtocolError, "PUSH_PROMISE of a client")
	errContinuation  = connFault(ProtocolError, "CONTINUATION without a header block")
	errInterrupted   = connFault(ProtocolError, "header block interrupted")
	errSettingsAck   = connFault(ProtocolError, "SETTINGS acknowledged twice")
	errSettings      = connFault(ProtocolError, "setting out of range")
	errInitialWindow = connFault(FlowControlError, "initial window out of range")
	errConnWindow    = connFault(FlowControlError, "connection window overflow")
	errOverrun       = connFault(FlowControlError, "more data than the connection's window")
	errHPACK         = connFault(CompressionError, "malformed header block")
	errBlockLen      = connFault(EnhanceYourCalm, "header block too long")
	errBlockParts    = connFault(EnhanceYourCalm, "too many CONTINUATION frames")
	errControlFlood  = connFault(EnhanceYourCalm, "flood of control frames")
	errResetFlood    = connFault(EnhanceYourCalm, "flood of stream resets")
	errZeroIncrement = connFault(ProtocolError, "window increment of 0")

	errStreamClosed    = streamFault(StreamClosed, "frame on a closed stream")
	errHalfClosed      = streamFault(StreamClosed, "frame after the end of a request")
	errStreamIncrement = streamFault(ProtocolError, "window increment of 0")
	errStreamWindow    = streamFault(FlowControlError, "stream window overflow")
	errStreamOverrun   = streamFault(FlowControlError, "more data than the stream's window")
	errSelfDependency  = streamFault(ProtocolError, "stream depends on itself")
	errPriorityLen     = streamFault(FrameSizeError, "malformed PRIORITY")
	errTooMany         = streamFault(RefusedStream, "too many streams")
	errGoingAway       = streamFault(RefusedStream, "request after GOAWAY")
	errMalformed       = streamFault(ProtocolError, "malformed request")
	errTrailers        = streamFault(ProtocolError, "malformed trailers")
	errLength          = streamFault(ProtocolError, "body is not as long as Content-Length says")

	// Faults of backends only.
	errPushed       = connFault(ProtocolError, "PUSH_PROMISE though it is off")
	errNotHTTP2     = connFault(ProtocolError, "backend does not speak HTTP/2")
	errGoAwayLater  = connFault(ProtocolError, "GOAWAY takes back an earlier one")
	errAnswered     = streamFault(StreamClosed, "frame after the end of a response")
	errAnswerHead   = streamFault(ProtocolError, "malformed response")
	errAnswerLen    = streamFault(EnhanceYourCalm, "head of a response too long")
	errAnswerFields = streamFault(EnhanceYourCalm, "too many fields in a response")
	errNoAnswerHead = streamFault(ProtocolError, "DATA before the head of a response")
	errInterimEnd   = streamFault(ProtocolError, "interim response that ends a stream")
	errInterimLen   = streamFault(EnhanceYourCalm, "interim responses too long")
	errAnswerTail   = streamFault(ProtocolError, "malformed trailers of a response")
)
