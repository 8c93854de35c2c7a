package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"reprise/tlsconn/primitive"
)

// ClientAuth says whether clients must send certificates.
type ClientAuth uint8

const (
	NoClientCert ClientAuth = iota // clients are not asked for a certificate
	// OptionalClientCert requests one, accepts its absence, and verifies it if given.
	OptionalClientCert
	// RequireClientCert refuses clients without a valid certificate.
	RequireClientCert
)

// NameStrictness says which clients without a certificate's name are refused.
type NameStrictness uint8

const (
	AnyName    NameStrictness = iota // none: they get the default certificate
	NotUnknown                       // those that ask for an unknown name
	OnlyKnown                        // those without a name too
)

// Policy is a set of requirements for clients, perhaps different for each server name.
type Policy struct {
	CipherSuites []uint16 // for TLS 1.2; nil means the engine's choice
	ClientAuth   ClientAuth
	ClientCAs    []*x509.Certificate // authorities of client certificates
	Revocations  *Revocations        // revoked ones among those; nil: revocation is not checked
}

// Workers do slow work elsewhere: signatures with RSA keys, and the verification of clients'
// certificates.
type Workers interface {
	// TrySubmit hands work over without blocking; false means that there is no room for it. Work
	// may be skipped once abandoned is set, because the client has gone.
	TrySubmit(work func(), abandoned *atomic.Bool) bool
}

// Config is the shared configuration of one listener's connections on one loop.
type Config struct {
	Policy       // for names whose certificates have none
	Certificates *Certificates
	MinVersion   uint16   // as on the wire; 0 means TLS 1.2
	MaxVersion   uint16   // as on the wire; 0 means TLS 1.3
	ALPN         []string // in order of preference; nil means that none is negotiated
	// Challenges answers authorities that check who controls a name; nil answers none.
	Challenges Challenges
	// Strict says which clients are refused for their server name.
	Strict NameStrictness
	// Groups are those of the key exchange in order of preference; nil means the
	// engine's choice.
	Groups []primitive.Group

	// Sessions keeps the sessions; nil turns resumption off.
	Sessions Sessions
	Handles  *HandleKeys
	Owner    NodeID
	// Context separates sessions that otherwise look alike, like uWSGI's https-session-context.
	Context string
	// Lifetime is how long a session may be resumed, counted from its full
	// handshake however often it is renewed.
	Lifetime time.Duration
	// SingleUse lets each session be resumed once. That prevents replay and tracking by the ticket,
	// at the price of full handshakes for clients that use one session for several connections.
	SingleUse bool
	// Tickets is how many sessions a client gets with a full handshake of TLS 1.3; 0 means 2, which
	// suits browsers that open several connections at once.
	Tickets int

	// Exporters makes connections keep the secrets for ExportKeyingMaterial, in TLS 1.2 the master
	// secret.
	Exporters bool

	// Workers run slow work; nil runs it on the loop.
	Workers Workers
	// Now is the loop's clock.
	Now func() time.Time
	// Life is the clock for births and ends of Sessions; nil means Now.
	Life func() time.Time
}

// Validate fills in defaults and reports errors of usage: the program put c together wrongly.
func (c *Config) Validate() error {
	switch {
	case c.Certificates == nil || len(c.Certificates.list) == 0:
		return errors.New("tlsconn: no certificate")
	case c.Now == nil:
		return errors.New("tlsconn: no clock")
	case c.Sessions != nil && (c.Handles == nil || c.Lifetime <= 0):
		return errors.New("tlsconn: sessions need handle keys and a lifetime")
	case slices.ContainsFunc(c.Groups, func(g primitive.Group) bool { return !g.Known() }):
		return errors.New("tlsconn: a group that is not known")
	case c.Tickets < 0:
		return errors.New("tlsconn: a negative number of tickets")
	}
	if c.Life == nil {
		c.Life = c.Now
	}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	if c.MaxVersion == 0 {
		c.MaxVersion = tls.VersionTLS13
	}
	if c.Tickets == 0 {
		c.Tickets = 2
	}
	for _, p := range c.policies() {
		if p.ClientAuth != NoClientCert && len(p.ClientCAs) == 0 {
			return errors.New("tlsconn: client certificates asked for, but no CA to verify them")
		}
	}
	return nil
}

// policies returns all policies in force.
func (c *Config) policies() []*Policy {
	list := []*Policy{&c.Policy}
	for i := range c.Certificates.list {
		if p := c.Certificates.list[i].Policy; p != nil {
			list = append(list, p)
		}
	}
	return list
}
