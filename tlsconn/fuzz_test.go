package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"testing"

	"reprise/tlsconn"
)

// FuzzFeed gives a connection arbitrary bytes, cut where the input says, at
// first or once a handshake is complete. It must never panic, never go back to
// an earlier state and say nothing after a failure.
func FuzzFeed(f *testing.F) {
	client := clientConfig()
	hello := clientHello(f, client)
	client.MaxVersion = tls.VersionTLS12
	hello12 := clientHello(f, client)
	for _, seed := range append(noHellos(),
		hello, hello12, withExtension(hello, 42, nil), append(bytes.Clone(hello), hello...)) {
		f.Add(seed, byte(7), false)
		f.Add(seed, byte(0), true)
	}
	var servers []tlsconn.Server
	for _, e := range engines {
		servers = append(servers, e.server(f, func(c *tlsconn.Config) { c.ALPN = []string{"h2"} }))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut byte, connected bool) {
		for _, s := range servers {
			feed(t, newPair(t, s, nil), in, 1+int(cut), connected)
		}
	})
}

// feed gives p's server the input in pieces of length cut.
func feed(t *testing.T, p *pair, in []byte, cut int, connected bool) {
	t.Helper()
	if connected {
		p.doHandshake()
	}
	c, plaintext := p.conn, make([]byte, 512)
	before, out := c.State(), []byte(nil)
	for len(in) > 0 {
		n := min(len(in), cut)
		chunk := bytes.Clone(in[:n])
		in = in[n:]
		failed, outLen := c.State() == tlsconn.Failed, len(out)
		out = c.Feed(out, chunk)
		for {
			var n int
			if n, out = c.Read(out, plaintext); n == 0 {
				break
			}
			t.Fatal("plaintext from a client without a key")
		}
		clear(chunk)
		if failed && len(out) > outLen {
			t.Fatalf("output after a failure: % x", out[outLen:])
		}
		if c.State() < before || (c.State() == tlsconn.Failed) != (c.Err() != nil) {
			t.Fatalf("state %v after %v, error %v", c.State(), before, c.Err())
		}
		before = c.State()
	}
	c.Abort()
	if c.State() != tlsconn.Failed {
		t.Fatalf("after Abort: state %v", c.State())
	}
}

// noHellos are beginnings of messages other than a ClientHello.
func noHellos() [][]byte {
	return [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		{0x80, 0x2e, 1, 0, 2},
		{22, 3, 1, 0xff, 0xff},
		{21, 3, 3, 0, 2, 2, 40},
		{20, 3, 3, 0, 1, 1},
		{23, 3, 3, 0, 0},
		{23, 3, 3, 0x41, 0x01, 0},
	}
}
