package http2

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// A flood is something that is done over and over, and what ends it.
type flood struct {
	name    string
	prepare func(*peer)
	once    func(p *peer, i uint32)
	reason  string
	most    int // times
}

// TestFloods repeats what costs a client nothing until the connection ends, and bounds the number
// of repetitions, the output and the memory. Time stands still, so no budget recovers. It is
// long because it is a table.
func TestFloods(t *testing.T) {
	for _, tc := range []flood{
		{
			name: "rapid reset (CVE-2023-44487)",
			once: func(p *peer, i uint32) {
				p.get(2*i + 1)
				_ = p.framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
			},
			reason: errResetFlood.reason, most: 200,
		},
		{
			name: "MadeYouReset by windows (CVE-2025-8671)",
			once: func(p *peer, i uint32) {
				p.get(2*i + 1)
				_ = p.framer.WriteWindowUpdate(2*i+1, maxWindow)
			},
			reason: errResetFlood.reason, most: 200,
		},
		{
			name: "MadeYouReset by increments of 0",
			once: func(p *peer, i uint32) {
				p.get(2*i + 1)
				_ = p.framer.WriteRawFrame(http2.FrameWindowUpdate, 0, 2*i+1, make([]byte, 4))
			},
			reason: errResetFlood.reason, most: 200,
		},
		{
			name:   "MadeYouReset by data after the end",
			once:   func(p *peer, i uint32) { p.get(2*i + 1); p.data(2*i+1, false, "x") },
			reason: errResetFlood.reason, most: 200,
		},
		{
			name:   "MadeYouReset by HEADERS after the end",
			once:   func(p *peer, i uint32) { p.get(2*i + 1); p.headers(2*i+1, true, "x", "y") },
			reason: errResetFlood.reason, most: 200,
		},
		{
			name: "MadeYouReset by priorities",
			once: func(p *peer, i uint32) {
				p.get(2*i + 1)
				_ = p.framer.WritePriority(2*i+1, http2.PriorityParam{StreamDep: 2*i + 1})
			},
			reason: errResetFlood.reason, most: 200,
		},
		{
			name:   "malformed requests",
			once:   func(p *peer, i uint32) { p.headers(2*i+1, true, ":method", "GET") },
			reason: errResetFlood.reason, most: 200,
		},
		{
			name:   "more streams than allowed",
			once:   func(p *peer, i uint32) { p.get(2*i + 1) },
			reason: errResetFlood.reason, most: 301,
		},
		{
			name: "data on closed streams",
			prepare: func(p *peer) {
				for id := uint32(1); id < 100; id += 2 {
					p.get(id)
					p.answer(id)
				}
			},
			once:   func(p *peer, i uint32) { p.data(2*(i%50)+1, false, "x") },
			reason: errResetFlood.reason, most: 200,
		},
		{
			name:   "SETTINGS (CVE-2019-9515)",
			once:   func(p *peer, _ uint32) { _ = p.framer.WriteSettings() },
			reason: errControlFlood.reason, most: 100,
		},
		{
			name: "SETTINGS with many settings",
			once: func(p *peer, _ uint32) {
				_ = p.framer.WriteSettings(make([]http2.Setting, 2000)...)
			},
			reason: errControlFlood.reason, most: 1,
		},
		{
			name:   "PING (CVE-2019-9512)",
			once:   func(p *peer, _ uint32) { _ = p.framer.WritePing(false, [8]byte{}) },
			reason: errControlFlood.reason, most: 1000,
		},
		{
			name:   "PING answers",
			once:   func(p *peer, _ uint32) { _ = p.framer.WritePing(true, [8]byte{}) },
			reason: errControlFlood.reason, most: 1000,
		},
		{
			name:    "empty DATA (CVE-2019-9518)",
			prepare: func(p *peer) { p.post(1) },
			once:    func(p *peer, _ uint32) { p.data(1, false, "") },
			reason:  errControlFlood.reason, most: 1000,
		},
		{
			name:    "DATA that is padding",
			prepare: func(p *peer) { p.post(1) },
			once: func(p *peer, _ uint32) {
				_ = p.framer.WriteDataPadded(1, false, nil,
					make([]byte, 255))
			},
			reason: errControlFlood.reason, most: 1000,
		},
		{
			name:    "empty DATA on a stream we have reset",
			prepare: func(p *peer) { p.post(1); p.send(p.conn.Reset(nil, p.stream(1), Cancel)) },
			once:    func(p *peer, _ uint32) { p.data(1, false, "") },
			reason:  errControlFlood.reason, most: 1000,
		},
		{
			name:    "HEADERS on a stream we have reset",
			prepare: func(p *peer) { p.post(1); p.send(p.conn.Reset(nil, p.stream(1), Cancel)) },
			once:    func(p *peer, _ uint32) { p.headers(1, true, "x", "y") },
			reason:  errControlFlood.reason, most: 1000,
		},
		{
			name:   "WINDOW_UPDATE of the connection",
			once:   func(p *peer, _ uint32) { _ = p.framer.WriteWindowUpdate(0, 1) },
			reason: errControlFlood.reason, most: 1000,
		},
		{
			name: "WINDOW_UPDATE of one byte that lets one byte out",
			prepare: func(p *peer) {
				_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize})
				p.get(1)
				p.head(1, 200, false)
				p.send(p.conn.AppendData(nil, p.stream(1), make([]byte, 4096), false))
			},
			once:   func(p *peer, _ uint32) { _ = p.framer.WriteWindowUpdate(1, 1) },
			reason: errControlFlood.reason, most: 1000,
		},
		{
			name: "SETTINGS of windows that let one byte out of each stream",
			prepare: func(p *peer) {
				_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize})
				for id := uint32(1); id < 200; id += 2 {
					p.get(id)
					p.head(id, 200, false)
					p.send(p.conn.AppendData(nil, p.stream(id), make([]byte, 4096), false))
				}
			},
			once: func(p *peer, i uint32) {
				_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: i + 1})
			},
			reason: errControlFlood.reason, most: 100,
		},
		{
			name:    "WINDOW_UPDATE of a closed stream",
			prepare: func(p *peer) { p.get(1); p.answer(1) },
			once:    func(p *peer, _ uint32) { _ = p.framer.WriteWindowUpdate(1, 1) },
			reason:  errControlFlood.reason, most: 1000,
		},
		{
			name:    "RST_STREAM of a closed stream",
			prepare: func(p *peer) { p.get(1); p.answer(1) },
			once:    func(p *peer, _ uint32) { _ = p.framer.WriteRSTStream(1, http2.ErrCodeCancel) },
			reason:  errControlFlood.reason, most: 1000,
		},
		{
			name: "PRIORITY (CVE-2019-9513)",
			once: func(p *peer, i uint32) {
				_ = p.framer.WritePriority(2*i+1, http2.PriorityParam{StreamDep: 2*i + 3, Exclusive: true})
			},
			reason: errControlFlood.reason, most: 1000,
		},
		{
			name:   "unknown frames",
			once:   func(p *peer, _ uint32) { _ = p.framer.WriteRawFrame(0xbb, 0, 1, nil) },
			reason: errControlFlood.reason, most: 1000,
		},
		{
			name:   "GOAWAY",
			once:   func(p *peer, _ uint32) { _ = p.framer.WriteGoAway(0, http2.ErrCodeNo, nil) },
			reason: errControlFlood.reason, most: 1000,
		},
		{
			name: "empty CONTINUATION (CVE-2023-45288)",
			prepare: func(p *peer) {
				_ = p.framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID:      1,
					BlockFragment: p.fields(getFields...),
				})
			},
			once:   func(p *peer, _ uint32) { _ = p.framer.WriteContinuation(1, false, nil) },
			reason: errBlockParts.reason, most: maxParts + 1,
		},
		{
			name: "long CONTINUATION",
			prepare: func(p *peer) {
				_ = p.framer.WriteHeaders(http2.HeadersFrameParam{
					StreamID:      1,
					BlockFragment: p.fields(getFields...),
				})
			},
			once: func(p *peer, i uint32) {
				_ = p.framer.WriteContinuation(1, false,
					p.fields("x", strings.Repeat(string(rune('a'+i%26)), 4000)))
			},
			reason: errBlockLen.reason, most: 10,
		},
	} {
		t.Run(tc.name, tc.run)
	}
}

