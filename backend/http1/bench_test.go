package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
)

// Heads as they are in practice: a browser's, and that of a small API client.
var (
	browserHead = lines("GET /search/results?query=session+resumption&page=2&sort=relevance HTTP/1.1|Host: www.example.com|" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0|" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8|" +
		"Accept-Language: en-US,en;q=0.5|Accept-Encoding: gzip, deflate, br, zstd|Connection: keep-alive|" +
		"Referer: https://www.example.com/search|Cookie: session=2f1c7d8e9a0b4c5d6e7f; theme=dark|" +
		"Upgrade-Insecure-Requests: 1|Sec-Fetch-Dest: document|Sec-Fetch-Mode: navigate|Priority: u=0, i||")
	smallHead = lines("GET /api/v1/items/42 HTTP/1.1|Host: api.example.com|User-Agent: x|Accept: */*||")

	responseHead = lines("HTTP/1.1 200 OK|Server: nginx/1.22.1|Date: Tue, 15 Nov 1994 08:12:31 GMT|Content-Type: text/html; charset=utf-8|" +
		"Content-Length: 612|Connection: keep-alive|ETag: \"66a2b8c0-264\"|Accept-Ranges: bytes||")
)

func BenchmarkRequest(b *testing.B) {
	forward := Forward{
		Client: netip.MustParseAddrPort("192.0.2.1:1234"), Secure: true, ListenPort: 443,
		KeepAlive: true,
	}
	for name, head := range map[string][]byte{"browser": browserHead, "small": smallHead} {
		var r Request
		if err := r.Parse(head, &testLimits); err != nil {
			b.Fatal(err)
		}
		label := fmt.Sprintf("head=%s/bytes=%d/fields=%d", name, len(head), len(r.Fields))
		b.Run("op=parse/"+label, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n := HeadLen(head, 0); r.Parse(head[:n], &testLimits) != nil {
					b.Fatal("refused")
				}
			}
		})
		b.Run("op=append/"+label, func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]byte, 0, 4096)
			for b.Loop() {
				dst = AppendRequest(dst[:0], &r, &forward)
			}
		})
		b.Run("op=append-with-rules/"+label, func(b *testing.B) {
			b.ReportAllocs()
			forward := forward
			forward.Facts = &someFacts
			forward.Rules = rules(b, "set X-Real-IP: ${REMOTE_ADDR}", "set X-Client-DN: ${SSL_CLIENT_S_DN}", "set X-Request-ID: ${REQUEST_ID}", "remove X-Debug")
			dst := make([]byte, 0, 4096)
			for b.Loop() {
				dst = AppendRequest(dst[:0], &r, &forward)
			}
		})
		b.Run("op=net-http/"+label, func(b *testing.B) {
			b.ReportAllocs()
			source := bytes.NewReader(head)
			in := bufio.NewReader(source)
			for b.Loop() {
				source.Reset(head)
				in.Reset(source)
				if _, err := http.ReadRequest(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkResponse(b *testing.B) {
	var r Response
	get := []byte("GET")
	if err := r.Parse(responseHead, get, &testLimits); err != nil {
		b.Fatal(err)
	}
	label := fmt.Sprintf("bytes=%d/fields=%d", len(responseHead), len(r.Fields))
	b.Run("op=parse/"+label, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if n := HeadLen(responseHead, 0); r.Parse(responseHead[:n], get, &testLimits) != nil {
				b.Fatal("refused")
			}
		}
	})
	b.Run("op=append/"+label, func(b *testing.B) {
		b.ReportAllocs()
		out := Outgoing{Minor: 1, Framing: r.Framing, Length: r.Length}
		dst := make([]byte, 0, 4096)
		for b.Loop() {
			dst = AppendResponse(dst[:0], &r, &out)
		}
	})
	b.Run("op=net-http/"+label, func(b *testing.B) {
		b.ReportAllocs()
		source := bytes.NewReader(responseHead)
		in := bufio.NewReader(source)
		for b.Loop() {
			source.Reset(responseHead)
			in.Reset(source)
			if _, err := http.ReadResponse(in, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkChunked reads bodies of 64 KiB in chunks as servers cut them.
func BenchmarkChunked(b *testing.B) {
	for _, size := range []int{64, 4096, 32768} {
		var p []byte
		for range 65536 / size {
			p = AppendChunk(p, make([]byte, size))
		}
		p = AppendLastChunk(p, nil)
		b.Run(fmt.Sprintf("chunk=%d", size), func(b *testing.B) {
			b.SetBytes(65536)
			b.ReportAllocs()
			for b.Loop() {
				var body Body
				body.Start(Chunked, 0, &testLimits)
				for rest := p; !body.Done(); {
					_, n, err := body.Next(rest)
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			}
		})
	}
}
