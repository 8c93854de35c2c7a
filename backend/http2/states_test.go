package http2

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestStates sends every frame that belongs to a stream in each of its states, and compares the
// outcome with RFC 9113, Section 5.1, written down independently here.
func TestStates(t *testing.T) {
	const (
		taken   = "taken"
		ignored = "ignored"
	)
	frames := []string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "WINDOW_UPDATE"}
	for _, tc := range []struct {
		state state
		want  [5]string // in the order of frames
	}{
		{idle, [5]string{"GOAWAY PROTOCOL_ERROR", taken, ignored, "GOAWAY PROTOCOL_ERROR", "GOAWAY PROTOCOL_ERROR"}},
		{open, [5]string{taken, taken, ignored, taken, taken}},
		{halfClosedLocal, [5]string{taken, taken, ignored, taken, ignored}},
		{halfClosedRemote, [5]string{"RST_STREAM STREAM_CLOSED", "RST_STREAM STREAM_CLOSED", ignored, taken, taken}},
		{closed, [5]string{"RST_STREAM STREAM_CLOSED", "GOAWAY STREAM_CLOSED", ignored, ignored, ignored}},
		{resetByUs, [5]string{ignored, ignored, ignored, ignored, ignored}},
		{forgotten, [5]string{"RST_STREAM STREAM_CLOSED", "GOAWAY PROTOCOL_ERROR", ignored, ignored, ignored}},
	} {
		for i, frame := range frames {
			t.Run(fmt.Sprintf("%d/%s", tc.state, frame), func(t *testing.T) {
				p := newPeer(t, nil)
				id := reach(p, tc.state)
				p.got, p.events = nil, nil
				switch frame {
				case "DATA":
					p.data(id, false, "x")
				case "HEADERS":
					p.headers(id, true, headersFor(tc.state)...)
				case "PRIORITY":
					_ = p.framer.WritePriority(id, http2.PriorityParam{StreamDep: 101, Weight: 1})
				case "RST_STREAM":
					_ = p.framer.WriteRSTStream(id, http2.ErrCodeCancel)
				case "WINDOW_UPDATE":
					_ = p.framer.WriteWindowUpdate(id, 1)
				}
				p.run()
				if got := outcome(p); got != tc.want[i] {
					t.Errorf("got %s, want %s; frames %q", got, tc.want[i], p.got)
				}
			})
		}
	}
	if int(stateLen) != 7 {
		t.Errorf("there are %d states, and 7 were looked at", stateLen)
	}
}

// headersFor returns a request, or trailers where a request has begun.
func headersFor(s state) []string {
	if s == open || s == halfClosedLocal || s == halfClosedRemote {
		return []string{"x-checksum", "1"}
	}
	return getFields
}

// outcome describes the effect of the last frame.
func outcome(p *peer) string {
	for _, f := range p.got {
		words := strings.Fields(f)
		if words[0] == "GOAWAY" || words[0] == "RST_STREAM" {
			return words[0] + " " + words[2]
		}
	}
	if len(p.events) > 0 {
		return "taken"
	}
	return "ignored"
}

// reach brings a stream into a state.
func reach(p *peer, s state) (id uint32) {
	switch s {
	case idle:
		return 3
	case open:
		p.post(1)
	case halfClosedLocal:
		p.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a.test", ":path", "/")
		p.head(1, 101, false)
		p.send(p.conn.AppendEnd(nil, p.stream(1), nil))
	case halfClosedRemote:
		p.get(1)
	case closed:
		p.get(1)
		p.answer(1)
	case resetByUs:
		p.post(1)
		p.send(p.conn.Reset(nil, p.stream(1), Cancel))
	case forgotten:
		for id = 1; id < 2*uint32(len(p.conn.recent)+1); id += 2 {
			p.get(id)
			p.answer(id)
		}
		id = 1
	}
	if _, got := p.conn.find(1); got != s {
		p.t.Fatalf("stream 1 is in state %d, want %d", got, s)
	}
	return 1
}
