package http1

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestChunked checks the result of each chunked body, however it arrives. It is long because it is
// a table.
func TestChunked(t *testing.T) {
	for _, tc := range []struct {
		name string
		body string
		want string // "data|trailer|rest", or the failure
	}{
		{"empty", "0\r\n\r\n", "||"},
		{"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello||"},
		{"two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world||"},
		{"hexadecimal in both cases", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789||"},
		{"CR LF in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n||"},
		{"what follows stays", "1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "x||GET / HTTP/1.1\r\n"},
		{"leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello||"},
		{"sixteen digits", "0000000000000005\r\nhello\r\n0\r\n\r\n", "hello||"},
		{"extensions", "5;a;b=c;d=\"e f\"\r\nhello\r\n0;x\r\n\r\n", "hello||"},
		{"extension with a quoted pair", "5;a=\"b\\\";\r\"\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension with an escaped quote", "5;a=\"\\\"\\\\;\t\u00fc\";b\r\nhello\r\n0\r\n\r\n", "hello||"},
		{"extension with an empty string", "5;a=\"\"\r\nhello\r\n0;b=c\r\n\r\n", "hello||"},
		{"longest extension", "5;" + strings.Repeat("a", 256) + "\r\nhello\r\n0\r\n\r\n", "hello||"},
		{"trailer", "1\r\nx\r\n0\r\nA: b\r\nX-Sum: 1\r\n\r\nrest", "x|A: b\r\nX-Sum: 1\r\n|rest"},
		{"trailer, some forbidden", "0\r\nContent-Length: 5\r\nA: b\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\nAUTHORIZATION: x\r\nCookie: x\r\nContent_Length: 5\r\nX-Real-IP: 1\r\nX!Forwarded-For: 1\r\nC: d\r\n\r\n", "|A: b\r\nC: d\r\n|"},
		{"trailer, all forbidden", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "||"},
		{"trailer with a long name", "0\r\n" + strings.Repeat("x", 40) + ": y\r\n\r\n", "|" + strings.Repeat("x", 40) + ": y\r\n|"},

		{"no size", "\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"extension without size", ";a\r\n\r\n", "400: malformed chunk size"},
		{"plus", "+5\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"minus", "-1\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"minus zero", "-0\r\n\r\n", "400: malformed chunk size"},
		{"0x", "0x5\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"underscore", "1_0\r\n", "400: malformed chunk size"},
		{"space before", " 5\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"space after", "5 \r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"tab after", "5\t\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"space before an extension", "5 ;a\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"not hexadecimal", "g\r\n", "400: malformed chunk size"},
		{"seventeen digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"overflow into the sign", "8000000000000000\r\n", "400: malformed chunk size"},
		{"overflow", "ffffffffffffffff\r\n", "400: malformed chunk size"},
		{"largest", "7fffffffffffffff\r\nx", "400: message ends too early"},
		{"bare LF after the size", "5\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"bare CR after the size", "5\rhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"bracket in an extension", "5;bad[=x\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension without a name", "5;\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"second extension without a name", "5;a;\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension of a value only", "5;=a\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension without its value", "5;a=\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension without its value, and another", "5;a=;b\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension with two values", "5;a=b=c\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension with a space", "5; a\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension with a space behind", "5;a \r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension with an open string", "5;a=\"b\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension with an open pair", "5;a=\"b\\\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension with more behind a string", "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension with a string in a token", "5;a=b\"c\"\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"extension of the last chunk", "5\r\nhello\r\n0;\r\n\r\n", "400: malformed or long chunk extension"},
		{"NUL in an extension", "5;\x00\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"long extension", "5;" + strings.Repeat("a", 257) + "\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
		{"data too long", "5\r\nhello!\r\n0\r\n\r\n", "400: chunk data does not end in CR LF"},
		{"data too short", "6\r\nhello\r\n0\r\n\r\n", "400: chunk data does not end in CR LF"},
		{"bare LF after the data", "5\r\nhello\n0\r\n\r\n", "400: chunk data does not end in CR LF"},
		{"bare CR after the data", "5\r\nhello\r0\r\n\r\n", "400: chunk data does not end in CR LF"},
		{"bare LF at the end", "0\r\n\n", "400: malformed trailer"},
		{"bare LF in the trailer", "0\r\nA: b\n\r\n", "400: malformed trailer"},
		{"bare CR in the trailer", "0\r\nA: b\rC: d\r\n\r\n", "400: malformed trailer"},
		{"request in the trailer", "0\r\nGET / HTTP/1.1\r\n\r\n", "400: malformed trailer"},
		{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", "400: malformed trailer"},
		{"NUL in the trailer", "0\r\nA: \x00\r\n\r\n", "400: malformed trailer"},
		{"long trailer", "0\r\nA: " + strings.Repeat("x", 256) + "\r\n\r\n", "400: long trailer"},
		{"long trailer of forbidden fields", "0\r\n" + strings.Repeat("Host: x\r\n", 32) + "\r\n", "400: long trailer"},
		{"end of stream in the size", "5", "400: message ends too early"},
		{"end of stream in the data", "5\r\nhell", "400: message ends too early"},
		{"end of stream before the last chunk", "5\r\nhello\r\n", "400: message ends too early"},
		{"end of stream in the end", "0\r\n\r", "400: message ends too early"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := strings.Replace(tc.want, "400: long trailer", "431: long trailer", 1)
			for name, cut := range cuts(len(tc.body)) {
				if got := readBody(Chunked, 0, tc.body, cut); got != want {
					t.Errorf("%s: got  %q\nwant %q", name, got, want)
				}
			}
		})
	}
}

// TestChunksOfBackends checks where a backend's chunks are accepted though a client's are not:
// servers in use pad their sizes, and only the client of a gateway that copies chunks could be
// confused by that; this one does not copy.
func TestChunksOfBackends(t *testing.T) {
	for _, tc := range []struct {
		name string
		body string
		want string
	}{
		{"space after", "5 \r\nhello\r\n0 \r\n\r\n", "hello||"},
		{"padded", "5     \r\nhello\r\n0\t\t \r\n\r\n", "hello||"},
		{"space before an extension", "5 ; a = \"b\" \r\nhello\r\n0\r\n\r\n", "hello||"},
		{"strange extensions", "5;bad[=x\r\nhello\r\n0;\r\n\r\n", "hello||"},
		{"most padding", "5" + strings.Repeat(" ", 256) + "\r\nhello\r\n0\r\n\r\n", "hello||"},
		{"padding without end", "5" + strings.Repeat(" ", 257) + "\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"space before", " 5\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"space alone", " \r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"space inside", "1 0\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"something else behind the space", "5 a\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"vertical tab after", "5\v\r\nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"bare LF behind the space", "5 \nhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"bare CR behind the space", "5 \rhello\r\n0\r\n\r\n", "400: malformed chunk size"},
		{"NUL in an extension", "5;\x00\r\nhello\r\n0\r\n\r\n", "400: malformed or long chunk extension"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, cut := range cuts(len(tc.body)) {
				var b Body
				b.StartResponse(Chunked, 0, &testLimits)
				if got := readStarted(&b, tc.body, cut); got != tc.want {
					t.Errorf("%s: got  %q\nwant %q", name, got, tc.want)
				}
			}
		})
	}
}

func TestBodies(t *testing.T) {
	for _, tc := range []struct {
		name    string
		framing Framing
		length  int64
		body    string
		want    string
	}{
		{"none", NoBody, 0, "rest", "||rest"},
		{"none, though a length is stated", NoBody, 5, "rest", "||rest"},
		{"by length", ByLength, 5, "hello", "hello||"},
		{"by length, with more", ByLength, 5, "hello world", "hello|| world"},
		{"by length, empty", ByLength, 0, "rest", "||rest"},
		{"by length, too short", ByLength, 5, "hell", "400: message ends too early"},
		{"until close", UntilClose, 0, "hello", "hello||"},
		{"until close, empty", UntilClose, 0, "", "||"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, cut := range cuts(len(tc.body)) {
				if got := readBody(tc.framing, tc.length, tc.body, cut); got != tc.want {
					t.Errorf("%s: got  %q\nwant %q", name, got, tc.want)
				}
			}
		})
	}
}

// cuts are ways in which n bytes may arrive: each returns the length of the next piece.
func cuts(n int) map[string]func() int {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	return map[string]func() int{
		"whole":      func() int { return n },
		"one by one": func() int { return 1 },
		"at random":  func() int { return 1 + random.IntN(9) },
	}
}

// readBody reads a body that arrives in pieces and then the end of the stream, like an engine that
// keeps nothing.
func readBody(f Framing, length int64, p string, cut func() int) string {
	var b Body
	b.Start(f, length, &testLimits)
	return readStarted(&b, p, cut)
}

func readStarted(b *Body, p string, cut func() int) string {
	var data []byte
	rest := []byte(p)
	for len(rest) > 0 && !b.Done() {
		size := min(cut(), len(rest))
		for piece := slices.Clone(rest[:size]); len(piece) > 0 && !b.Done(); {
			got, n, err := b.Next(piece)
			if err != nil {
				return describeRepeated(b, err)
			}
			if n == 0 || len(got) > n {
				return fmt.Sprintf("consumed %d of %q for %q", n, piece, got)
			}
			data = append(data, got...)
			piece, rest = piece[n:], rest[n:]
		}
	}
	if err := b.End(); err != nil {
		return describeError(err)
	}
	return fmt.Sprintf("%s|%s|%s", data, b.Trailer(), rest)
}

// describeRepeated describes an error if it is final.
func describeRepeated(b *Body, err error) string {
	if _, n, again := b.Next([]byte("0\r\n\r\n")); n != 0 || again != err || b.End() != err || b.Done() ||
		b.Trailer() != nil {
		return "went on after " + err.Error()
	}
	return describeError(err)
}

// TestAppendChunk reads what the writer wrote.
func TestAppendChunk(t *testing.T) {
	var written []byte
	for _, data := range []string{"hello", "", " ", strings.Repeat("x", 1000)} {
		written = AppendChunk(written, []byte(data))
	}
	written = AppendLastChunk(written, []byte("A: b\r\n"))
	want := "hello " + strings.Repeat("x", 1000) + "|A: b\r\n|"
	if got := readBody(Chunked, 0, string(written), func() int { return 7 }); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !bytes.HasPrefix(written, []byte("5\r\nhello\r\n1\r\n \r\n3e8\r\nx")) {
		t.Errorf("got %q", written[:32])
	}
}
