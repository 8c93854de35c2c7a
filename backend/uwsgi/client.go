package uwsgi

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
)

// Client is a client certificate as variables, made once for all requests of a
// connection. It is immutable.
type Client struct{ vars []byte }

// NewClient prepares a verified certificate. With exportPEM the whole of it goes
// into HTTPS_CC too. One that does not fit in a packet has each request refused.
func NewClient(cert *x509.Certificate, exportPEM bool) *Client {
	subject, issuer := parseDN(cert.RawSubject), parseDN(cert.RawIssuer)
	fingerprint := sha256.Sum256(cert.Raw)

	p := appendVar(nil, "HTTPS_CLIENT_CERTIFICATE", cert.Raw)
	p = appendVar(p, "HTTPS_DN", subject.oneLine())
	if exportPEM {
		p = appendVar(p, "HTTPS_CC", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	p = appendVar(p, "SSL_CLIENT_VERIFY", "SUCCESS")
	p = appendVar(p, "SSL_CLIENT_S_DN", subject.rfc4514())
	p = appendVar(p, "SSL_CLIENT_I_DN", issuer.rfc4514())
	p = appendVar(p, "SSL_CLIENT_M_SERIAL", fmt.Sprintf("%X", cert.SerialNumber.Bytes()))
	p = appendVar(p, "SSL_CLIENT_FINGERPRINT", hex.EncodeToString(fingerprint[:]))
	return &Client{p}
}
