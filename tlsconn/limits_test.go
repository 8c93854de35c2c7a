package tlsconn_test

import (
	"crypto/tls"
	"runtime"
	"testing"

	"reprise/tlsconn"
	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
	"reprise/tlsconn/schedule"
)

// A renegotiation is distinguished from garbage however long its hello is.
func TestRenegotiationWithLongHello(t *testing.T) {
	p, seal := engines[0].sealing(t)
	hello := handHello(0x0303, nil, []byte{0xc0, 0x2b}, ext16(21, make([]byte, 1500)...))
	p.link.toServer = append(p.link.toServer, seal(22, hello)...)
	p.link.drive()
	wantReason(t, p.conn, tlsconn.ReasonRenegotiation)
}

// A long hello is taken, but not of everybody at once: what clients that have proved
// nothing make a server hold does not grow with their number.
func TestLongHellosAreFew(t *testing.T) {
	const few = 4
	s := handmadeServer(t, nil, func(c *tlsconn.Config) { c.Sessions = nil })
	hello := handHello(0x0303, nil, []byte{0xc0, 0x2b}, extName, extGroups, extSigAlgs, extEMS,
		ext16(21, make([]byte, 60_000)...))
	begin := func() tlsconn.Conn {
		c := s.NewConn(noWaker{})
		c.Feed(nil, plainRecord(22, hello[:16<<10]))
		return c
	}
	finish := func(c tlsconn.Conn) {
		t.Helper()
		var out []byte
		for rest := hello[16<<10:]; len(rest) > 0; rest = rest[min(len(rest), 16<<10):] {
			out = c.Feed(out, plainRecord(22, rest[:min(len(rest), 16<<10)]))
		}
		if c.State() != tlsconn.ExpectHandshakeBytes || len(out) == 0 || out[0] != 22 {
			t.Fatalf("a long hello: %v (%v), answer %.20x", c.State(), c.Err(), out)
		}
	}
	var conns []tlsconn.Conn
	for range few {
		conns = append(conns, begin())
	}
	wantReason(t, begin(), tlsconn.ReasonOversized)
	for _, c := range conns {
		finish(c)
		c.Abort()
	}
	c := begin()
	finish(c)
	c.Abort()

	c = s.NewConn(noWaker{})
	c.Feed(nil, plainRecord(22, []byte{1, 1, 0, 1}))
	wantReason(t, c, tlsconn.ReasonOversized)
}

// A client that takes much and says little may change keys now and then for ever.
func TestSentDataEarnsKeyUpdates(t *testing.T) {
	s := handmadeServer(t, nil, func(c *tlsconn.Config) { c.Sessions = nil })
	l := dial(s, &tls.Config{})
	if err := l.client.Handshake(); err != nil {
		t.Fatal(err)
	}
	l.flush()
	suite := primitive.SuiteByID(l.conn.Info().CipherSuite)
	secret := l.secret(t, "CLIENT_TRAFFIC_SECRET_0")
	var k schedule.Scratch
	data := make([]byte, 1<<20)
	for i := range 100 {
		l.conn.Write(nil, data) // a long download
		l.feed(seal(halfOf(suite, secret), record.Handshake, 24, 0, 0, 1, 1))
		k.NextTraffic(suite.Hash, secret)
		if l.conn.State() != tlsconn.Connected {
			t.Fatalf("after %d MB and %d key updates: %v", i, i+1, l.conn.Err())
		}
	}
}

// An idle connection has paid for the memory that it holds.
func TestHalfRecordsHoldWhatTheyHaveSent(t *testing.T) {
	s := handmadeServer(t, nil, func(c *tlsconn.Config) { c.Sessions = nil })
	const n, sent = 500, 1100
	part := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, sent-5)...)
	part[5] = 1
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var conns []tlsconn.Conn
	for range n {
		c := s.NewConn(noWaker{})
		c.Feed(nil, part)
		conns = append(conns, c)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	per := (after.HeapAlloc - before.HeapAlloc) / n
	t.Logf("%d bytes for %d of the client's", per, sent)
	if per > 8*sent {
		t.Errorf("a connection that has sent %d bytes holds %d", sent, per)
	}
	for _, c := range conns {
		c.Abort()
	}
}
