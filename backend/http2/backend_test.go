package http2

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"reprise/backend/http1"
)

// requestText is the head of a request as package http1 writes it.
const requestText = "POST /a?b HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nX-Own: 1\r\nAuthorization: Basic eDp5\r\nTE: trailers\r\n\r\n"

// A service is the far end of a Backend, which writes frames by hand.
type service struct {
	t       *testing.T
	conn    *Backend
	in      bytes.Buffer // from the backend, not yet consumed
	framer  *http2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer
	events  []CallEvent // copies
	out     []byte      // all that was sent to the backend
}

// newService returns a backend that has sent its settings.
func newService(t *testing.T) *service {
	s := &service{t: t, conn: NewBackend(DefaultBackendOptions(&testLimits), new(Scratch))}
	s.framer = http2.NewFramer(&s.in, nil)
	s.framer.AllowIllegalWrites = true
	s.encoder = hpack.NewEncoder(&s.block)
	s.out = s.conn.Start(nil)
	_ = s.framer.WriteSettings()
	s.run()
	if !s.conn.Ready() {
		t.Fatal("the connection is not ready")
	}
	return s
}

// run gives the connection all input and records its events.
func (s *service) run() {
	for {
		out, n, e := s.conn.Next(s.out, s.in.Bytes())
		s.out = out
		e.Data, e.Head, e.Trailer = slices.Clone(e.Data), slices.Clone(e.Head), slices.Clone(e.Trailer)
		s.in.Next(n)
		if e.Kind == None {
			return
		}
		s.events = append(s.events, e)
	}
}

func (s *service) open(end bool) (c *Call) {
	s.out, c = s.conn.Open(s.out, []byte(requestText), end)
	return c
}

func (s *service) fields(list ...string) []byte {
	s.block.Reset()
	for i := 0; i < len(list); i += 2 {
		_ = s.encoder.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1]})
	}
	return bytes.Clone(s.block.Bytes())
}

func (s *service) headers(id uint32, end bool, list ...string) {
	_ = s.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: s.fields(list...),
		EndStream: end, EndHeaders: true,
	})
}

// sent returns the frames sent to the backend since the last call.
func (s *service) sent() (frames []string) {
	s.t.Helper()
	framer := http2.NewFramer(nil, bytes.NewReader(bytes.TrimPrefix(s.out, []byte(preface))))
	framer.AllowIllegalReads = true
	s.out = nil
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			return frames
		}
		text := fmt.Sprintf("%v %d", f.Header().Type, f.Header().StreamID)
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			text += " " + f.ErrCode.String()
		case *http2.GoAwayFrame:
			text += " " + f.ErrCode.String()
		case *http2.DataFrame:
			text += fmt.Sprintf(" %d %v", len(f.Data()), f.StreamEnded())
		case *http2.WindowUpdateFrame:
			text += fmt.Sprint(" ", f.Increment)
		}
		frames = append(frames, text)
	}
}

