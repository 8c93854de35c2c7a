package tlsconn_test

import (
	"crypto/tls"
	"testing"

	"reprise/tlsconn"
)

// A reservation that came with an answer is released if the client leaves before the
// answer was looked at, and its secrets are wiped.
func TestReservationOfAnUnusedAnswerIsReleased(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		m := newHandmadeMemory()
		s := handmadeServer(t, m, func(c *tlsconn.Config) { c.SingleUse = true })
		config := &tls.Config{MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		first := dial(s, config)
		if err := first.client.Handshake(); err != nil {
			t.Fatal(err)
		}
		first.flush()
		_, _ = first.client.Read(make([]byte, 1)) // tickets
		m.elsewhere = true
		second := dial(s, config)
		second.hold = true
		_ = second.client.Handshake()
		second.flush()
		if second.conn.State() != tlsconn.AwaitSession {
			t.Fatalf("%x: %v", version, second.conn.State())
		}
		if !m.answer() {
			t.Fatal("the answer was not taken")
		}
		answer, _, _ := m.question.Result()
		second.conn.Abort() // the client's RST comes before the wake-up
		if len(m.held) != 0 {
			t.Errorf("%x: %d reservations stand after Abort", version, len(m.held))
		}
		for _, b := range answer.State {
			if b != 0 {
				t.Errorf("%x: the state in the answer was not wiped", version)
				break
			}
		}
	}
}

// A declined session is released at once, not at the handshake's end.
func TestDeclinedSessionIsReleasedAtOnce(t *testing.T) {
	m := newHandmadeMemory()
	s := handmadeServer(t, m, func(c *tlsconn.Config) { c.SingleUse = true })
	cache := tls.NewLRUClientSessionCache(4)
	config := &tls.Config{
		MaxVersion: tls.VersionTLS12, ClientSessionCache: cache,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	}
	first := dial(s, config)
	if err := first.client.Handshake(); err != nil {
		t.Fatal(err)
	}
	// The same ticket with another list of suites, which is declined.
	hello := helloWithTicket(t, m, s)
	conn := s.NewConn(noWaker{})
	conn.Feed(nil, hello)
	if conn.State() != tlsconn.ExpectHandshakeBytes {
		t.Fatal(conn.State(), conn.Err())
	}
	if m.next == 0 {
		t.Fatal("no session was found")
	}
	if len(m.held) != 0 {
		t.Errorf("a declined session stays reserved until the handshake ends, up to the time-out")
	}
}
