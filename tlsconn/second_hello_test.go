package tlsconn_test

import (
	"testing"

	"reprise/tlsconn"
)

// RFC 8446, Section 4.2.10: a client that was asked for another hello sends no early
// data any more, so that what does not open after it is bad_record_mac.
func TestNoEarlyDataIsSkippedAfterSecondHello(t *testing.T) {
	s := handmadeServer(t, nil, func(c *tlsconn.Config) { c.Sessions = nil })
	conn := s.NewConn(noWaker{})
	one := handHello(0x0303, nil, []byte{0x13, 1}, extName, extGroups, extSigAlgs, ext13, ext16(42),
		ext16(51, v16()...))
	two := handHello(0x0303, nil, []byte{0x13, 1}, extName, extGroups, extSigAlgs, ext13, extShare(29))
	copy(two[6:38], one[6:38])
	conn.Feed(nil, plainRecord(22, one))
	conn.Feed(nil, plainRecord(23, make([]byte, 100))) // early data under way: skipped
	conn.Feed(nil, plainRecord(22, two))
	if conn.State() != tlsconn.ExpectHandshakeBytes {
		t.Fatal(conn.State(), conn.Err())
	}
	conn.Feed(nil, plainRecord(23, make([]byte, 100)))
	if conn.State() != tlsconn.Failed {
		t.Errorf("a record that does not open after the second hello: %v", conn.State())
	}
}

// RFC 8446, Section 4.1.2: the second hello has one share, of the group asked for,
// and no cookie, for none was given.
func TestSecondHelloChangesOnlyWhatItMay(t *testing.T) {
	s := handmadeServer(t, nil, func(c *tlsconn.Config) { c.Sessions = nil })
	for name, exts := range map[string][][]byte{
		"cookie":         {extName, extGroups, extSigAlgs, ext13, ext16(44, v16(1)...), extShare(29)},
		"two shares":     {extName, extGroups, extSigAlgs, ext13, extShare(29, 23)},
		"new extension":  {extName, extGroups, extSigAlgs, ext13, ext16(23), extShare(29)},
		"sig_algs_cert":  {extName, extGroups, extSigAlgs, ext13, ext16(50, v16(4, 3)...), extShare(29)},
		"renegotiation":  {extName, extGroups, extSigAlgs, ext13, ext16(0xff01, 0), extShare(29)},
		"post_handshake": {extName, extGroups, extSigAlgs, ext13, ext16(49), extShare(29)},
		"authorities":    {extName, extGroups, extSigAlgs, ext13, ext16(47, v16(v16(0x30, 0)...)...), extShare(29)},
		"ticket":         {extName, extGroups, extSigAlgs, ext13, ext16(35), extShare(29)},
	} {
		conn := s.NewConn(noWaker{})
		one := handHello(0x0303, nil, []byte{0x13, 1}, extName, extGroups, extSigAlgs, ext13,
			ext16(51, v16()...))
		two := handHello(0x0303, nil, []byte{0x13, 1}, exts...)
		copy(two[6:38], one[6:38])
		conn.Feed(nil, plainRecord(22, one))
		conn.Feed(nil, plainRecord(22, two))
		if conn.State() != tlsconn.Failed {
			t.Errorf("%s: %v", name, conn.State())
		}
	}
}