// TestCallHead checks the frames made from a request's head.
func TestCallHead(t *testing.T) {
	s := newService(t)
	s.sent()
	s.open(true)
	framer := http2.NewFramer(nil, bytes.NewReader(s.out))
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, field := range f.(*http2.MetaHeadersFrame).Fields {
		got = append(got, fmt.Sprintf("%s=%s %v", field.Name, field.Value, field.Sensitive))
	}
	want := []string{
		":method=POST false", ":scheme=http false", ":authority=a.test false", ":path=/a?b false",
		"accept=*/* false", "x-own=1 false", "authorization=Basic eDp5 true", "te=trailers false",
	}
	if !slices.Equal(got, want) || !f.(*http2.MetaHeadersFrame).StreamEnded() {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCallStates sends every frame that belongs to a stream in each state of a call, and compares
// the outcome with RFC 9113, Section 5.1, written down independently here.
func TestCallStates(t *testing.T) {
	const (
		taken   = "taken"
		ignored = "ignored"
		streamE = "RST_STREAM STREAM_CLOSED"
		connE   = "GOAWAY PROTOCOL_ERROR"
	)
	frames := []string{"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "WINDOW_UPDATE"}
	for _, tc := range []struct {
		state state
		want  [5]string // in the order of frames
	}{
		{idle, [5]string{connE, connE, ignored, connE, connE}},
		{open, [5]string{taken, taken, ignored, taken, taken}},
		{halfClosedLocal, [5]string{taken, taken, ignored, taken, ignored}},
		{halfClosedRemote, [5]string{streamE, streamE, ignored, taken, taken}},
		{closed, [5]string{ignored, ignored, ignored, ignored, ignored}},
		{resetByUs, [5]string{ignored, ignored, ignored, ignored, ignored}},
	} {
		for i, frame := range frames {
			t.Run(fmt.Sprintf("%d/%s", tc.state, frame), func(t *testing.T) {
				s := newService(t)
				id := s.reach(tc.state)
				s.events, s.out = nil, nil
				switch frame {
				case "DATA":
					_ = s.framer.WriteData(id, false, []byte("x"))
				case "HEADERS":
					s.headers(id, true, "x-checksum", "1")
				case "PRIORITY":
					_ = s.framer.WritePriority(id, http2.PriorityParam{StreamDep: 101})
				case "RST_STREAM":
					_ = s.framer.WriteRSTStream(id, http2.ErrCodeCancel)
				case "WINDOW_UPDATE":
					_ = s.framer.WriteWindowUpdate(id, 1)
				}
				s.run()
				got := ignored
				if len(s.events) > 0 {
					got = taken
				}
				for _, f := range s.sent() {
					if words := strings.Fields(f); words[0] == "GOAWAY" || words[0] == "RST_STREAM" {
						got = words[0] + " " + words[2]
					}
				}
				if got != tc.want[i] {
					t.Errorf("got %s, want %s", got, tc.want[i])
				}
			})
		}
	}
	if len(callVerdicts) != 6 {
		t.Errorf("there are %d states, and 6 were looked at", len(callVerdicts))
	}
}

// reach brings a call into a state, with the head of its response sent if the state requires it.
func (s *service) reach(to state) uint32 {
	if to == idle {
		return 3
	}
	c := s.open(to == halfClosedLocal || to == closed)
	s.headers(1, to == halfClosedRemote || to == closed, ":status", "200")
	s.run()
	if to == resetByUs {
		s.out = s.conn.Reset(s.out, c, Cancel)
	}
	if c.state != to {
		s.t.Fatalf("the call is in state %d, want %d", c.state, to)
	}
	return 1
}

// TestCallWindows holds that a request stays within the windows, and that the connection's window
// is returned for what a call holds.
func TestCallWindows(t *testing.T) {
	s := newService(t)
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	s.run()
	a, b := s.open(false), s.open(false)
	s.sent()
	n := 0
	if s.out, n = s.conn.Send(s.out, a, make([]byte, 25), true); n != 10 {
		t.Errorf("%d bytes were let out of a window of 10", n)
	}
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5})
	_ = s.framer.WriteWindowUpdate(a.ID, 10)
	s.run()
	if s.out, n = s.conn.Send(s.out, a, make([]byte, 15), true); n != 5 {
		t.Errorf("%d bytes were let out of a window of 10 that was made smaller by 5", n)
	}
	_ = s.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	s.run()
	if s.out, n = s.conn.Send(s.out, a, make([]byte, 10), true); n != 10 ||
		a.state != halfClosedLocal {
		t.Errorf("%d bytes, state %d at the end", n, a.state)
	}
	if s.out, n = s.conn.Send(s.out, b, make([]byte, 1<<20), false); n != defaultWindow-25 {
		t.Errorf("%d bytes were let out of the connection's window", n)
	}
	s.sent()

	// What two calls hold is bounded by each one's window, not by the connection's.
	s.headers(1, false, ":status", "200")
	s.headers(3, false, ":status", "200")
	for range s.conn.o.CallWindow / maxFrameLen {
		_ = s.framer.WriteData(1, false, make([]byte, maxFrameLen))
		_ = s.framer.WriteData(3, false, make([]byte, maxFrameLen))
	}
	for range 100 { // and a third one goes on
		c := s.open(true)
		s.headers(c.ID, false, ":status", "200")
		_ = s.framer.WriteData(c.ID, true, make([]byte, maxFrameLen))
		s.run()
	}
	if a.Held() != s.conn.o.CallWindow || s.conn.recvWindow < int32(s.conn.o.ConnWindow/2) {
		t.Errorf("%d bytes are held, the connection's window is %d", a.Held(), s.conn.recvWindow)
	}
	_ = s.framer.WriteData(1, false, []byte("x"))
	s.events = nil
	if s.run(); len(s.events) != 1 || s.events[0].Reason != errStreamOverrun.reason ||
		s.events[0].Call != a {
		t.Errorf("a window that was overrun: got %+v", s.events)
	}
	s.sent()
	s.out = s.conn.Consumed(s.out, b, b.Held())
	if got := s.sent(); !slices.Equal(got, []string{fmt.Sprint("WINDOW_UPDATE 3 ", s.conn.o.CallWindow)}) {
		t.Errorf("got %q for what was consumed", got)
	}
}

// TestBackendGoAway holds that calls which a backend will not serve are returned as such, and
// others go on.
func TestBackendGoAway(t *testing.T) {
	s := newService(t)
	a, b, c := s.open(true), s.open(true), s.open(false)
	_ = s.framer.WriteGoAway(maxStreamID, http2.ErrCodeNo, nil)
	if s.run(); s.conn.Len() != 3 || s.conn.Room() != 0 || !s.conn.Leaves() {
		t.Errorf("%d calls, room for %d after the announcement", s.conn.Len(), s.conn.Room())
	}
	_ = s.framer.WriteGoAway(a.ID, http2.ErrCodeNo, nil)
	s.events = nil
	s.run()
	if len(s.events) != 2 || s.events[0].Call != c || s.events[1].Call != b ||
		!s.events[0].Unprocessed || !s.events[1].Unprocessed {
		t.Errorf("got %+v", s.events)
	}
	s.events = nil
	s.headers(a.ID, true, ":status", "200")
	if s.run(); len(s.events) != 1 || s.events[0].Kind != Response || s.conn.Len() != 0 {
		t.Errorf("the call that is served: got %+v", s.events)
	}
	_ = s.framer.WriteGoAway(5, http2.ErrCodeNo, nil)
	s.events = nil
	if s.run(); len(s.events) != 1 || s.events[0].Reason != errGoAwayLater.reason {
		t.Errorf("a later one for more: got %+v", s.events)
	}
}

// answers uses everything that a backend may send.
func answers(t *testing.T) []byte {
	s := newService(t)
	s.in.Reset()
	f := s.framer
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 7},
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 9})
	_ = f.WriteSettingsAck()
	s.headers(1, false, ":status", "103", "link", "</a>")
	s.headers(1, false, ":status", "200", "content-type", "text/plain")
	_ = f.WriteDataPadded(1, false, []byte("some data"), make([]byte, 9))
	_ = f.WritePing(false, [8]byte{1})
	block := s.fields(":status", "404", "x-long", "value", "content-length", "3")
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block[:3]})
	_ = f.WriteContinuation(3, false, block[3:4])
	_ = f.WriteContinuation(3, true, block[4:])
	_ = f.WriteData(3, true, []byte("abc"))
	_ = f.WriteRawFrame(0xbb, 0xff, 7, []byte("unknown"))
	s.headers(1, true, "grpc-status", "0", "set-cookie", "not here")
	s.headers(5, true, "x-malformed", "1")
	_ = f.WriteWindowUpdate(7, 100)
	_ = f.WriteRSTStream(7, http2.ErrCodeRefusedStream)
	_ = f.WriteData(7, true, []byte("too late"))
	_ = f.WriteGoAway(9, http2.ErrCodeNo, []byte("bye"))
	s.headers(9, true, ":status", "204")
	_ = f.WriteData(20, true, nil) // the end
	return bytes.Clone(s.in.Bytes())
}

