package http2

import "encoding/binary"

// onSettings takes the backend's settings.
func (b *Backend) onSettings(dst []byte, h *frameHeader, p []byte) ([]byte, CallEvent, *fault) {
	acked, f := b.takeSettings(h, p, b.callWindows, func(id uint16, value uint32) *fault {
		switch id {
		case settingEnablePush:
			if value != 0 { // a server must not turn on what is not for it to do
				return errSettings
			}
		case settingMaxConcurrentStreams:
			b.peerCalls = int(min(value, maxStreamID))
		}
		return nil
	})
	if f != nil || acked {
		return dst, CallEvent{}, f
	}
	return appendFrameHeader(dst, 0, frameSettings, flagAck, 0), CallEvent{Kind: Settled}, nil
}

func (b *Backend) callWindows(yield func(*windows) bool) {
	for _, c := range b.calls {
		if !yield(&c.windows) {
			return
		}
	}
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
