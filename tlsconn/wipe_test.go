package tlsconn

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"reprise/internal/memconn"
	"reprise/internal/testpki"
	"reprise/tlsconn/primitive"
	"reprise/tlsconn/record"
	"reprise/tlsconn/schedule"
)

type wipeLink struct {
	memconn.Rest
	c             Conn
	sent, arrived []byte
}

func (l *wipeLink) Write(p []byte) (int, error) {
	l.sent = append(l.sent, p...)
	return len(p),
		nil
}

func (l *wipeLink) Read(p []byte) (int, error) {
	if len(l.arrived) == 0 {
		in := l.sent
		l.sent = nil
		l.arrived = l.c.Feed(nil, in)
	}
	if len(l.arrived) == 0 {
		return 0, io.EOF
	}
	n := copy(p, l.arrived)
	l.arrived = l.arrived[n:]
	return n, nil
}

// What a key update has derived does not stay in the loop's scratch.
func TestScratchIsWipedAfterKeyUpdate(t *testing.T) {
	pair, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}, Key: testpki.ECDSA})
	if err != nil {
		t.Fatal(err)
	}
	certs, _ := NewCertificates([]Certificate{{TLS: pair.TLS}})
	srv, err := New(Config{Certificates: certs, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := srv.(*server)
	l := &wipeLink{c: srv.NewConn(nil)}
	client := tls.Client(l, &tls.Config{ServerName: "www.example.test", InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	l.arrived = l.c.Feed(nil, l.sent)
	c := l.c.(*conn)
	if c.state != Connected {
		t.Fatal(c.state)
	}
	if s.kdf != (schedule.Scratch{}) {
		t.Error("scratch of derivations is not wiped after the handshake")
	}
	// A KeyUpdate sealed with the client's key, which the server has, too.
	var h record.Half
	var k schedule.Scratch
	suite := c.suite()
	key, iv := make([]byte, suite.AEAD.KeyLen()), make([]byte, primitive.NonceLen)
	k.TrafficKeys(suite.Hash, c.keyUpdates.rdSecret[:suite.Hash.Len()], key, iv)
	h.Set(suite, key, iv)
	var rs record.Scratch
	update := h.Seal(&rs, nil, record.Handshake, 0x0303, []byte{24, 0, 0, 1, 1})
	c.Feed(nil, update)
	if n, _ := c.Read(nil, make([]byte, 100)); n != 0 || c.state != Connected ||
		c.keyUpdates.used != 1 {
		t.Fatal(n, c.state, c.err)
	}
	if s.kdf != (schedule.Scratch{}) {
		t.Error("scratch of derivations still has the traffic secret after a key update")
	}
}

// Making a state longer leaves no copy of its secret in the room it outgrew.
func TestStateThatGrowsLeavesNoSecret(t *testing.T) {
	s := &server{}
	old := make([]byte, 0, 128)
	s.state = old
	st := sessionState{version: version12, suite: primitive.SuiteByID(0xc02b), cert: make([]byte, 700)}
	for i := range st.secret {
		st.secret[i] = 0xA5
	}
	s.state = AppendStatePrefix(s.state[:0], 1, 2, CodecOwn)
	s.state = st.append(s.state) // as save does
	clear(s.state)
	if bytes.Contains(old[:cap(old)], bytes.Repeat([]byte{0xA5}, 16)) {
		t.Error("the outgrown room still has the master secret")
	}
}

// In TLS 1.2 an exporter holds the master secret, so it is made only where its output is unique to
// this connection (RFC 7627, Section 5.4), and is dropped with the connection.
func TestExporterNeedsExtendedMasterSecretAndIsWiped(t *testing.T) {
	c := &conn{
		server: &server{config: Config{Exporters: true}}, state: Connected,
		hs: &handshake{suite: primitive.Suites12[0]},
	}
	c.hs.master[0] = 1
	c.keepExporter12()
	if c.exporter != nil {
		t.Error("there is an exporter without extended master secret")
	}
	c.hs.ems = true
	c.keepExporter12()
	e := c.exporter
	c.Abort()
	if e == nil || e.secret[0] != 0 || c.exporter != nil {
		t.Errorf("got %v, want an exporter that has been wiped", e)
	}
}