// run repeats it until the connection ends, and looks at what that took.
func (tc *flood) run(t *testing.T) {
	const tooOften = 3000
	p := newPeer(t, nil)
	if tc.prepare != nil {
		tc.prepare(p)
		p.run()
	}
	sent, times := p.sent, 0
	for i := range uint32(tooOften) {
		times++
		tc.once(p, i)
		p.run()
		if p.event().Kind == Failed {
			break
		}
		p.events = p.events[:0]
		p.events = append(p.events, Event{})
	}
	e := p.event()
	if e.Kind != Failed || e.Reason != tc.reason {
		t.Fatalf("after %d times: got %+v, want the end by %q", times, e, tc.reason)
	}
	if times > tc.most+1 {
		t.Errorf("it ended after %d times, want %d", times, tc.most)
	}
	if each := (p.sent - sent) / times; each > 1100 {
		t.Errorf("each made us send %d bytes", each)
	}
	if !strings.HasPrefix(p.last(), "GOAWAY") {
		t.Errorf("the last frame is %q, want GOAWAY", p.last())
	}
	n := p.sent
	p.get(9999)
	if p.sent != n {
		t.Error("it still answers")
	}
}

// TestHonestClientsAreNotFloods lets as much time pass, or work be done, as for a busy browser or a
// gRPC client.
func TestHonestClientsAreNotFloods(t *testing.T) {
	t.Run("many requests", func(t *testing.T) {
		p := newPeer(t, nil)
		for i := range uint32(20000) {
			p.get(2*i + 1)
			p.answer(2*i + 1)
			_ = p.framer.WriteWindowUpdate(0, 5)
			p.got, p.events = nil, nil
		}
		p.run()
		if len(p.events) != 0 && p.event().Kind == Failed {
			t.Errorf("got %+v", p.event())
		}
	})
	t.Run("cancels and pings", func(t *testing.T) {
		p := newPeer(t, nil)
		for i := range uint32(20000) {
			p.conn.Tick(uint64(i) * 40)
			p.get(2*i + 1)
			_ = p.framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
			_ = p.framer.WritePing(false, [8]byte{})
			p.run()
			if p.event().Kind == Failed {
				t.Fatalf("after %d: got %+v", i, p.event())
			}
			p.got, p.events = nil, nil
		}
	})
	t.Run("a download that opens its windows by 16 KiB", func(t *testing.T) {
		p := newPeer(t, nil)
		p.get(1)
		p.head(1, 200, false)
		for range 20000 {
			p.send(p.conn.AppendData(nil, p.stream(1), make([]byte, 16<<10), false))
			_ = p.framer.WriteWindowUpdate(1, 16<<10)
			_ = p.framer.WriteWindowUpdate(0, 16<<10)
			p.run()
			if p.event().Kind == Failed {
				t.Fatalf("got %+v", p.event())
			}
			p.got, p.events = nil, nil
		}
	})
}

