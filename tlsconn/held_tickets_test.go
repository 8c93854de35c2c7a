package tlsconn_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"reprise/tlsconn"
	"reprise/tlsconn/record"
)

// An alert is readable for the client although tickets wait to leave: they were
// sealed before it.
func TestAlertFollowsHeldTickets(t *testing.T) {
	m := newHandmadeMemory()
	s := handmadeServer(t, m, nil)
	l := dial(s, &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	if err := l.client.Handshake(); err != nil {
		t.Fatal(err)
	}
	// Finished is in sent. A handshake message that is none follows at once.
	bad := seal(l.half13(t, "CLIENT_TRAFFIC_SECRET_0"), record.Handshake, 99, 0, 0, 0)
	l.sent = append(l.sent, bad...)
	l.flush()
	if l.conn.State() != tlsconn.Failed {
		t.Fatal(l.conn.State())
	}
	_, err := l.client.Read(make([]byte, 1))
	if err == nil || !strings.Contains(err.Error(), "unexpected message") {
		t.Errorf("the client reads %v, want the alert unexpected_message", err)
	}
	_ = tlsconn.Failed
}
