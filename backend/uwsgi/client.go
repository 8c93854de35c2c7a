package uwsgi

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"reprise/backend/http1"
)

// Client is a client certificate as variables, made once for all requests of a
// connection. It is immutable.
type Client struct {
	vars []byte

	subject, issuer, serial, fingerprint string
}

// NewClient prepares a verified certificate. With exportPEM the whole certificate goes into
// HTTPS_CC too. If it does not fit in a packet, each request is refused.
func NewClient(cert *x509.Certificate, exportPEM bool) *Client {
	subject, issuer := parseDN(cert.RawSubject), parseDN(cert.RawIssuer)
	fingerprint := sha256.Sum256(cert.Raw)
	c := &Client{
		subject: subject.rfc4514(), issuer: issuer.rfc4514(),
		serial:      fmt.Sprintf("%X", cert.SerialNumber.Bytes()),
		fingerprint: hex.EncodeToString(fingerprint[:]),
	}
	p := appendVar(nil, "HTTPS_CLIENT_CERTIFICATE", cert.Raw)
	p = appendVar(p, "HTTPS_DN", subject.oneLine())
	if exportPEM {
		p = appendVar(p, "HTTPS_CC", pem.EncodeToMemory(&pem.Block{
			Type:  "CERTIFICATE",
			Bytes: cert.Raw,
		}))
	}
	p = appendVar(p, "SSL_CLIENT_VERIFY", "SUCCESS")
	p = appendVar(p, "SSL_CLIENT_S_DN", c.subject)
	p = appendVar(p, "SSL_CLIENT_I_DN", c.issuer)
	p = appendVar(p, "SSL_CLIENT_M_SERIAL", c.serial)
	c.vars = appendVar(p, "SSL_CLIENT_FINGERPRINT", c.fingerprint)
	return c
}

// Tell adds the certificate's contents to the facts about a connection.
func (c *Client) Tell(f *http1.Facts) {
	f.Subject, f.Issuer, f.Serial, f.Fingerprint = c.subject, c.issuer, c.serial, c.fingerprint
}
