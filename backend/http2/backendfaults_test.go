package http2

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestBackendFaults checks the protocol violations of a backend and their consequences. It is long
// because it is a table.
func TestBackendFaults(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(s *service)
		want *fault
	}{
		{"push", func(s *service) {
			_ = s.framer.WritePushPromise(http2.PushPromiseParam{
				StreamID: 1, PromiseID: 2,
				EndHeaders: true,
			})
		}, errPushed},
		{"push turned on", func(s *service) {
			_ = s.framer.WriteSettings(http2.Setting{
				ID:  http2.SettingEnablePush,
				Val: 1,
			})
		}, errSettings},
		{"no status", func(s *service) { s.headers(1, true, "x", "y") }, errAnswerHead},
		{"two statuses", func(s *service) { s.headers(1, true, ":status", "200", ":status", "200") }, errAnswerHead},
		{"switch", func(s *service) { s.headers(1, false, ":status", "101") }, errAnswerHead},
		{"connection field", func(s *service) { s.headers(1, true, ":status", "200", "connection", "close") }, errAnswerHead},
		{"chunked", func(s *service) { s.headers(1, true, ":status", "200", "transfer-encoding", "chunked") }, errAnswerHead},
		{"upper case", func(s *service) { s.headers(1, true, ":status", "200", "X", "y") }, errAnswerHead},
		{"line in a value", func(s *service) { s.headers(1, true, ":status", "200", "x", "y\r\nset-cookie: a") }, errAnswerHead},
		{"pseudo-header field of a request", func(s *service) { s.headers(1, true, ":status", "200", ":path", "/") }, errAnswerHead},
		{
			"long head", func(s *service) { s.headers(1, true, ":status", "200", "x", strings.Repeat("x", testLimits.HeadLen)) },
			errAnswerLen,
		},
		{"many fields", func(s *service) {
			s.headers(1, true, append([]string{":status", "200"}, slices.Repeat([]string{"x", "y"}, 100)...)...)
		}, errAnswerFields},
		{"interim end", func(s *service) { s.headers(1, true, ":status", "103") }, errInterimEnd},
		{"data first", func(s *service) { _ = s.framer.WriteData(1, true, []byte("x")) }, errNoAnswerHead},
		{"two heads", func(s *service) { s.headers(1, false, ":status", "200"); s.headers(1, false, ":status", "200") }, errAnswerTail},
		{"pseudo-header field in trailers", func(s *service) { s.headers(1, false, ":status", "200"); s.headers(1, true, ":status", "200") }, errAnswerTail},
		{"frame of 17 KiB", func(s *service) { _ = s.framer.WriteData(1, false, make([]byte, 17<<10)) }, errFrameLen},
		{"stream of its own", func(s *service) { s.headers(2, true, ":status", "200") }, errIdle},
		{"PINGs", flooding(func(s *service) { _ = s.framer.WritePing(false, [8]byte{}) }), errControlFlood},
		{"SETTINGS", flooding(func(s *service) { _ = s.framer.WriteSettings() }), errControlFlood},
		{"windows", flooding(func(s *service) { _ = s.framer.WriteWindowUpdate(0, 1) }), errControlFlood},
		{"interim responses", flooding(func(s *service) { s.headers(1, false, ":status", "103") }), errControlFlood},
		{"long interim responses", func(s *service) { // of which a client that does not read would leave all here
			for range 2 * maxInterim {
				s.headers(1, false, ":status", "103", "x", strings.Repeat("y", testLimits.HeadLen*3/4))
			}
		}, errInterimLen},
		{
			"resets of a closed stream", flooding(func(s *service) { _ = s.framer.WriteRSTStream(1, http2.ErrCodeNo) }),
			errControlFlood,
		},
		{"unknown frames", flooding(func(s *service) { _ = s.framer.WriteRawFrame(99, 0, 0, nil) }), errControlFlood},
		{"CONTINUATIONs", func(s *service) {
			_ = s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			for range maxParts + 1 {
				_ = s.framer.WriteContinuation(1, false, nil)
			}
		}, errBlockParts},
		{"block of 1 MiB", func(s *service) {
			_ = s.framer.WriteHeaders(http2.HeadersFrameParam{
				StreamID:      1,
				BlockFragment: make([]byte, 16<<10),
			})
			for range 10 {
				_ = s.framer.WriteContinuation(1, false, make([]byte, 16<<10))
			}
		}, errBlockLen},
		{"decompression", func(s *service) { // a field of 4 KiB in the table, and then a byte for each time
			s.headers(1, false, ":status", "103", "x", strings.Repeat("y", 3<<10))
			_ = s.framer.WriteHeaders(http2.HeadersFrameParam{
				StreamID:      1,
				BlockFragment: bytes.Repeat([]byte{0x80 | 62}, 10<<10), EndHeaders: true,
			})
		}, errBlockLen},
	} {
		t.Run(tc.name, func(t *testing.T) {
			testFault(t, tc.do, tc.want)
		})
	}
	t.Run("HTTP/1.1", func(t *testing.T) {
		b := NewBackend(DefaultBackendOptions(&testLimits), new(Scratch))
		_, _, e := b.Next(nil, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		if e.Kind != Failed || e.Reason != errNotHTTP2.reason {
			t.Errorf("got %+v", e)
		}
	})
}

// testFault has a backend do something, which is to be told as it is wanted, and costs little.
func testFault(t *testing.T, do func(s *service), want *fault) {
	s := newService(t)
	s.open(true)
	s.events, s.out = nil, nil
	do(s)
	given := s.in.Len()
	s.run()
	if len(s.events) == 0 {
		t.Fatal("nothing came of it")
	}
	e := s.events[len(s.events)-1]
	if e.Reason != want.reason || (e.Kind == Reset) != want.stream {
		t.Errorf("got %+v, want %q", e, want.reason)
	}
	if len(s.out) > given+100 {
		t.Errorf("%d bytes made us send %d", given, len(s.out))
	}
}

// flooding does something more often than a backend may.
func flooding(do func(s *service)) func(s *service) {
	return func(s *service) {
		for range 2*s.conn.o.ControlBurst + 1 {
			do(s)
		}
	}
}
