package peek_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"reprise/tlsconn/peek"
)

// helloFor returns what Go's client sends first.
func helloFor(t testing.TB, name string) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		tls.Client(theirs, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		theirs.Close()
	}()
	header := make([]byte, 5)
	if _, err := io.ReadFull(ours, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(ours, body); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	return append(header, body...)
}

// inRecords puts the message of one record into records of so many bytes.
func inRecords(record []byte, size int) (out []byte) {
	for chunk := range slices.Chunk(record[5:], size) {
		out = append(out, 22, 3, 1, byte(len(chunk)>>8), byte(len(chunk)))
		out = append(out, chunk...)
	}
	return out
}

// read feeds p in pieces and returns the result.
func read(p []byte, pieces func(left int) int) string {
	var r peek.Reader
	for fed := 0; fed < len(p); {
		n := pieces(len(p) - fed)
		done := r.Feed(p[fed : fed+n])
		if fed += n; done {
			return "name " + r.ServerName(p[:fed])
		}
	}
	return "more"
}

func whole(left int) int    { return left }
func oneByOne(int) int      { return 1 }
func atRandom(left int) int { return 1 + rand.IntN(left) }

// TestServerName: a name is found however the hello is cut into records and segments.
func TestServerName(t *testing.T) {
	hello := helloFor(t, "www.example.com")
	for _, size := range []int{1, 3, 4, 5, 100, 1 << 14} {
		p := inRecords(hello, size)
		for name, pieces := range map[string]func(int) int{"whole": whole, "one by one": oneByOne, "at random": atRandom} {
			if got := read(p, pieces); got != "name www.example.com" {
				t.Errorf("records of %d, %s: got %q", size, name, got)
			}
			if got := read(p[:len(p)-1], pieces); got != "more" {
				t.Errorf("records of %d, %s, without the last byte: got %q", size, name, got)
			}
			if got := read(append(slices.Clone(p), "what follows"...), pieces); got != "name www.example.com" {
				t.Errorf("records of %d, %s, with more: got %q", size, name, got)
			}
		}
	}
}

// TestNoName: input without a name, or other than TLS, is detected as early as possible.
func TestNoName(t *testing.T) {
	hello := helloFor(t, "")
	long := []byte{1, 0, 0x40, 1}
	tests := []struct{ name, p, want string }{
		{"TLS without a name", string(hello), "name "},
		{"HTTP", "G", "name "},
		{"SSH", "SSH-2.0-x\r\n", "name "},
		{"an alert", "\x15\x03\x01\x00\x02\x01\x00", "name "},
		{"another version", "\x16\x02", "name "},
		{"an empty record", "\x16\x03\x01\x00\x00", "name "},
		{"a record that is too long", "\x16\x03\x01\x40\x01", "name "},
		{"another message", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", "name "},
		{"an empty hello", "\x16\x03\x01\x00\x04\x01\x00\x00\x00", "name "},
		{"a hello that is too long", "\x16\x03\x01\x00\x04" + string(long), "name "},
		{"another record in the middle of the message", "\x16\x03\x01\x00\x01\x01\x17", "name "},
		{"nothing", "", "more"},
		{"the first byte", "\x16", "more"},
		{"half a header", "\x16\x03\x01", "more"},
	}
	for _, test := range tests {
		if got := read([]byte(test.p), oneByOne); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// FuzzReader: pieces do not matter, and a name has no more bytes than were sent.
func FuzzReader(f *testing.F) {
	hello := helloFor(f, "a.example")
	f.Add(hello, uint8(1))
	f.Add(inRecords(hello, 7), uint8(3))
	f.Add([]byte("GET / HTTP/1.1\r\n"), uint8(5))
	f.Fuzz(func(t *testing.T, p []byte, size uint8) {
		want := read(p, whole)
		if got := read(p, func(left int) int { return min(left, int(size)+1) }); got != want {
			t.Fatalf("in pieces of %d: got %q, want %q", int(size)+1, got, want)
		}
		if name, ok := strings.CutPrefix(want, "name "); ok && len(name) > len(p) {
			t.Fatalf("%q of %d bytes", name, len(p))
		}
	})
}

func ExampleReader() {
	var r peek.Reader
	fmt.Println(r.Feed([]byte("\x16\x03")), r.Feed([]byte("\x01")))
	fmt.Println(r.Feed([]byte("\x00\x00")), r.ServerName([]byte("\x16\x03\x01\x00\x00")) == "")
	// Output:
	// false false
	// true true
}

func BenchmarkReader(b *testing.B) {
	hello := helloFor(b, "www.example.com")
	b.ReportAllocs()
	for b.Loop() {
		var r peek.Reader
		r.Feed(hello)
		r.ServerName(hello)
	}
}