// TestHeaderBombs bounds the decoded size of a few bytes.
func TestHeaderBombs(t *testing.T) {
	send := func(block []byte, parts int) *peer {
		p := newPeer(t, nil)
		// An entry that nearly fills the table comes first.
		p.headers(1, true, append(getFields[:8:8], "x", strings.Repeat("v", 3900))...)
		p.answer(1)
		_ = p.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 3, BlockFragment: block,
			EndStream: true, EndHeaders: parts == 0,
		})
		for i := range parts {
			_ = p.framer.WriteContinuation(3, i == parts-1, block)
		}
		p.run()
		return p
	}
	for _, tc := range []struct {
		name  string
		block []byte
		want  string
	}{
		{"a byte for 4 KiB each", bytes.Repeat([]byte{0x80 | 62}, 10000), errBlockLen.reason},
		{"fields of nothing", bytes.Repeat([]byte{0x00, 0x00, 0x00}, 4000), errBlockLen.reason},
		{"indexed fields of nothing", bytes.Repeat([]byte{0x40, 0x00, 0x00}, 4000), errBlockLen.reason},
		{"an index that is not there", []byte{0xff, 0x80, 0x01}, errHPACK.reason},
		{"index 0", []byte{0x80}, errHPACK.reason},
		{"a table larger than allowed", []byte{0x3f, 0xe2, 0x1f}, errHPACK.reason},
		{"a table size that overflows", []byte{0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, errHPACK.reason},
		{"a table size after a field", []byte{0x82, 0x20}, errHPACK.reason},
		{"a string longer than the block", []byte{0x00, 0x7f, 0xff, 0xff, 0xff, 0x7f}, errHPACK.reason},
		{"a truncated string", []byte{0x00, 0x05, 'a'}, errHPACK.reason},
		{"Huffman padding that is not ones", []byte{0x00, 0x81, 0x00, 0x00}, errHPACK.reason},
		{"Huffman with the end of string", []byte{0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00}, errHPACK.reason},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := send(tc.block, 0)
			if e := p.event(); e.Kind != Failed || e.Reason != tc.want {
				t.Errorf("got %+v, want the end by %q", e, tc.want)
			}
			if got := cap(p.conn.in.head.text) + cap(p.conn.scratch.head) +
				cap(p.conn.scratch.cookie); got > 4*testLimits.HeadLen {
				t.Errorf("it made us hold %d bytes", got)
			}
		})
	}
	t.Run("table sizes over and over", func(t *testing.T) {
		block := []byte{}
		for range 2000 {
			block = append(block, 0x20, 0x3f, 0xe1, 0x1f)
		}
		p := send(append(block, p400...), 0)
		if e := p.event(); e.Kind != Request && e.Kind != Failed {
			t.Errorf("got %+v", e)
		}
	})
}

