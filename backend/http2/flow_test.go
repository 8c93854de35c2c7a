package http2

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestUploadWindows holds that a client may send what was consumed, and no more.
func TestUploadWindows(t *testing.T) {
	p := newPeer(t, nil)
	p.want("SETTINGS 5", fmt.Sprintf("WINDOW_UPDATE 0 %d", 512<<10-defaultWindow), "SETTINGS ack")
	p.post(1)
	s := p.stream(1)
	for range 128 / 16 {
		p.data(1, false, strings.Repeat("x", maxFrameLen))
	}
	if len(p.got) != 0 {
		t.Errorf("nothing was consumed, and we sent %q", p.got)
	}
	p.send(p.conn.Consumed(nil, s, 64<<10-1))
	p.want()
	p.send(p.conn.Consumed(nil, s, 1))
	p.want("WINDOW_UPDATE 1 65536")
	// Padding is consumed without a backend.
	_ = p.framer.WriteDataPadded(1, false, []byte("x"), make([]byte, 255))
	p.run()
	if s.held != 64<<10+1 {
		t.Errorf("%d bytes are held, want %d", s.held, 64<<10+1)
	}
	// A stream that ends returns to the connection what its backend did not take.
	before := p.conn.recvWindow + p.conn.credit
	_ = p.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	p.run()
	if got := p.conn.recvWindow + p.conn.credit; got != before+64<<10+1 || got != 512<<10 {
		t.Errorf("the connection's window is %d, was %d", got, before)
	}
}

// TestUploadWindowsDoNotLeak moves more than all windows, so that a byte lost in the counting would
// stop it.
func TestUploadWindowsDoNotLeak(t *testing.T) {
	p := newPeer(t, nil)
	p.post(1)
	p.post(3)
	p.get(5)
	p.answer(5)
	for i := range 1000 {
		for _, id := range []uint32{1, 3} {
			p.data(id, false, strings.Repeat("x", 1+(i*7919)%maxFrameLen))
			e := p.event()
			if e.Kind != Data {
				t.Fatalf("after %d: got %+v", i, e)
			}
			p.send(p.conn.Consumed(nil, e.Stream, len(e.Data)))
		}
		p.data(5, false, strings.Repeat("x", 100)) // discarded
		p.got = nil
	}
}

// TestSmallWindows sends a response through windows that open a little at a time, and holds that no
// byte is sent early.
func TestSmallWindows(t *testing.T) {
	p := newPeer(t, nil)
	_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	p.get(1)
	p.got = nil
	p.head(1, 200, false)
	s := p.stream(1)
	if got := p.conn.Room(s); got != 3 {
		t.Errorf("there is room for %d, want 3", got)
	}
	p.send(p.conn.AppendData(nil, s, []byte("hello"), false))
	p.send(p.conn.AppendData(nil, s, []byte(" world"), false))
	p.send(p.conn.AppendEnd(nil, s, []byte("Checksum: 1\r\n")))
	p.want("HEADERS 1 :status=200", `DATA 1 "hel"`)
	_ = p.framer.WriteWindowUpdate(1, 4)
	p.run()
	p.want(`DATA 1 "lo w"`)
	// now it is negative
	_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
	_ = p.framer.WriteWindowUpdate(1, 2)
	p.run()
	p.want("SETTINGS ack")
	_ = p.framer.WriteWindowUpdate(1, 100)
	p.run()
	p.want(`DATA 1 "orld"`, "HEADERS 1 checksum=1 END")
	if p.conn.Len() != 0 {
		t.Error("the stream is not closed")
	}
}

// TestEndStreamOnLastData: END_STREAM is set on the last DATA frame, which saves a frame.
func TestEndStreamOnLastData(t *testing.T) {
	p := newPeer(t, nil)
	_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5})
	p.get(1)
	p.get(3)
	p.get(5)
	p.run()
	p.got = nil
	p.answer(1)
	p.want("HEADERS 1 :status=200", `DATA 1 "hello" END`)
	p.head(3, 200, false)
	p.send(p.conn.AppendData(nil, p.stream(3), []byte("hello world"), true))
	_ = p.framer.WriteWindowUpdate(3, 6)
	p.run()
	p.want("HEADERS 3 :status=200", `DATA 3 "hello"`, `DATA 3 " world" END`)
	p.head(5, 204, true)
	p.want("HEADERS 5 :status=204 END")
}

