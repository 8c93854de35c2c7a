package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"reprise/tlsconn"

	"reprise/internal/testpki"
)

// What is to be checked of a session that was found.

// TLS 1.2 clients offer the session of another version under the same handle.
func TestDeclinedForVersion(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			s, sessions, _ := e.sessionServer(t)
			client, cache := clientOf(version.id)
			newPair(t, s, client).doHandshake()
			other := uint16(tls.VersionTLS12 + tls.VersionTLS13 - int(version.id))
			otherClient, otherCache := clientOf(other)
			newPair(t, s, otherClient).doHandshake()
			// The other client's handle now leads to the session of this version.
			swapSession(t, sessions, ticket(t, otherCache), ticket(t, cache))
			if got := newPair(t, s,
				otherClient).doHandshake().conn.Info().Outcome; got != tlsconn.MissDeclined {
				t.Errorf("a session of %s: got %v, want %v", version.name, got, tlsconn.MissDeclined)
			}
		}
	})
}

// swapSession stores the session of handle with under handle too.
func swapSession(t *testing.T, sessions *store, handle, with []byte) {
	t.Helper()
	sessions.sessions[openHandle(t, handle).Key] = sessions.sessions[openHandle(t, with).Key]
}

// The client no longer offers the cipher suite of its TLS 1.2 session.
func TestDeclinedForCipherSuite(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s, _, _ := e.sessionServer(t)
		client, _ := clientOf(tls.VersionTLS12)
		client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		newPair(t, s, client).doHandshake()
		// Go's client would not offer the session, so its hello is changed.
		hello := clientHello(t, client)
		at := bytes.Index(hello, []byte{0xc0, 0x2b})
		hello[at+1] = 0x2c // AES-256
		p := newPair(t, s, nil)
		p.link.toServer = hello
		p.link.drive()
		if !answeredInFull(p.link.toClient) {
			t.Errorf("got % x, %v, want a full handshake", p.link.toClient, p.conn.Err())
		}
	})
}

// Extended master secret (RFC 7627, Section 5.3).
func TestExtendedMasterSecret(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		const extendedMasterSecret = 23
		s, sessions, _ := e.sessionServer(t)
		client, _ := clientOf(tls.VersionTLS12)
		newPair(t, s, client).doHandshake()

		// A session with it, a client without: the handshake must be aborted.
		p := newPair(t, s, nil)
		p.link.toServer = withoutExtension(clientHello(t, client), extendedMasterSecret)
		p.link.drive()
		if p.conn.State() != tlsconn.Failed {
			t.Errorf("got state %v, want %v", p.conn.State(), tlsconn.Failed)
		}
		if !e.silentWithoutEMS {
			wantAlert(t, p.link.toClient, alertHandshakeFailure)
		}

		// A session without it, a client with: a full handshake.
		key, found := sessions.only()
		found.session.State = e.withoutEMS(t, found.session.State)
		sessions.sessions[key] = found
		if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != tlsconn.MissDeclined {
			t.Errorf("a session without extended master secret: got %v, want %v", got, tlsconn.MissDeclined)
		}
	})
}

// A client certificate that has expired meanwhile is not carried over.
func TestDeclinedForExpiredClientCertificate(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki := testpki.New(t)
		alice := pki.Issue(testpki.Template{
			CommonName: "alice", Client: true,
			NotAfter: time.Now().Add(time.Minute),
		}).TLS
		for _, version := range versions {
			s, _, clock := e.sessionServer(t, func(c *tlsconn.Config) {
				c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert,
					[]*x509.Certificate{pki.CA.Cert().TLS.Leaf}
			})
			client, _ := clientOf(version.id)
			client.Certificates = []tls.Certificate{alice}
			newPair(t, s, client).doHandshake()
			clock.advance(2 * time.Minute)
			wantFailure(t, newPair(t, s, client), tlsconn.ReasonClientCert)
		}
	})
}

// answeredInFull reports whether the server's answer to a TLS 1.2 ClientHello
// holds a certificate, which a resumption has not.
func answeredInFull(out []byte) bool {
	var messages []byte
	for len(out) > 5 {
		n := 5 + int(out[3])<<8 + int(out[4])
		if out[0] == 22 {
			messages = append(messages, out[5:n]...)
		}
		out = out[n:]
	}
	for len(messages) > 4 {
		if messages[0] == 11 {
			return true
		}
		messages = messages[4+int(messages[1])<<16+int(messages[2])<<8+int(messages[3]):]
	}
	return false
}
