package tlsconn_test

import (
	"crypto/tls"
	"testing"

	"reprise/tlsconn"
	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
	"reprise/tlsconn/schedule"
)

// Each KeyUpdate costs a key schedule for 27 bytes. A byte of data between some of
// them buys no others: crypto/tls takes such a flood for ever.
func TestKeyUpdateFloodIsBounded(t *testing.T) {
	const flood, bound = 150000, 40
	l, h, renew := dialRenewing(t)
	taken := 0
	for ; taken < flood && l.conn.State() == tlsconn.Connected; taken++ {
		// every other one asks for an answer
		l.feed(seal(h, record.Handshake, 24, 0, 0, 1, byte(taken%2)))
		h = renew()
		if taken%15 == 14 {
			l.feed(seal(h, record.ApplicationData, 'x'))
		}
	}
	if taken > bound {
		t.Errorf("%d key updates were taken, want %d at most", taken, bound)
	}
	wantReason(t, l.conn, tlsconn.ReasonTooMany)
}

// A client that moves data may renew its keys as often as its data needs.
func TestDataEarnsKeyUpdates(t *testing.T) {
	l, h, renew := dialRenewing(t)
	full := make([]byte, record.MaxPlain)
	for range 100 {
		for range 17 {
			l.feed(seal(h, record.ApplicationData, full...))
		}
		l.plain = nil
		l.feed(seal(h, record.Handshake, 24, 0, 0, 1, 0))
		h = renew()
	}
	if l.conn.State() != tlsconn.Connected {
		t.Errorf("after 100 key updates, each for 272 KiB of data: %v, %v", l.conn.State(), l.conn.Err())
	}
}

// What follows the handshake without content ends it soon, whatever it is.
func TestUselessRecordsAfterTheHandshake(t *testing.T) {
	const bound = 20
	for name, record := range map[string]struct {
		kind record.Type
		data []byte
	}{
		"empty data":    {record.ApplicationData, nil},
		"user_canceled": {record.Alert, []byte{1, 90}},
	} {
		l := dial(handmadeServer(t, nil, nil), &tls.Config{})
		if err := l.client.Handshake(); err != nil {
			t.Fatal(err)
		}
		l.flush()
		h := l.half13(t, "CLIENT_TRAFFIC_SECRET_0")
		taken := 0
		for ; taken < 1000 && l.conn.State() == tlsconn.Connected; taken++ {
			l.feed(seal(h, record.kind, record.data...))
		}
		if taken > bound {
			t.Errorf("%s: %d were taken", name, taken)
		}
		wantReason(t, l.conn, tlsconn.ReasonTooMany)
	}
}

// Early data is skipped, whether it comes before a second hello or under a key that
// we do not have, up to a bound; in records of any size.
func TestEarlyDataIsSkippedUpToABound(t *testing.T) {
	const most = 20 << 10
	for _, test := range []struct {
		name   string
		shares []byte // extension key_share
	}{
		{"before a second hello", ext16(51, v16()...)},
		{"under an unknown key", extShare(29)},
	} {
		for _, size := range []int{1, 100, 16 << 10, 16<<10 + 256} {
			s := handmadeServer(t, nil, nil)
			conn := s.NewConn(noWaker{})
			conn.Feed(nil, plainRecord(22, handHello(0x0303, nil, []byte{0x13, 1}, extName, extGroups,
				extSigAlgs, ext13, ext16(42), test.shares)))
			if conn.State() != tlsconn.ExpectHandshakeBytes {
				t.Fatalf("%s: %v, %v", test.name, conn.State(), conn.Err())
			}
			skipped := 0
			for conn.State() == tlsconn.ExpectHandshakeBytes && skipped < 10*most {
				conn.Feed(nil, plainRecord(23, make([]byte, size)))
				skipped += size
			}
			switch {
			case conn.State() != tlsconn.Failed:
				t.Errorf("%s, records of %d bytes: %d bytes were skipped, want an end", test.name, size, skipped)
			case skipped > most+size:
				t.Errorf("%s, records of %d bytes: %d bytes were skipped, want %d at most", test.name, size, skipped, most)
			case skipped <= 16<<10 && size <= 16<<10:
				t.Errorf("%s, records of %d bytes: no more than %d bytes were skipped: %v", test.name, size, skipped, conn.Err())
			}
			if got := s.Counts().EarlyDataSkipped.Load(); got > 1 {
				t.Errorf("%s: counted %d times", test.name, got)
			}
			conn.Abort()
		}
	}
}

// dialRenewing returns a client that is connected, the keys by which it sends, and what renews
// them.
func dialRenewing(t *testing.T) (l *handmadeLink, h *record.Half, renew func() *record.Half) {
	t.Helper()
	l = dial(handmadeServer(t, nil, nil), &tls.Config{})
	if err := l.client.Handshake(); err != nil {
		t.Fatal(err)
	}
	l.flush()
	suite := primitive.SuiteByID(l.conn.Info().CipherSuite)
	secret := l.secret(t, "CLIENT_TRAFFIC_SECRET_0")
	var kdf schedule.Scratch
	return l, halfOf(suite, secret), func() *record.Half {
		kdf.NextTraffic(suite.Hash, secret)
		return halfOf(suite, secret)
	}
}
