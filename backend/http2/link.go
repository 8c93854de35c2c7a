package http2

import (
	"encoding/binary"
	"iter"
)

// link is what a connection with a client and one with a backend have in common: S is a Stream or
// a Call.
type link[S any] struct {
	scratch *Scratch
	phase   connPhase
	now     uint64 // milliseconds

	at   uint32       // stream of the frame being taken
	data dataFrame[S] // whose payload is being consumed
	skip int          // bytes of a payload still to be passed over
	in   headerBlock  // being decoded

	windows          // of the connection; what is held, its streams know
	connWindow int   // that the other end is given at most
	peerWindow int32 // that the other end gives each new stream
	settled    bool  // it has acknowledged our settings
	sizeTold   bool  // our encoder has said that it uses no table
	control    budget
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

// dataFrame is a DATA frame of which a part has come.
type dataFrame[S any] struct {
	stream *S
	left   int // of its data
	pad    int // behind them
	end    bool
}

func newLink[S any](s *Scratch, connWindow int, control budget) link[S] {
	return link[S]{
		scratch: s, connWindow: connWindow, peerWindow: defaultWindow, control: control,
		windows: windows{recvWindow: int32(connWindow), sendWindow: defaultWindow},
	}
}

// setting is a parameter of SETTINGS.
type setting struct {
	id    uint16
	value int
}

// Tick tells the time, in milliseconds since whenever.
func (l *link[S]) Tick(now uint64) { l.now = now }

// appendStart appends the SETTINGS with which a connection begins, and opens its window.
func (l *link[S]) appendStart(dst []byte, settings ...setting) []byte {
	dst = appendFrameHeader(dst, 6*len(settings), frameSettings, 0, 0)
	for _, s := range settings {
		dst = appendSetting(dst, s.id, uint32(s.value))
	}
	if more := l.connWindow - defaultWindow; more > 0 {
		dst = appendWindowUpdate(dst, 0, uint32(more))
	}
	return dst
}

// pay takes from the budget for what costs the other end nothing and no stream has a use for.
func (l *link[S]) pay(n int) *fault {
	if l.control.spend(n, l.now) {
		return nil
	}
	return errControlFlood
}

// onItsStream checks whether such a frame may be of a stream, or of the connection.
func (h *frameHeader) onItsStream() *fault {
	switch h.typ {
	case frameData, frameHeaders, framePriority, frameRSTStream:
		if h.id == 0 {
			return errStreamZero
		}
	case frameSettings, framePing, frameGoAway:
		if h.id != 0 {
			return errNotStreamZero
		}
	}
	return nil
}

// settingsPrice is that of SETTINGS in control frames: they have to be acknowledged, and
// may change the window of each stream.
const settingsPrice = 10

// takeSettings takes what the other end sets (RFC 9113, Section 6.5), and gives others what only
// one of the two may set; acked says that it has acknowledged ours instead. What it says of header
// tables and lists concerns an encoder that uses no table.
func (l *link[S]) takeSettings(h *frameHeader, p []byte, streams iter.Seq[*windows],
	others func(id uint16, value uint32) *fault,
) (acked bool, _ *fault) {
	if h.has(flagAck) {
		switch {
		case h.len != 0:
			return false, errFrameSize
		case l.settled:
			return false, errSettingsAck
		}
		l.settled = true
		return true, nil
	}
	if h.len%6 != 0 {
		return false, errFrameSize
	}
	if f := l.pay(settingsPrice + h.len/6); f != nil {
		return false, f
	}
	window := l.peerWindow
	for ; len(p) > 0; p = p[6:] {
		value := binary.BigEndian.Uint32(p[2:])
		switch id := binary.BigEndian.Uint16(p); id {
		case settingMaxFrameSize:
			if value < 1<<14 || value > 1<<24-1 {
				return false, errSettings
			}
		case settingInitialWindowSize:
			if value > maxWindow {
				return false, errInitialWindow
			}
			window = int32(value) // of several, the last one counts
		default:
			if f := others(id, value); f != nil {
				return false, f
			}
		}
	}
	if f := l.onInitialWindow(window, streams); f != nil {
		return false, f
	}
	l.phase = serving
	return false, nil
}

// onInitialWindow changes the windows of all streams (RFC 9113, Section 6.9.2). They may
// become negative.
func (l *link[S]) onInitialWindow(value int32, streams iter.Seq[*windows]) *fault {
	delta := int64(value) - int64(l.peerWindow)
	for w := range streams {
		if int64(w.sendWindow)+delta > maxWindow {
			return errInitialWindow
		}
	}
	for w := range streams {
		w.sendWindow += int32(delta)
	}
	l.peerWindow = value
	return nil
}

// onConnWindow opens the connection's window by a WINDOW_UPDATE.
func (l *link[S]) onConnWindow(increment uint32) *fault {
	if increment == 0 {
		return errZeroIncrement
	}
	if !l.widen(increment) {
		return errConnWindow
	}
	return nil
}

// countPart counts the CONTINUATION frames of a header block.
func (l *link[S]) countPart() *fault {
	if l.in.parts++; l.in.parts > maxParts {
		return errBlockParts
	}
	return nil
}

// fragment decodes a part of a header block, and says whether the block is complete.
func (l *link[S]) fragment(h *frameHeader, p []byte) (complete bool, _ *fault) {
	complete = h.has(flagEndHeaders)
	if f := l.in.decode(p, complete); f != nil {
		return false, f
	}
	l.phase = awaitContinuation
	if complete {
		l.phase = serving
	}
	return complete, nil
}

// closeData passes over what is left of a DATA frame of a stream that is closed.
func (l *link[S]) closeData(s *S) {
	if l.data.stream == s {
		l.skip, l.data = l.data.left+l.data.pad, dataFrame[S]{}
	}
}

// lengths reads the beginning of a DATA frame, whose payload begins with p: how long its data are
// and what is behind them, and how much is used with the frame's header; nothing if p is too short.
func (h *frameHeader) lengths(p []byte) (used, data, pad int, _ *fault) {
	if !h.has(flagPadded) {
		return frameHeaderLen, h.len, 0, nil
	}
	if h.len == 0 {
		return 0, 0, 0, errFrameSize
	}
	if len(p) == 0 {
		return 0, 0, 0, nil
	}
	pad = int(p[0])
	if data = h.len - 1 - pad; data < 0 {
		return 0, 0, 0, errPadding
	}
	return frameHeaderLen + 1, data, pad, nil
}