// TestFairness holds that a connection's window does not serve its first stream each time.
func TestFairness(t *testing.T) {
	p := newPeer(t, nil)
	_ = p.framer.WriteSettings(http2.Setting{
		ID:  http2.SettingInitialWindowSize,
		Val: maxWindow - 1<<20,
	})
	for id := uint32(1); id < 9; id += 2 {
		p.get(id)
		p.head(id, 200, false)
		p.send(p.conn.AppendData(nil, p.stream(id), make([]byte, 64<<10), false))
	}
	p.got = nil
	sent := map[string]int{}
	for range 40 {
		_ = p.framer.WriteWindowUpdate(0, 1000)
		p.run()
		for _, f := range p.got {
			sent[strings.Fields(f)[1]]++
		}
		p.got = nil
	}
	for _, id := range []string{"3", "5", "7"} { // stream 1 was first and has sent everything
		if sent[id] < 10 {
			t.Errorf("stream %s sent %d times of 40: %v", id, sent[id], sent)
		}
	}
}

// TestResponseHeads checks the encoder's output, also for a head that exceeds a frame.
func TestResponseHeads(t *testing.T) {
	p := newPeer(t, nil)
	p.got = nil
	for i, status := range []int{200, 204, 206, 304, 400, 404, 500, 418} {
		id := uint32(2*i + 1)
		p.get(id)
		p.head(id, status, true, "Server", "x", "X-Other", "", "Set-Cookie", "a=b", "X-A-Very-Long-Name-That-Is-In-No-Table", strings.Repeat("v", 300))
		p.want(fmt.Sprintf("HEADERS %d :status=%d server=x x-other= set-cookie=a=b x-a-very-long-name-that-is-in-no-table=%s END", id, status, strings.Repeat("v", 300)))
	}
	p.get(101)
	p.head(101, 103, false, "Link", "</a.css>; rel=preload")
	p.head(101, 200, false)
	p.want("HEADERS 101 :status=103 link=</a.css>; rel=preload", "HEADERS 101 :status=200")

	s := p.stream(101)
	p.conn.BeginHead(s, 200)
	p.conn.Field([]byte("x"), []byte(strings.Repeat("v", 40000)))
	out := p.conn.AppendHead(nil, s, true)
	var types []byte
	var lens []int
	for rest := out; len(rest) > 0; {
		h := parseFrameHeader(rest)
		types, lens = append(types, byte(h.typ), h.flags), append(lens, h.len)
		rest = rest[frameHeaderLen+h.len:]
	}
	if want := []byte{1, 1, 9, 0, 9, 4}; string(types) != string(want) || lens[0] != maxFrameLen ||
		lens[1] != maxFrameLen {
		t.Errorf("got types and flags %v of lengths %v, want %v", types, lens, want)
	}
}

// TestGoAway shuts down in two steps: a request under way is served.
func TestGoAway(t *testing.T) {
	p := newPeer(t, nil)
	p.get(1)
	p.got = nil
	p.send(p.conn.Shutdown(nil))
	p.want("GOAWAY 2147483647 NO_ERROR", "PING")
	p.get(3)
	if e := p.event(); e.Kind != Request {
		t.Errorf("a request on its way: got %+v", e)
	}
	_ = p.framer.WritePing(true, [8]byte([]byte(drainPing)))
	p.run()
	p.want("GOAWAY 3 NO_ERROR")
	p.get(5)
	p.want("RST_STREAM 5 REFUSED_STREAM")
	p.answer(1)
	if p.conn.Drained() {
		t.Error("a stream is left, and it is drained")
	}
	p.answer(3)
	if !p.conn.Drained() {
		t.Error("no stream is left, and it is not drained")
	}
	if got := p.conn.GoAway(p.conn.Shutdown(nil)); len(got) != 0 {
		t.Errorf("it sends a second GOAWAY: %q", got)
	}
}