// ask gives a connection the pieces in turn and returns the result: a transcript that does not
// depend on how data were cut. Six calls are opened as soon as there is room.
func ask(b *Backend, pieces [][]byte) (transcript string, out []byte) {
	var told bytes.Buffer
	bodies := map[uint32]int{}
	var kept []byte
	for _, piece := range pieces {
		kept = append(kept, piece...)
		for {
			var n int
			var e CallEvent
			out, n, e = b.Next(out, kept)
			switch e.Kind {
			case Settled:
				for b.Room() > 0 && b.next < 13 {
					out, _ = b.Open(out, []byte(requestText), b.next%4 == 1)
				}
			case Response:
				fmt.Fprintf(&told, "response %d %q\n", e.Call.ID, e.Head)
			case Data:
				bodies[e.Call.ID] += len(e.Data)
				out = b.Consumed(out, e.Call, len(e.Data))
			case Trailers:
				fmt.Fprintf(&told, "trailers %d %q\n", e.Call.ID, e.Trailer)
			case Reset:
				fmt.Fprintf(&told, "reset %d %v %v %v\n", e.Call.ID, e.Code, e.Unprocessed, e.Reason)
			case Failed:
				fmt.Fprintf(&told, "failed %v %v\n", e.Code, e.Reason)
			}
			if e.Call != nil && e.End {
				fmt.Fprintf(&told, "end %d of %d bytes\n", e.Call.ID, bodies[e.Call.ID])
			}
			kept = kept[n:]
			if e.Kind == None {
				break
			}
		}
	}
	return told.String(), out
}