// p400 is a request that uses only the static table.
var p400 = []byte{0x82, 0x87, 0x84, 0x41, 1, 'a'}

// TestSlowReader bounds the memory for a client that asks for much and reads nothing: what the
// caller passes in beyond Room, and no more.
func TestSlowReader(t *testing.T) {
	p := newPeer(t, nil)
	_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize})
	const firstRead = 4096
	for i := range uint32(100) {
		p.get(2*i + 1)
		s := p.stream(2*i + 1)
		if got := p.conn.Room(s); got != 0 {
			t.Fatalf("there is room for %d", got)
		}
		p.head(s.ID, 200, false)
		p.send(p.conn.AppendData(nil, s, make([]byte, firstRead), false))
		if got := p.conn.Room(s); got != 0 {
			t.Fatalf("there is room for %d behind what waits", got)
		}
	}
	held := 0
	for s := range p.conn.Streams {
		held += cap(s.pending)
	}
	if held > 100*firstRead*5/4 {
		t.Errorf("100 streams hold %d bytes", held)
	}
	p.got = nil
	// Once the client reads, all of it goes out, and there is room again.
	_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535})
	_ = p.framer.WriteWindowUpdate(0, 1<<20)
	p.run()
	for s := range p.conn.Streams {
		if len(s.pending) != 0 || p.conn.Room(s) != 65535-firstRead {
			t.Fatalf("stream %d holds %d bytes and has room for %d", s.ID, len(s.pending), p.conn.Room(s))
		}
	}
}

func TestPrefaces(t *testing.T) {
	for name, input := range map[string]string{
		"HTTP/1.1":          "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"nearly":            preface[:23] + "x",
		"PING first":        preface + "\x00\x00\x08\x06\x00\x00\x00\x00\x00" + "12345678",
		"an acknowledgment": preface + "\x00\x00\x00\x04\x01\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			p := newSilentPeer(t, nil)
			p.in.WriteString(input)
			p.run()
			if e := p.event(); e.Kind != Failed || p.last() != "GOAWAY 0 PROTOCOL_ERROR" {
				t.Errorf("got %+v, %q", e, p.got)
			}
		})
	}
}
