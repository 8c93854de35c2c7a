package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// A new client gets as many sessions as are configured, one that resumes gets one for
// the one it has used.
func TestTickets(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, n := range []int{0, 1, 3} {
			s, sessions, _ := e.sessionServer(t, func(c *tlsconn.Config) { c.Tickets = n })
			want := n
			if n == 0 {
				want = 2 // unless said otherwise
			}
			if e.oneTicket {
				want = 1
			}
			client, _ := clientOf(tls.VersionTLS13)
			newPair(t, s, client).doHandshake()
			if len(sessions.sessions) != want {
				t.Errorf("tickets %d: %d sessions for a new client, want %d", n, len(sessions.sessions), want)
			}
			newPair(t, s, client).doHandshake()
			if len(sessions.sessions) != want+1 {
				t.Errorf("tickets %d: %d sessions after a resumption, want %d", n, len(sessions.sessions), want+1)
			}
		}
	})
}

// Early data that follows a ClientHello is skipped, up to a bound.
func TestEarlyDataIsSkipped(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		if e.refusesEarlyData {
			t.Skip("this engine refuses it")
		}
		record := append([]byte{23, 3, 3, 1, 0}, bytes.Repeat([]byte{0xee}, 256)...)
		s := e.server(t)
		p := newPair(t, s, nil)
		p.link.toServer = withExtension(clientHello(t, clientConfig()), 42, nil)
		for range 8 {
			p.link.toServer = append(p.link.toServer, record...)
		}
		p.link.drive()
		if got := p.conn.State(); got != tlsconn.ExpectHandshakeBytes || len(p.link.toClient) < 500 {
			t.Errorf("got %v (%v), %d bytes of output, want a handshake that goes on", got, p.conn.Err(), len(p.link.toClient))
		}
		if got := s.Counts().EarlyDataSkipped.Load(); got != 1 {
			t.Errorf("counted %d times, want once", got)
		}
		for range 100 {
			p.link.toServer = append(p.link.toServer, record...)
		}
		p.link.drive()
		wantReason(t, p.conn, tlsconn.ReasonEarlyData)
	})
}

// Client certificates are verified by a worker, never on the loop, where a chain would hold up all
// others.
func TestAwaitVerify(t *testing.T) {
	pki := testpki.New(t)
	alice := pki.Client("alice").TLS
	onEach(t, func(t *testing.T, e engine) {
		if e.verifiesOnLoop {
			t.Skip("this engine does")
		}
		for _, version := range versions {
			client, _ := clientOf(version.id)
			client.Certificates = []tls.Certificate{alice}
			guarded := func(w tlsconn.Workers) tlsconn.Server {
				return e.server(t, func(c *tlsconn.Config) {
					c.Workers, c.ClientAuth, c.ClientCAs = w, tlsconn.RequireClientCert,
						[]*x509.Certificate{pki.CA.Cert().TLS.Leaf}
				})
			}
			s := guarded(new(workers))
			for _, resumed := range []bool{false, true} {
				p := newPair(t, s, client).doHandshake()
				verified := false
				for _, state := range p.link.states {
					verified = verified || state == tlsconn.AwaitVerify
				}
				if verified == resumed || p.conn.ClientCertificate() == nil {
					t.Errorf("%s, resumed %t: states %v, certificate %t", version.name, resumed, p.link.states, p.conn.ClientCertificate() != nil)
				}
			}
			client.ClientSessionCache = nil
			p := newPair(t, guarded(&workers{full: true}), client)
			wantFailure(t, p, tlsconn.ReasonOverloaded)

			held := &workers{hold: make(chan struct{})}
			p = newPair(t, guarded(held), client)
			p.link.parked = func(tlsconn.State) {}
			p.client.Handshake()
			p.link.drive()
			if got := p.conn.State(); got != tlsconn.AwaitVerify {
				t.Fatalf("%s: got %v (%v), want %v", version.name, got, p.conn.Err(), tlsconn.AwaitVerify)
			}
			p.conn.Abort()
			wantReason(t, p.conn, tlsconn.ReasonAborted)
			close(held.hold)
			held.busy.Wait()
		}
	})
}
