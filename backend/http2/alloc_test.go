package http2

import (
	"bytes"
	"io"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// browserFields are those of a browser's request, all of which are in the header table from the
// second request on.
var browserFields = []string{
	":method", "GET", ":authority", "www.example.org", ":scheme", "https", ":path", "/articles/2026/11/a-page.html",
	"sec-ch-ua-platform", `"Linux"`, "user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
	"sec-fetch-site", "same-origin", "sec-fetch-mode", "navigate", "sec-fetch-dest", "document",
	"referer", "https://www.example.org/", "accept-encoding", "gzip, deflate, br, zstd", "accept-language", "en-GB,en;q=0.9",
	"cookie", "session=0123456789abcdef0123456789abcdef", "cookie", "theme=dark",
}

// requests returns n requests, each on its stream, and a connection that has received the first.
func requests(n int, fields []string) (*Conn, [][]byte) {
	c := New(DefaultOptions(&testLimits), new(Scratch))
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	all := make([][]byte, n)
	for i := range all {
		block.Reset()
		for j := 0; j < len(fields); j += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: fields[j], Value: fields[j+1]})
		}
		all[i] = appendFrameHeader(nil, block.Len(), frameHeaders, flagEndHeaders|flagEndStream,
			uint32(2*i+1))
		all[i] = append(all[i], block.Bytes()...)
	}
	input := append([]byte(preface), 0, 0, 0, 4, 0, 0, 0, 0, 0)
	_, _, _ = c.Next(nil, input)
	return c, all
}

var contentType, textHTML, contentLength, eleven = []byte("Content-Type"), []byte("text/html"), []byte("Content-Length"), []byte("11")

// answerOne takes a request and answers it with a small page.
func answerOne(c *Conn, dst, request []byte) []byte {
	c.sendWindow = maxWindow
	out, _, e := c.Next(dst, request)
	s := e.Stream
	c.BeginHead(s, 200)
	c.Field(contentType, textHTML)
	c.Field(contentLength, eleven)
	out = c.AppendHead(out, s, false)
	return c.AppendData(out, s, []byte("hello world"), true)
}

// TestAllocations pins that a further request of a client costs one allocation: its stream.
func TestAllocations(t *testing.T) {
	const runs = 1000
	c, all := requests(runs+2, browserFields)
	dst := make([]byte, 0, 64<<10)
	i := 0
	answerOne(c, dst, all[0])
	if got := testing.AllocsPerRun(runs, func() {
		i++
		answerOne(c, dst, all[i])
	}); got > 1 {
		t.Errorf("got %v allocations, want 1", got)
	}
}

func BenchmarkConn(b *testing.B) {
	b.ReportAllocs()
	c, all := requests(10000, browserFields)
	dst := make([]byte, 0, 64<<10)
	for i := 0; b.Loop(); i++ {
		if i%len(all) == 0 {
			b.StopTimer()
			c, all = requests(len(all), browserFields)
			b.StartTimer()
		}
		answerOne(c, dst, all[i%len(all)])
	}
}

// BenchmarkFramer reads the same requests by x/net's framer, without answering them.
func BenchmarkFramer(b *testing.B) {
	b.ReportAllocs()
	_, all := requests(10000, browserFields)
	var reader bytes.Reader
	framer := http2.NewFramer(io.Discard, &reader)
	framer.SetReuseFrames()
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for i := 0; b.Loop(); i++ {
		if i%len(all) == 0 {
			framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		}
		reader.Reset(all[i%len(all)])
		if _, err := framer.ReadFrame(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkData is a response in pieces of 16 KiB.
func BenchmarkData(b *testing.B) {
	b.ReportAllocs()
	c, all := requests(1, browserFields)
	_, _, e := c.Next(nil, all[0])
	dst, p := make([]byte, 0, 64<<10), make([]byte, 16<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		c.sendWindow, e.Stream.sendWindow = maxWindow, maxWindow
		c.AppendData(dst, e.Stream, p, false)
	}
}
