package http2

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestBrokenFrames checks the connection errors of single frames. It is long because it is a
// table.
func TestBrokenFrames(t *testing.T) {
	raw := func(typ http2.FrameType, flags http2.Flags, id uint32, payload ...byte) func(*peer) {
		return func(p *peer) { _ = p.framer.WriteRawFrame(typ, flags, id, payload) }
	}
	setting := func(id uint16, value uint32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, id), value)
	}
	for _, tc := range []struct {
		name string
		send func(*peer)
		want string
	}{
		{"a frame of 16 KiB and a byte", raw(0xbb, 0, 1, make([]byte, maxFrameLen+1)...), "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"DATA on stream 0", raw(http2.FrameData, 0, 0, 1), "GOAWAY 0 PROTOCOL_ERROR"},
		{"HEADERS on stream 0", raw(http2.FrameHeaders, 4, 0, p400...), "GOAWAY 0 PROTOCOL_ERROR"},
		{"HEADERS on stream 2", raw(http2.FrameHeaders, 4, 2, p400...), "GOAWAY 0 PROTOCOL_ERROR"},
		{"HEADERS with too much padding", raw(http2.FrameHeaders, 0xc, 1, 9, 0x82), "GOAWAY 0 PROTOCOL_ERROR"},
		{"HEADERS without their padding's length", raw(http2.FrameHeaders, 0xc, 1), "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"HEADERS without their priority", raw(http2.FrameHeaders, 0x24, 1, 0, 0), "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"HEADERS that depend on themselves", raw(http2.FrameHeaders, 0x25, 1, append([]byte{0, 0, 0, 1, 1}, p400...)...), "RST_STREAM 1 PROTOCOL_ERROR"},
		{"DATA with too much padding", func(p *peer) { p.post(1); raw(http2.FrameData, 8, 1, 9, 1)(p) }, "GOAWAY 1 PROTOCOL_ERROR"},
		{"DATA without its padding's length", func(p *peer) { p.post(1); raw(http2.FrameData, 8, 1)(p) }, "GOAWAY 1 FRAME_SIZE_ERROR"},
		{"PRIORITY of 4 bytes", raw(http2.FramePriority, 0, 1, 0, 0, 0, 0), "RST_STREAM 1 FRAME_SIZE_ERROR"},
		{"PRIORITY on stream 0", raw(http2.FramePriority, 0, 0, 0, 0, 0, 0, 0), "GOAWAY 0 PROTOCOL_ERROR"},
		{"RST_STREAM on stream 0", raw(http2.FrameRSTStream, 0, 0, 0, 0, 0, 0), "GOAWAY 0 PROTOCOL_ERROR"},
		{"RST_STREAM of 3 bytes", func(p *peer) { p.get(1); raw(http2.FrameRSTStream, 0, 1, 0, 0, 0)(p) }, "GOAWAY 1 FRAME_SIZE_ERROR"},
		{"SETTINGS on stream 1", raw(http2.FrameSettings, 0, 1), "GOAWAY 0 PROTOCOL_ERROR"},
		{"SETTINGS of 5 bytes", raw(http2.FrameSettings, 0, 0, 0, 0, 0, 0, 0), "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"acknowledgement with a payload", raw(http2.FrameSettings, 1, 0, 0, 0, 0, 0, 0, 0), "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"two acknowledgements", func(p *peer) { _ = p.framer.WriteSettingsAck(); _ = p.framer.WriteSettingsAck() }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"push of 2", raw(http2.FrameSettings, 0, 0, setting(2, 2)...), "GOAWAY 0 PROTOCOL_ERROR"},
		{"a window of 2^31", raw(http2.FrameSettings, 0, 0, setting(4, 1<<31)...), "GOAWAY 0 FLOW_CONTROL_ERROR"},
		{"frames of 16,383", raw(http2.FrameSettings, 0, 0, setting(5, 16383)...), "GOAWAY 0 PROTOCOL_ERROR"},
		{"frames of 2^24", raw(http2.FrameSettings, 0, 0, setting(5, 1<<24)...), "GOAWAY 0 PROTOCOL_ERROR"},
		{"PUSH_PROMISE", raw(http2.FramePushPromise, 4, 1, 0, 0, 0, 2), "GOAWAY 0 PROTOCOL_ERROR"},
		{"PING on stream 1", raw(http2.FramePing, 0, 1, make([]byte, 8)...), "GOAWAY 0 PROTOCOL_ERROR"},
		{"PING of 7 bytes", raw(http2.FramePing, 0, 0, make([]byte, 7)...), "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"GOAWAY on stream 1", raw(http2.FrameGoAway, 0, 1, make([]byte, 8)...), "GOAWAY 0 PROTOCOL_ERROR"},
		{"GOAWAY of 7 bytes", raw(http2.FrameGoAway, 0, 0, make([]byte, 7)...), "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"WINDOW_UPDATE of 3 bytes", raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 0), "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"connection window by 0", raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 0), "GOAWAY 0 PROTOCOL_ERROR"},
		{"connection window overflow", raw(http2.FrameWindowUpdate, 0, 0, 0x7f, 0xff, 0xff, 0xff), "GOAWAY 0 FLOW_CONTROL_ERROR"},
		{"CONTINUATION alone", raw(http2.FrameContinuation, 4, 1), "GOAWAY 0 PROTOCOL_ERROR"},
		{
			"CONTINUATION of another stream",
			func(p *peer) {
				raw(http2.FrameHeaders, 0, 1, 0x82)(p)
				raw(http2.FrameContinuation, 4,
					3)(p)
			}, "GOAWAY 1 PROTOCOL_ERROR",
		},
		{"PING in a header block", func(p *peer) {
			raw(http2.FrameHeaders, 0, 1, 0x82)(p)
			raw(http2.FramePing, 0, 0, make([]byte, 8)...)(p)
		}, "GOAWAY 1 PROTOCOL_ERROR"},
		{"an unknown frame in a header block", func(p *peer) {
			raw(http2.FrameHeaders, 0, 1, 0x82)(p)
			raw(0xbb, 0, 1)(p)
		}, "GOAWAY 1 PROTOCOL_ERROR"},
		{"a lower stream", func(p *peer) { p.get(5); p.get(3) }, "GOAWAY 5 PROTOCOL_ERROR"},
		{"a window overflow by settings", func(p *peer) {
			p.get(1)
			_ = p.framer.WriteWindowUpdate(1, maxWindow-defaultWindow)
			raw(http2.FrameSettings, 0, 0, setting(4, defaultWindow+1)...)(p)
		}, "GOAWAY 1 FLOW_CONTROL_ERROR"},
		{"more data than the stream's window", func(p *peer) {
			p.post(1)
			for range 128/16 + 1 {
				p.data(1, false, strings.Repeat("x", maxFrameLen))
			}
		}, "RST_STREAM 1 FLOW_CONTROL_ERROR"},
		{"more data than the connection's window", func(p *peer) {
			for id := uint32(1); id < 11; id += 2 {
				p.post(id)
				for range 128 / 16 {
					p.data(id, false, strings.Repeat("x", maxFrameLen))
				}
			}
		}, "GOAWAY 9 FLOW_CONTROL_ERROR"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeer(t, nil)
			tc.send(p)
			p.run()
			if p.last() != tc.want {
				t.Errorf("got %q, want %q", p.last(), tc.want)
			}
		})
	}
}
