package tlsconn

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"reprise/internal/testpki"
	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
)

// permitted is the state table as the RFCs have it (RFC 8446, Section 4; RFC 5246,
// Section 7.3; RFC 5746, Section 4.5), written down a second time.
var permitted = [expects][]byte{
	expectHello:         {1},
	expectSecondHello:   {1},
	expectCertificate13: {11},
	expectVerify13:      {15},
	expectFinished13:    {20},
	expectCertificate12: {11},
	expectKeyExchange12: {16},
	expectVerify12:      {15},
	expectCCS12:         {},
	expectFinished12:    {20},
	expectData13:        {24},
	expectData12:        {1}, // refused by a name of its own, no_renegotiation
}

// versionOf is what a connection in a row of the table speaks.
func versionOf(row expect) uint16 {
	switch row {
	case expectHello:
		return 0
	case expectSecondHello, expectCertificate13, expectVerify13, expectFinished13, expectData13:
		return version13
	}
	return version12
}

// at returns a connection in a row of the table. Its records are in plaintext, since the table does
// not depend on keys.
func at(s *server, row expect) *conn {
	c := s.NewConn(nil).(*conn)
	c.expect = row
	c.info.Version = versionOf(row)
	c.hs.host = s.other
	switch {
	case row == expectData12 || row == expectData13:
		c.hs, c.state = nil, Connected
	case versionOf(row) == version13:
		c.begin(primitive.Suites13[0])
	case versionOf(row) == version12:
		c.begin(primitive.Suites12[0])
	}
	return c
}

// In each state each message that has no cell in the table is unexpected_message,
// and is refused by its first byte already; those that have one are not.
func TestEveryCellOfTheTable(t *testing.T) {
	s := insideServer(t, nil)
	for row := range expects {
		for kind := range 256 {
			want := slices.Contains(permitted[row], byte(kind))
			for name, rec := range map[string][]byte{
				"whole":      {22, 3, 3, 0, 4, byte(kind), 0, 0, 0},
				"first byte": {22, 3, 3, 0, 1, byte(kind)},
			} {
				c := at(s, row)
				out := c.Feed(nil, rec)
				_, out = c.Read(out, make([]byte, 100))
				unexpected := c.state == Failed &&
					bytes.Equal(out[len(out)-2:], []byte{alertFatal, alertUnexpectedMessage})
				switch {
				case name == "first byte" && row >= expectData13 && !unexpected:
					// Bounded by its length instead; see TestHalfMessageIsBounded.
				case unexpected == want:
					t.Errorf("row %d, message %d, %s: unexpected_message is %t, permitted %t (%v)", row, kind, name, unexpected, want, c.Err())
				}
				if unexpected && c.err.Reason != ReasonUnexpected {
					t.Errorf("row %d, message %d: reason %v", row, kind, c.err.Reason)
				}
				c.Abort()
			}
		}
	}
}

// Records of a kind that has no place in a state are refused as well.
func TestEveryRecordTypeInEveryState(t *testing.T) {
	s := insideServer(t, nil)
	for row := range expects {
		for kind := range 256 {
			if record.Type(kind) == record.Handshake || record.Type(kind) == record.Alert {
				continue
			}
			want := false
			switch record.Type(kind) {
			case record.ChangeCipherSpec: // means nothing in TLS 1.3, until the handshake is over
				want = row == expectCCS12 || versionOf(row) == version13 && row != expectData13
			case record.ApplicationData:
				want = row == expectData13 || row == expectData12
			}
			c := at(s, row)
			out := c.Feed(nil, []byte{byte(kind), 3, 3, 0, 1, 1})
			_, out = c.Read(out, make([]byte, 100))
			refused := c.state == Failed && bytes.HasSuffix(out, []byte{alertFatal, alertUnexpectedMessage})
			if refused == want {
				t.Errorf("row %d, record %d: refused %t, permitted %t (%v)", row, kind, refused, want, c.Err())
			}
			c.Abort()
		}
	}
}

// insideServer makes a server for tests of internals.
func insideServer(t testing.TB, memory Sessions, edit ...func(*Config)) *server {
	t.Helper()
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}, Key: testpki.ECDSA})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := NewCertificates([]Certificate{{TLS: cert.TLS}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewHandleKeys([]byte("secret of tests of what is inside"))
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Certificates: certs, Sessions: memory, Handles: keys, Lifetime: time.Hour,
		Now: time.Now,
	}
	for _, change := range edit {
		change(&config)
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*server)
}
