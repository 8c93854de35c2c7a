package tlsconn_test

import (
	"crypto/tls"
	"runtime"
	"testing"
	"time"

	"reprise/tlsconn"
	"reprise/tlsconn/record"
)

// oneByteRecords cuts a handshake message into records of one byte.
func oneByteRecords(msg []byte) (all []byte) {
	for _, b := range msg {
		all = append(all, 22, 3, 1, 0, 1, b)
	}
	return all
}

// A message in records of one byte costs about as much as its bytes: gathering must not copy all
// earlier bytes again for each record.
func TestMessageInSmallRecordsCostsItsLength(t *testing.T) {
	s := handmadeServer(t, nil, func(c *tlsconn.Config) { c.Sessions = nil })
	hello := handHello(0x0303, nil, []byte{0x13, 1}, ext16(21, make([]byte, 16000)...))
	stream := oneByteRecords(hello[:len(hello)-1])
	cost := func(chunk int) (allocated uint64, longest, spent time.Duration) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		conn := s.NewConn(noWaker{})
		start := time.Now()
		for b := stream; len(b) > 0; {
			n := min(len(b), chunk)
			turn := time.Now()
			conn.Feed(nil, b[:n])
			longest = max(longest, time.Since(turn))
			b = b[n:]
		}
		spent = time.Since(start)
		runtime.ReadMemStats(&after)
		if conn.State() != tlsconn.ExpectHandshakeBytes {
			t.Fatal(conn.State(), conn.Err())
		}
		conn.Abort()
		return after.TotalAlloc - before.TotalAlloc, longest, spent
	}
	allocated, longest, spent := cost(64 << 10)
	t.Logf("%d bytes of the client's: %d KB allocated, %v, longest Feed %v", len(stream), allocated>>10, spent, longest)
	if allocated > 10*uint64(len(stream)) {
		t.Errorf("%d bytes in cost %d bytes of allocations, %d times as many", len(stream), allocated, allocated/uint64(len(stream)))
	}
}

// RFC 8446, Section 5.1: no other record stands within a message.
func TestMessageAfterHandshakeIsNotInterleaved(t *testing.T) {
	s := handmadeServer(t, nil, func(c *tlsconn.Config) { c.Sessions = nil })
	l := dial(s, &tls.Config{})
	if err := l.client.Handshake(); err != nil {
		t.Fatal(err)
	}
	l.flush()
	h := l.half13(t, "CLIENT_TRAFFIC_SECRET_0")
	update := []byte{24, 0, 0, 1, 0}
	l.feed(seal(h, record.Handshake, update[:2]...))
	l.feed(seal(h, record.ApplicationData, 'x'))
	if l.conn.State() != tlsconn.Failed {
		t.Errorf("data within a KeyUpdate: %v, read %q", l.conn.State(), l.plain)
	}
}
