package http2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// conversation uses everything that a client may send.
func conversation(t testing.TB) []byte {
	p := newPeer(t.(*testing.T), nil)
	p.in.Reset()
	p.in.WriteString(preface)
	f := p.framer
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 7},
		http2.Setting{ID: http2.SettingHeaderTableSize})
	headers := func(id uint32, end bool, list ...string) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: p.fields(list...),
			EndStream: end, EndHeaders: true, PadLength: uint8(id),
		})
	}
	headers(1, true, getFields...)
	headers(3, false, append(postFields[:8:8], "cookie", "a", "cookie", "b")...)
	_ = f.WriteDataPadded(3, false, []byte("some data"), make([]byte, 9))
	_ = f.WritePing(false, [8]byte{1})
	block := p.fields(append(postFields[:8:8], "x-long", "value", "content-length", "3")...)
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: block[:3]})
	_ = f.WriteContinuation(5, false, block[3:4])
	_ = f.WriteContinuation(5, true, block[4:])
	_ = f.WriteData(5, true, []byte("abc"))
	_ = f.WriteRawFrame(0xbb, 0xff, 7, []byte("unknown"))
	headers(3, true, "x-checksum", "1")
	headers(7, true, "x-malformed", "1")
	_ = f.WriteWindowUpdate(1, 100)
	_ = f.WriteRSTStream(5, http2.ErrCodeCancel)
	_ = f.WriteData(1, true, []byte("too late"))
	_ = f.WritePriority(9, http2.PriorityParam{StreamDep: 3})
	headers(11, true, getFields...)
	_ = f.WriteData(4, true, nil) // the end
	return bytes.Clone(p.in.Bytes())
}

// serve gives a connection the pieces in turn and returns the result: a transcript that does not
// depend on how data were cut. Each request is answered by a few bytes as soon as it is complete.
func serve(c *Conn, pieces [][]byte) (transcript string, out []byte) {
	var told bytes.Buffer
	bodies := map[uint32]int{}
	var kept []byte
	for _, piece := range pieces {
		kept = append(kept, piece...)
		for {
			var n int
			var e Event
			out, n, e = c.Next(out, kept)
			switch e.Kind {
			case Request:
				fmt.Fprintf(&told, "request %d %q\n", e.Stream.ID, e.Head)
			case Data:
				bodies[e.Stream.ID] += len(e.Data)
				out = c.Consumed(out, e.Stream, len(e.Data))
			case Trailers:
				fmt.Fprintf(&told, "trailers %d %q\n", e.Stream.ID, e.Trailer)
			case Reset:
				fmt.Fprintf(&told, "reset %v %v %v\n", e.Stream != nil, e.Code, e.Reason)
			case Failed:
				fmt.Fprintf(&told, "failed %v %v\n", e.Code, e.Reason)
			}
			if s := e.Stream; s != nil && e.End {
				fmt.Fprintf(&told, "end %d of %d bytes\n", s.ID, bodies[s.ID])
				c.BeginHead(s, 200)
				out = c.AppendHead(out, s, false)
				out = c.AppendData(out, s, []byte("a few bytes"), true)
			}
			kept = kept[n:]
			if e.Kind == None {
				break
			}
		}
	}
	return told.String(), out
}

// TestCuts holds the chunking law: however the client's bytes are cut, the result is the same to
// the byte.
func TestCuts(t *testing.T) {
	input := conversation(t)
	told := testCuts(t, input, func(pieces [][]byte) (string, []byte) {
		return serve(New(DefaultOptions(&testLimits), new(Scratch)), pieces)
	})
	if want := "failed 1 " + errIdle.reason + "\n"; !strings.HasSuffix(told, want) {
		t.Fatalf("the conversation does not reach its end:\n%s", told)
	}
}

// testCuts gives run, which makes a connection and says what it was told and sent, input as a whole
// and in pieces, and returns what it was told.
func testCuts(t *testing.T, input []byte, run func(pieces [][]byte) (string, []byte)) string {
	t.Helper()
	wantTold, wantOut := run([][]byte{input})
	check := func(name string, pieces [][]byte) {
		t.Helper()
		told, out := run(pieces)
		if told != wantTold || !bytes.Equal(out, wantOut) {
			t.Fatalf("%s: got\n%s%x\nwant\n%s%x", name, told, out, wantTold, wantOut)
		}
	}
	var single [][]byte
	for i := range input {
		single = append(single, input[i:i+1])
		check(fmt.Sprintf("cut at %d", i), [][]byte{input[:i], input[i:]})
	}
	check("byte by byte", single)
	for range 200 {
		check("at random", pieces(input, func() int { return 1 + rand.IntN(40) }))
	}
	return wantTold
}

// pieces cuts p into pieces of the lengths that next returns.
func pieces(p []byte, next func() int) (all [][]byte) {
	for len(p) > 0 {
		n := min(next(), len(p))
		all, p = append(all, p[:n]), p[n:]
	}
	return all
}
