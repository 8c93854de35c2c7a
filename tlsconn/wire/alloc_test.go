package wire

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
)

// clientHello returns what crypto/tls's client sends first.
func clientHello(tb testing.TB, c *tls.Config) []byte {
	tb.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		_ = tls.Client(client, c).Handshake() // ends with the pipe
		client.Close()
	}()
	var header [5]byte
	if _, err := io.ReadFull(server, header[:]); err != nil {
		tb.Fatal(err)
	}
	msg := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(server, msg); err != nil {
		tb.Fatal(err)
	}
	return msg
}

// sink keeps results alive.
var sink []byte

func TestParsingDoesNotAllocate(t *testing.T) {
	msg := clientHello(t, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2"}})
	var h ClientHello
	got := testing.AllocsPerRun(100, func() {
		if f := h.Parse(msg); f != None {
			t.Fatalf("Parse: %v", f)
		}
		if f := h.Check13(); f != None {
			t.Fatalf("Check13: %v", f)
		}
		sink, _ = h.KeyShare(29)
	})
	if got != 0 {
		t.Errorf("parsing a ClientHello makes %v allocations, want 0", got)
	}
}

func BenchmarkParse(b *testing.B) {
	for name, msg := range hellos(b) {
		b.Run("hello="+name, func(b *testing.B) {
			var h ClientHello
			b.ReportAllocs()
			for b.Loop() {
				h.Parse(msg)
			}
		})
	}
}
