package http2

import (
	"bytes"
	"testing"

	"reprise/backend/http1"
)

// FuzzConn gives a connection any bytes behind the preface. Nothing panics, output and memory are
// bounded, what is passed on is a head that package http1 can read, and the cuts do not matter.
func FuzzConn(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"+"\x00\x00\x06\x01\x05\x00\x00\x00\x01"+string(p400)), uint8(3))
	f.Add([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00"+
		"\x00\x00\x06\x01\x04\x00\x00\x00\x01"+string(p400)+"\x00\x00\x05\x00\x08\x00\x00\x00\x01\x01abc\x00"+
		"\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x00\x09"+"\x00\x00\x05\x01\x05\x00\x00\x00\x01\x40\x01x\x01y"), uint8(1))
	f.Add([]byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00"+"\x00\x00\x02\x01\x01\x00\x00\x00\x01\x82\x87"+"\x00\x00\x04\x09\x04\x00\x00\x00\x01\x84\x41\x01a"+
		"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08"+"\x00\x00\x05\x02\x00\x00\x00\x00\x03\x00\x00\x00\x00\x01"), uint8(7))
	f.Fuzz(func(t *testing.T, p []byte, cut uint8) {
		input := append([]byte(preface), p...)
		c := New(DefaultOptions(&testLimits), new(Scratch))
		told, out := serve(c, [][]byte{input})
		checkBounds(t, c, len(input), len(out))

		cuts := pieces(input, func() int { return 1 + int(cut) })
		toldCut, outCut := serve(New(DefaultOptions(&testLimits), new(Scratch)), cuts)
		if told != toldCut || !bytes.Equal(out, outCut) {
			t.Fatalf("cut in pieces of %d: got\n%s%x\nwant\n%s%x", int(cut)+1, toldCut, outCut, told, out)
		}
	})
}

// checkBounds relates what a connection sends and keeps to its input.
func checkBounds(t *testing.T, c *Conn, in, out int) {
	// For the smallest request, 10 bytes, serve sends two frames.
	if out > 8*in+100 {
		t.Fatalf("%d bytes made us send %d", in, out)
	}
	if c.Len() > c.o.MaxStreams {
		t.Fatalf("%d streams are open", c.Len())
	}
	held := int32(0)
	for s := range c.Streams {
		held += s.held
		if s.recvWindow < 0 || s.recvWindow > int32(c.o.StreamWindow) {
			t.Fatalf("stream %d has a window of %d", s.ID, s.recvWindow)
		}
	}
	if c.phase != dead && held+c.credit+c.recvWindow != int32(c.o.ConnWindow) {
		t.Fatalf("%d held, %d consumed and a window of %d are not %d", held, c.credit, c.recvWindow, c.o.ConnWindow)
	}
	if n := cap(c.in.head.text) + cap(c.scratch.head); n > 4*testLimits.HeadLen {
		t.Fatalf("%d bytes of heads are kept", n)
	}
}

// FuzzHead holds that package http1 reads the same in a head as its fields: one request line, one
// Host, and no additional field.
func FuzzHead(f *testing.F) {
	f.Add("GET", "/", "a.test", "x", "y", "content-length", "3", false)
	f.Add("POST", "/a?b", "", "host", "a.test", "cookie", "a", true)
	f.Add("CONNECT", "", "a:1", "", "", "te", "trailers", true)
	f.Fuzz(func(t *testing.T, method, path, authority, name1, value1, name2, value2 string, end bool) {
		var h head
		h.reset(new(Scratch), requestHead)
		for _, field := range [][2]string{
			{":method", method},
			{":scheme", "https"},
			{":path", path},
			{":authority", authority},
			{name1, value1},
			{name2, value2},
		} {
			if field[0] != ":authority" || field[1] != "" {
				h.add(field[0], field[1])
			}
		}
		text := h.complete(end)
		if text == nil {
			return
		}
		if n := http1.HeadLen(text, 0); n != len(text) {
			t.Fatalf("%q ends after %d bytes of %d", text, n, len(text))
		}
		limits := http1.Limits{HeadLen: 1 << 20, TargetLen: 1 << 20, FieldLen: 100, TrailerLen: 1 << 10}
		var r http1.Request
		if r.Parse(text, &limits) != nil {
			return // refused with a response
		}
		if string(r.Method) != method || string(r.Target) != path || r.Minor != 1 {
			t.Fatalf("%q of %q %q", text, method, path)
		}
		if authority != "" && string(r.Host) != authority {
			t.Fatalf("%q of host %q", text, authority)
		}
		if most := 4; len(r.Fields) > most { // Host, two fields, and Transfer-Encoding
			t.Fatalf("%q has %d fields", text, len(r.Fields))
		}
		if end && (r.Framing == http1.Chunked || r.Length > 0) || !end && r.Framing == http1.NoBody {
			t.Fatalf("%q ends with its head: %v", text, end)
		}
	})
}
