package tlsclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"

	"reprise/internal/metric"
)

// A Policy says how TLS is spoken with the backends of a pool. It must not be changed once used.
type Policy struct {
	Roots *x509.CertPool // authorities for backends; nil: the system's
	// the name to verify and to send; "": each backend's host as it is written
	Name        string
	Unverified  bool             // the backend's certificate is not verified
	Certificate *tls.Certificate // for backends that ask for one; nil: none
	ALPN        []string         // the protocols to agree on, if the backend supports any
}

// Equal reports whether two policies are the same.
func (p *Policy) Equal(q *Policy) bool {
	sameRoots := p.Roots == nil && q.Roots == nil || p.Roots != nil && q.Roots != nil &&
		p.Roots.Equal(q.Roots)
	sameCert := p.Certificate == nil && q.Certificate == nil || p.Certificate != nil &&
		q.Certificate != nil &&
		slices.EqualFunc(p.Certificate.Certificate, q.Certificate.Certificate, bytes.Equal)
	return sameRoots && sameCert && p.Name == q.Name && p.Unverified == q.Unverified &&
		slices.Equal(p.ALPN, q.ALPN)
}

// A Client makes the connections to one backend. All loops share it.
type Client struct {
	policy   *Policy
	config   *tls.Config
	probe    *tls.Config // of health checks
	sessions sessions
}

// errNoName is for an operator.
var errNoName = errors.New(
	"there is no name to verify: write backend-name, or backend-verify = false")

// New makes the client for a backend on a host: a DNS name, an address, or "" for a socket.
func (p *Policy) New(host string) (*Client, error) {
	c := &Client{policy: p}
	name := p.Name
	if name == "" {
		name = host
	}
	if name == "" && !p.Unverified {
		return nil, errNoName
	}
	c.config = &tls.Config{
		ServerName: name, RootCAs: p.Roots, InsecureSkipVerify: p.Unverified, NextProtos: p.ALPN,
		MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true,
	}
	if p.Certificate != nil {
		// Not by Certificates: the backend's list of issuers is often wrong, and then no
		// certificate would be sent.
		c.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (
			*tls.Certificate, error,
		) {
			return p.Certificate, nil
		}
	}
	c.probe = c.config.Clone()
	c.config.ClientSessionCache = &c.sessions
	return c, nil
}

// Name returns the name that is sent and verified.
func (c *Client) Name() string { return c.config.ServerName }

// Probe makes a handshake on conn, for a health check. It uses and leaves no session: it tests the
// full handshake that the next new client would make.
func (c *Client) Probe(ctx context.Context, conn net.Conn) (net.Conn, error) {
	t := tls.Client(conn, c.probe)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, newError(err)
	}
	return t, nil
}

// Counts has the handshakes of a pool. Any goroutine may count and read.
type Counts struct {
	Handshakes metric.Counters[kind]   `json:"handshakes" label:"kind" help:"TLS handshakes with backends, full or resumed."`
	Failures   metric.Counters[Reason] `json:"failures" label:"reason" help:"TLS handshakes with backends that failed, by reason."`
	OnLoop     metric.Counter          `json:"handshake_steps_on_loop" help:"Steps of TLS handshakes with backends that were made on a loop because the key workers had no room."`
}

// kind is a kind of handshake.
type kind uint8

const (
	fullHandshake kind = iota
	resumedHandshake
)

// Names implements metric.Key.
func (kind) Names() []string { return []string{"full", "resumed"} }

// Done counts a handshake that succeeded.
func (c *Counts) Done(resumed bool) {
	if resumed {
		c.Handshakes.Inc(resumedHandshake)
	} else {
		c.Handshakes.Inc(fullHandshake)
	}
}
