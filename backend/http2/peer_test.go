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

var testLimits = http1.Limits{
	HeadLen: 8 << 10, TargetLen: 4 << 10, FieldLen: 64,
	TrailerLen: 1 << 10,
}

// A peer is a client that sends single frames by x/net's framer, and reads the connection's output
// with it.
type peer struct {
	t       *testing.T
	conn    *Conn
	in      bytes.Buffer // from the client, not yet consumed
	framer  *http2.Framer
	out     bytes.Buffer // to the client
	reader  *http2.Framer
	decoder *hpack.Decoder
	encoder *hpack.Encoder
	block   bytes.Buffer
	events  []Event // copies
	got     []string
	sent    int // bytes to the client
}

// newPeer returns a client that has exchanged prefaces.
func newPeer(t *testing.T, change func(*Options)) *peer {
	p := newSilentPeer(t, change)
	p.in.WriteString(preface)
	_ = p.framer.WriteSettings()
	p.run()
	return p
}

func newSilentPeer(t *testing.T, change func(*Options)) *peer {
	t.Helper()
	o := DefaultOptions(&testLimits)
	if change != nil {
		change(o)
	}
	p := &peer{t: t, conn: New(o, new(Scratch))}
	p.framer = http2.NewFramer(&p.in, nil)
	p.framer.AllowIllegalWrites = true
	p.reader = http2.NewFramer(nil, &p.out)
	p.reader.AllowIllegalReads = true
	p.decoder = hpack.NewDecoder(4096, nil)
	p.encoder = hpack.NewEncoder(&p.block)
	p.send(p.conn.Start(nil))
	return p
}

// run gives the connection all input and records its events.
func (p *peer) run() {
	p.t.Helper()
	for {
		out, n, e := p.conn.Next(nil, p.in.Bytes())
		p.send(out)
		e.Data, e.Head, e.Trailer = slices.Clone(e.Data), slices.Clone(e.Head), slices.Clone(e.Trailer)
		p.in.Next(n)
		if e.Kind == None {
			return
		}
		p.events = append(p.events, e)
	}
}

// send reads the connection's output.
func (p *peer) send(out []byte) {
	p.t.Helper()
	p.sent += len(out)
	p.out.Write(out)
	for p.out.Len() > 0 {
		f, err := p.reader.ReadFrame()
		if err != nil {
			p.t.Fatalf("the output is not frames: %v", err)
		}
		p.got = append(p.got, p.describe(f))
	}
}

func (p *peer) describe(f http2.Frame) string {
	h := f.Header()
	end := ""
	switch f := f.(type) {
	case *http2.HeadersFrame:
		fields, err := p.decoder.DecodeFull(f.HeaderBlockFragment())
		if err != nil {
			p.t.Errorf("header block: %v", err)
		}
		if f.StreamEnded() {
			end = " END"
		}
		var b strings.Builder
		for _, field := range fields {
			fmt.Fprintf(&b, " %s=%s", field.Name, field.Value)
		}
		return fmt.Sprintf("HEADERS %d%s%s", h.StreamID, b.String(), end)
	case *http2.DataFrame:
		if f.StreamEnded() {
			end = " END"
		}
		if len(f.Data()) > 32 {
			return fmt.Sprintf("DATA %d %d bytes%s", h.StreamID, len(f.Data()), end)
		}
		return fmt.Sprintf("DATA %d %q%s", h.StreamID, f.Data(), end)
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", h.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", h.StreamID, f.Increment)
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		return fmt.Sprintf("SETTINGS %d", f.NumSettings())
	case *http2.PingFrame:
		if f.IsAck() {
			return "PING ack"
		}
		return "PING"
	}
	return h.Type.String()
}

// fields encodes a header list given as name, value, name, value...
func (p *peer) fields(list ...string) []byte {
	p.block.Reset()
	for i := 0; i+1 < len(list); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1]})
	}
	return slices.Clone(p.block.Bytes())
}

// headers sends a header block in one frame.
func (p *peer) headers(id uint32, end bool, list ...string) {
	p.t.Helper()
	_ = p.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: p.fields(list...), EndStream: end, EndHeaders: true,
	})
	p.run()
}

var getFields = []string{":method", "GET", ":scheme", "https", ":authority", "a.test", ":path", "/"}

func (p *peer) get(id uint32)  { p.t.Helper(); p.headers(id, true, getFields...) }
func (p *peer) post(id uint32) { p.t.Helper(); p.headers(id, false, postFields...) }

var postFields = []string{":method", "POST", ":scheme", "https", ":authority", "a.test", ":path", "/"}

func (p *peer) data(id uint32, end bool, data string) {
	p.t.Helper()
	_ = p.framer.WriteData(id, end, []byte(data))
	p.run()
}

// stream returns an open stream.
func (p *peer) stream(id uint32) *Stream {
	p.t.Helper()
	s, _ := p.conn.find(id)
	if s == nil {
		p.t.Fatalf("stream %d is not open", id)
	}
	return s
}

// head answers a stream.
func (p *peer) head(id uint32, status int, end bool, list ...string) {
	p.t.Helper()
	s := p.stream(id)
	p.conn.BeginHead(s, status)
	for i := 0; i+1 < len(list); i += 2 {
		p.conn.Field([]byte(list[i]), []byte(list[i+1]))
	}
	p.send(p.conn.AppendHead(nil, s, end))
}

// answer answers a stream with a small response that has all parts.
func (p *peer) answer(id uint32) {
	p.t.Helper()
	p.head(id, 200, false)
	p.send(p.conn.AppendData(nil, p.stream(id), []byte("hello"), true))
}

// last returns the last frame that was sent to the client, "" if there was none.
func (p *peer) last() string {
	if len(p.got) == 0 {
		return ""
	}
	return p.got[len(p.got)-1]
}

// want checks what was sent since the last call.
func (p *peer) want(frames ...string) {
	p.t.Helper()
	if !slices.Equal(p.got, frames) {
		p.t.Errorf("got  %q\nwant %q", p.got, frames)
	}
	p.got = nil
}

// event returns the last event.
func (p *peer) event() Event {
	p.t.Helper()
	if len(p.events) == 0 {
		p.t.Fatal("nothing has happened")
	}
	return p.events[len(p.events)-1]
}
