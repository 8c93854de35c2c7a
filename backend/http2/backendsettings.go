package http2

import "encoding/binary"

// onSettings handles the backend's settings (RFC 9113, Section 6.5). Those of header tables and
// lists do not matter to an encoder that uses no table.
func (b *Backend) onSettings(dst []byte, h *frameHeader, p []byte) ([]byte, CallEvent, *fault) {
	if h.has(flagAck) {
		switch {
		case h.len != 0:
			return dst, CallEvent{}, errFrameSize
		case b.settled:
			return dst, CallEvent{}, errSettingsAck
		}
		b.settled = true
		return dst, CallEvent{}, nil
	}
	if h.len%6 != 0 {
		return dst, CallEvent{}, errFrameSize
	}
	if f := b.pay(settingsPrice + h.len/6); f != nil {
		return dst, CallEvent{}, f
	}
	window := b.peerWindow
	for ; len(p) > 0; p = p[6:] {
		value := binary.BigEndian.Uint32(p[2:])
		switch binary.BigEndian.Uint16(p) {
		case settingEnablePush:
			if value != 0 { // a server must not enable push
				return dst, CallEvent{}, errSettings
			}
		case settingMaxConcurrentStreams:
			b.peerCalls = int(min(value, maxStreamID))
		case settingMaxFrameSize:
			if value < 1<<14 || value > 1<<24-1 {
				return dst, CallEvent{}, errSettings
			}
		case settingInitialWindowSize:
			if value > maxWindow {
				return dst, CallEvent{}, errInitialWindow
			}
			window = int32(value) // of several, the last one counts
		}
	}
	if f := b.onInitialWindow(window); f != nil {
		return dst, CallEvent{}, f
	}
	b.phase = serving
	return appendFrameHeader(dst, 0, frameSettings, flagAck, 0), CallEvent{Kind: Settled}, nil
}

// onInitialWindow changes the windows of all calls (RFC 9113, Section 6.9.2). They may become
// negative.
func (b *Backend) onInitialWindow(value int32) *fault {
	delta := int64(value) - int64(b.peerWindow)
	for _, c := range b.calls {
		if int64(c.sendWindow)+delta > maxWindow {
			return errInitialWindow
		}
	}
	for _, c := range b.calls {
		c.sendWindow += int32(delta)
	}
	b.peerWindow = value
	return nil
}

func (b *Backend) onConnWindow(increment uint32) (CallEvent, *fault) {
	if increment == 0 {
		return CallEvent{}, errZeroIncrement
	}
	if int64(b.sendWindow)+int64(increment) > maxWindow {
		return CallEvent{}, errConnWindow
	}
	b.sendWindow += int32(increment)
	return CallEvent{Kind: Window}, nil
}

func (c *Call) onWindow(increment uint32) (CallEvent, *fault) {
	if increment == 0 {
		return CallEvent{}, errStreamIncrement
	}
	if int64(c.sendWindow)+int64(increment) > maxWindow {
		return CallEvent{}, errStreamWindow
	}
	c.sendWindow += int32(increment)
	return CallEvent{Kind: Window, Call: c}, nil
}

// onGoAway records which calls are still served (RFC 9113, Section 6.8). A backend may send
// several, each for fewer calls.
func (b *Backend) onGoAway(h *frameHeader, p []byte) *fault {
	if h.len < 8 {
		return errFrameSize
	}
	last := binary.BigEndian.Uint32(p) & maxStreamID
	if last > b.last {
		return errGoAwayLater
	}
	b.last, b.leaving = last, true
	return b.pay(1)
}
