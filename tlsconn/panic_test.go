package tlsconn_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"io"
	"testing"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// faultyKey panics while told to.
type faultyKey struct {
	*ecdsa.PrivateKey
	panics bool
}

func (k *faultyKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.panics {
		panic("expected by the test")
	}
	return k.PrivateKey.Sign(rand, digest, opts)
}

// A panic costs the connection it happened in (the loop recovers it), not those that
// share the server's scratch.
func TestPanicInOneConnectionLeavesOthersAlone(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		key := &faultyKey{}
		s := handmadeServer(t, nil, func(c *tlsconn.Config) {
			c.Sessions = nil
			pair, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}, Key: testpki.ECDSA})
			if err != nil {
				t.Fatal(err)
			}
			key.PrivateKey = pair.TLS.PrivateKey.(*ecdsa.PrivateKey)
			pair.TLS.PrivateKey = key
			c.Certificates, _ = tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: pair.TLS}})
		})
		config := &tls.Config{MaxVersion: version}
		good := dial(s, config)
		bad := dial(s, config)
		bad.hold = true
		_ = bad.client.Handshake()
		done := false
		frag := &betweenLink{handmadeLink: good, between: func() {
			defer func() { _ = recover() }()
			key.panics = true
			defer func() { key.panics = false }()
			bad.flush()
		}}
		client := tls.Client(frag, &tls.Config{
			MaxVersion: version, ServerName: "www.example.test",
			InsecureSkipVerify: true,
		})
		err := client.Handshake()
		if err == nil {
			good.flush()
			done = good.conn.State() == tlsconn.Connected
		}
		bad.conn.Abort()
		if !done {
			t.Errorf("%x: client %v, server %v: %v", version, err, good.conn.State(), good.conn.Err())
		}
	}
}

// betweenLink does something else after the server's first flight.
type betweenLink struct {
	*handmadeLink
	between func()
	flights int
}

func (f *betweenLink) Read(p []byte) (int, error) {
	if len(f.arrived) == 0 {
		if f.flights++; f.flights == 2 {
			f.between()
		}
	}
	return f.handmadeLink.Read(p)
}
