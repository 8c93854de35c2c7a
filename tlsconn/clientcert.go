package tlsconn

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"reprise/tlsconn/primitive"
	"reprise/tlsconn/wire"
)

// The client's signature schemes, as the CertificateRequest lists them.
var (
	clientSchemes13 = primitive.VerifySchemes13
	clientSchemes12 = primitive.VerifySchemes12
)

// clientAuth is the client's certificate message, kept until its Finished has proved that the
// client exists: only then does a worker verify it. A chain of 45 KB may take a quarter of a
// second.
type clientAuth struct {
	chain     []byte // the Certificate message, nil if there is no certificate
	scheme    primitive.Scheme
	signed    []byte // the bytes that the signature covers
	signature []byte
}

// onCertificate13 handles the client's chain (RFC 8446, Section 4.4.2).
func onCertificate13(c *conn, msg []byte, _ bool) cause {
	return c.takeChain(msg, c.server.chain.Parse13(msg), expectFinished13, expectVerify13,
		causeNoClientCert)
}

// onCertificate12 does the same in TLS 1.2 (RFC 5246, Section 7.4.6).
func onCertificate12(c *conn, msg []byte, _ bool) cause {
	return c.takeChain(msg, c.server.chain.Parse12(msg), expectKeyExchange12, expectKeyExchange12,
		causeNoClientCert12)
}

func (c *conn) takeChain(msg []byte, fault wire.Fault, without, with expect, none cause) cause {
	hs := c.hs
	if fault != wire.None {
		return wireCauses[fault]
	}
	c.expect = with
	if len(c.server.chain.Certs()) == 0 {
		if hs.host.policy.clientAuth == RequireClientCert {
			return none
		}
		hs.messages = nil
		c.expect = without
	} else {
		hs.client.chain = slices.Clone(msg)
	}
	c.hash(msg)
	return ok
}

// onCertificateVerify13 handles the proof that the client has the key (RFC 8446, Section 4.4.3).
func onCertificateVerify13(c *conn, msg []byte, _ bool) cause {
	why := c.takeSignature(msg, clientSchemes13)
	if why != ok {
		return why
	}
	c.hs.client.signed = wire.AppendSigned13(nil, false, c.sum())
	c.hash(msg)
	c.expect = expectFinished13
	return ok
}

// onCertificateVerify12 does the same in TLS 1.2, where the signature covers all messages up to
// here (RFC 5246, Section 7.4.8).
func onCertificateVerify12(c *conn, msg []byte, _ bool) cause {
	hs := c.hs
	why := c.takeSignature(msg, clientSchemes12)
	if why != ok {
		return why
	}
	hs.client.signed, hs.messages = hs.messages, nil
	c.hash(msg)
	c.expect = expectCCS12
	return ok
}

func (c *conn) takeSignature(msg []byte, schemes []primitive.Scheme) cause {
	scheme, signature, fault := wire.ParseCertificateVerify(msg)
	switch {
	case fault != wire.None:
		return wireCauses[fault]
	case !slices.Contains(schemes, primitive.Scheme(scheme)):
		return causeIllegal
	}
	c.hs.client.scheme, c.hs.client.signature = primitive.Scheme(scheme), slices.Clone(signature)
	return ok
}

// verifyClient has a worker, if there are some, verify the client's chain and signature. A full
// queue ends the handshake: on the loop a chain would hold up all other clients.
func (c *conn) verifyClient() cause {
	hs := c.hs
	client, tls13 := hs.client, c.info.Version == version13
	policy, now := hs.host.policy, c.server.config.Now()
	work := func(j *job) { j.cert, j.why = client.verify(tls13, policy, now) }
	if c.server.config.Workers == nil {
		hs.job = new(job)
		work(hs.job)
		return c.verified()
	}
	if !c.submit(AwaitVerify, work) {
		return causeBusy
	}
	return ok
}

// verified continues with a worker's result.
func (c *conn) verified() cause {
	j := c.hs.job
	c.hs.job = nil
	if j.why != ok {
		return j.why
	}
	c.clientCert = j.cert
	if c.info.Version == version13 {
		return c.complete13()
	}
	return c.complete12()
}

// verify checks the signature first, which is cheaper, then the chain. It runs on a worker.
func (a *clientAuth) verify(tls13 bool, p *policy, now time.Time) (*x509.Certificate, cause) {
	var chain wire.Chain
	if tls13 {
		chain.Parse13(a.chain)
	} else {
		chain.Parse12(a.chain)
	}
	leaf, err := x509.ParseCertificate(chain.Certs()[0])
	if err != nil {
		return nil, causeClientCertDecode
	}
	switch {
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return nil, causeClientCertKind // RFC 8446, Section 4.4.2.2
	case primitive.SchemesFor(leaf.PublicKey, tls13) == nil:
		return nil, causeClientCertKind
	case !a.scheme.Fits(leaf.PublicKey, tls13):
		return nil, causeIllegal
	case primitive.Verify(leaf.PublicKey, a.scheme, a.signed, a.signature) != nil:
		return nil, causeBadSignature
	}
	intermediates := x509.NewCertPool()
	for _, der := range chain.Certs()[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, causeClientCertDecode
		}
		intermediates.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: p.roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, chainCause(err)
	}
	return leaf, revocationCauses[p.revoked.Check(chains, p.cas, now)]
}

// revocationCauses maps the errors of Revocations.
var revocationCauses = map[error]cause{
	nil: ok, ErrRevoked: causeRevoked, ErrNoCRL: causeNoCRL, ErrCRLEnded: causeCRLEnded,
}

// chainCause maps the errors of x509.
func chainCause(err error) cause {
	if invalid, is := errors.AsType[x509.CertificateInvalidError](err); is {
		switch invalid.Reason {
		case x509.Expired:
			return causeClientCertExpired
		case x509.IncompatibleUsage:
			return causeClientCertKind
		}
		return causeClientCertChain
	}
	return causeClientCertCA
}