// TestCallerResets resets streams by the caller, also in the middle of a frame.
func TestCallerResets(t *testing.T) {
	p := newPeer(t, nil)
	p.post(1)
	s := p.stream(1)
	_ = p.framer.WriteDataPadded(1, false, []byte("hello world"), make([]byte, 5))
	whole := p.in.Bytes()
	frame := append([]byte(nil), whole...)
	p.in.Reset()
	p.in.Write(frame[:14])
	p.run()
	if e := p.event(); e.Kind != Data || string(e.Data) != "hell" {
		t.Fatalf("got %+v", e)
	}
	p.got, p.events = nil, nil
	p.send(p.conn.Reset(nil, s, InternalError))
	p.send(p.conn.Reset(nil, s, InternalError))
	p.send(p.conn.AppendData(nil, s, []byte("x"), true))
	p.send(p.conn.AppendEnd(nil, s, nil))
	p.want("RST_STREAM 1 INTERNAL_ERROR")
	p.in.Write(frame[14:])
	p.data(1, true, "more")
	p.get(3)
	if len(p.events) != 1 || p.event().Kind != Request {
		t.Errorf("got %+v, want the next request", p.events)
	}
	if got := p.conn.recvWindow + p.conn.credit; got != 512<<10 {
		t.Errorf("the connection's window is %d", got)
	}
}

// TestDataBehindResponse: the connection itself consumes data behind a complete response.
func TestDataBehindResponse(t *testing.T) {
	p := newPeer(t, nil)
	_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize})
	p.post(1)
	p.answer(1) // the response waits for a window
	p.events, p.got = nil, nil
	p.data(1, false, "not read")
	p.data(1, true, "by anybody")
	if len(p.events) != 0 {
		t.Errorf("got %+v, want nothing", p.events)
	}
	_ = p.framer.WriteWindowUpdate(1, 100)
	p.run()
	p.want(`DATA 1 "hello" END`)
}

// TestAnswersToUploads: a response before the end of its request does not reset the stream until
// the client has used up its window; then the client is told to stop.
func TestAnswersToUploads(t *testing.T) {
	p := newPeer(t, nil)
	p.post(1)
	p.got, p.events = nil, nil
	p.answer(1)
	p.want("HEADERS 1 :status=200", `DATA 1 "hello" END`)
	for range 128/16 - 1 {
		p.data(1, false, strings.Repeat("x", maxFrameLen))
	}
	p.want()
	p.data(1, false, "x")
	p.want("RST_STREAM 1 NO_ERROR")
	if len(p.events) != 0 || p.conn.recvWindow+p.conn.credit != 512<<10 {
		t.Errorf("got %+v, and a window of %d", p.events, p.conn.recvWindow+p.conn.credit)
	}

	p.post(3)
	p.answer(3)
	p.data(3, true, "the end")
	p.headers(5, true, getFields...)
	p.answer(5)
	p.post(7)
	p.answer(7)
	p.headers(7, true, "x-checksum", "1")
	p.got = nil
	if p.conn.Len() != 0 || len(p.conn.streams) != 0 {
		t.Errorf("%d streams are left", len(p.conn.streams))
	}

	// A request that never ends holds up neither the end of the connection nor other streams.
	for id := uint32(9); id < 9+2*200; id += 2 {
		p.post(id)
		p.answer(id)
	}
	if e := p.event(); e.Kind != Request || p.conn.Len() != 0 || len(p.conn.streams) != 100 {
		t.Errorf("got %+v, %d streams, %d at work", e, len(p.conn.streams), p.conn.Len())
	}
	p.conn.GoAway(nil)
	if !p.conn.Drained() {
		t.Error("it is not drained")
	}
}