// TestBackendCuts holds the chunking law: however a backend's bytes are cut, the result is the same
// to the byte.
func TestBackendCuts(t *testing.T) {
	input := answers(t)
	told := testCuts(t, input, func(pieces [][]byte) (string, []byte) {
		return ask(NewBackend(DefaultBackendOptions(&testLimits), new(Scratch)), pieces)
	})
	for _, want := range []string{
		"response 1 \"HTTP/1.1 103 Early Hints\\r\\nlink: </a>\\r\\n\\r\\n\"", "trailers 1 \"grpc-status: 0\\r\\n\"", "end 1 of 9 bytes", "end 3 of 3 bytes",
		"reset 5 1 false malformed response", "reset 7 7 true", "reset 11 7 true", "response 9 \"HTTP/1.1 204 No Content", "failed 1 " + errIdle.reason,
	} {
		if !strings.Contains(told, want) {
			t.Fatalf("no %s in\n%s", want, told)
		}
	}
}

// FuzzBackend gives a connection any bytes behind the backend's settings. Nothing panics, output
// and memory are bounded, what is passed on is a head that package http1 can read, and the cuts do
// not matter.
func FuzzBackend(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"+"\x00\x00\x03\x00\x01\x00\x00\x00\x01abc"), uint8(3))
	f.Add([]byte("\x00\x00\x01\x01\x00\x00\x00\x00\x01\x88"+"\x00\x00\x05\x09\x04\x00\x00\x00\x01\x40\x01x\x01y"+
		"\x00\x00\x05\x00\x08\x00\x00\x00\x01\x01abc\x00"+"\x00\x00\x05\x01\x05\x00\x00\x00\x01\x40\x01x\x01y"), uint8(1))
	f.Add([]byte("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00"+"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x07"+
		"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x09"), uint8(7))
	f.Fuzz(func(t *testing.T, p []byte, cut uint8) {
		input := append([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), p...)
		b := NewBackend(DefaultBackendOptions(&testLimits), new(Scratch))
		told, out := ask(b, [][]byte{input})
		if len(out) > 8*len(input)+1000 {
			t.Fatalf("%d bytes made us send %d", len(input), len(out))
		}
		for i := range b.Len() {
			if c := b.Call(i); c.recvWindow < 0 || c.recvWindow+c.credit+c.held != int32(b.o.CallWindow) {
				t.Fatalf("call %d: %d held, %d consumed and a window of %d are not %d", c.ID, c.held, c.credit, c.recvWindow, b.o.CallWindow)
			}
		}
		if b.phase != dead && b.recvWindow+b.credit != int32(b.o.ConnWindow) {
			t.Fatalf("a window of %d and %d to be told are not %d", b.recvWindow, b.credit, b.o.ConnWindow)
		}
		if n := cap(b.in.head.text) + cap(b.scratch.head); n > 4*testLimits.HeadLen {
			t.Fatalf("%d bytes of heads are kept", n)
		}
		cuts := pieces(input, func() int { return 1 + int(cut) })
		toldCut, outCut := ask(NewBackend(DefaultBackendOptions(&testLimits), new(Scratch)), cuts)
		if told != toldCut || !bytes.Equal(out, outCut) {
			t.Fatalf("cut in pieces of %d: got\n%s%x\nwant\n%s%x", int(cut)+1, toldCut, outCut, told, out)
		}
	})
}

// FuzzAnswerHead holds that package http1 reads the same fields in a response's head that were put
// into it, or refuses it.
func FuzzAnswerHead(f *testing.F) {
	f.Add("200", "content-length", "3", "x", "y")
	f.Add("304", "set-cookie", "a", "set-cookie", "b")
	f.Add("101", "", "", ":status", "200")
	f.Fuzz(func(t *testing.T, status, name1, value1, name2, value2 string) {
		var h head
		h.reset(new(Scratch), responseHead)
		h.add(":status", status)
		h.add(name1, value1)
		h.add(name2, value2)
		text := h.completeResponse()
		if text == nil {
			return
		}
		if n := http1.HeadLen(text, 0); n != len(text) {
			t.Fatalf("the head of %q ends at %d", text, n)
		}
		var r http1.Response
		if r.Parse(text, []byte("GET"), &testLimits) != nil {
			return
		}
		if got := fmt.Sprint(r.Status); got != status || r.Status == 101 || len(r.Fields) != 2 ||
			string(r.Fields[0].Name) != name1 || string(r.Fields[1].Value) != strings.Trim(value2, " \t") {
			t.Fatalf("%q is read as %s with %d fields", text, got, len(r.Fields))
		}
	})
}
