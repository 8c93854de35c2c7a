package tlsconn_test

import (
	"crypto/tls"
	"testing"

	"reprise/tlsconn"
)

// A Read with no room loses nothing.
func TestReadWithoutRoomLosesNothing(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := handmadeServer(t, nil, func(c *tlsconn.Config) { c.Sessions = nil })
		l := dial(s, &tls.Config{MaxVersion: version})
		if err := l.client.Handshake(); err != nil {
			t.Fatal(err)
		}
		l.flush()
		for _, b := range []string{"one", "two", "three"} {
			_, _ = l.client.Write([]byte(b))
		}
		var got []byte
		in := l.sent
		conn := l.conn
		conn.Feed(nil, in)
		p := make([]byte, 2)
		for i := range 40 {
			n, _ := conn.Read(nil, p[:min(i%2*2, 2)]) // no room every second time
			got = append(got, p[:n]...)
		}
		if string(got) != "onetwothree" {
			t.Errorf("%x: read %q", version, got)
		}
		_ = tlsconn.Failed
	}
}
