package tlsconn_test

import (
	"crypto/tls"
	"testing"

	"reprise/tlsconn"
)

// A session is resumed after a HelloRetryRequest, too: its binder is over the whole
// transcript (RFC 8446, Section 4.2.11.2).
func TestResumedAfterHelloRetryRequest(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		m := newHandmadeMemory()
		s := handmadeServer(t, m, func(c *tlsconn.Config) { c.SingleUse = true })
		config := &tls.Config{
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
			CurvePreferences:   []tls.CurveID{tls.CurveP521, tls.CurveP256},
		}
		first := dial(s, config)
		if err := first.client.Handshake(); err != nil {
			t.Fatal(err)
		}
		first.flush()
		_, _ = first.client.Read(make([]byte, 1))
		m.elsewhere = elsewhere
		second := dial(s, config)
		l := &answeringLink{handmadeLink: second, m: m}
		config = config.Clone()
		config.ServerName, config.InsecureSkipVerify = "www.example.test", true
		client := tls.Client(l, config)
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		second.flush()
		if !client.ConnectionState().DidResume || !second.conn.Info().Resumed() {
			t.Errorf("elsewhere %t: %v", elsewhere, second.conn.Info())
		}
		if len(m.held) != 0 || m.twice != 0 {
			t.Errorf("elsewhere %t: %d held, %d twice", elsewhere, len(m.held), m.twice)
		}
	}
}

type answeringLink struct {
	*handmadeLink
	m *handmadeMemory
}

func (l *answeringLink) Read(p []byte) (int, error) {
	if len(l.arrived) == 0 {
		l.flush()
		if l.conn.State() == tlsconn.AwaitSession && l.m.answer() {
			l.take(l.conn.Resume(nil))
		}
	}
	return l.handmadeLink.Read(p)
}
