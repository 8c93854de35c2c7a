package harness

import (
	"crypto/tls"
	"testing"

	"reprise/internal/testpki"
)

// A OneSession is a client's memory that offers its one session to every server, as
// an attacker would. Its zero value is empty.
type OneSession struct{ Session *tls.ClientSessionState }

// Get implements tls.ClientSessionCache.
func (w *OneSession) Get(string) (*tls.ClientSessionState, bool) {
	return w.Session, w.Session != nil
}

// Put implements tls.ClientSessionCache.
func (w *OneSession) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		w.Session = s
	}
}

// Offering returns a client that offers one session only, and keeps no other.
func Offering(config *tls.Config, session *tls.ClientSessionState) *tls.Config {
	return With(config, func(c *tls.Config) { c.ClientSessionCache = keepsake{session} })
}

type keepsake struct{ session *tls.ClientSessionState }

func (k keepsake) Get(string) (*tls.ClientSessionState, bool) { return k.session, true }

func (keepsake) Put(string, *tls.ClientSessionState) {}

// ForEachVersion runs test for TLS 1.2 and 1.3.
func ForEachVersion(t *testing.T, test func(t *testing.T, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) { test(t, version) })
	}
}

// OneSessionConfig is a client of one version with an empty [OneSession].
func OneSessionConfig(pki *testpki.PKI, version uint16) (*tls.Config, *OneSession) {
	w := new(OneSession)
	return With(ClientConfig(pki), func(c *tls.Config) {
		c.MinVersion, c.MaxVersion,
			c.ClientSessionCache = version, version, w
	}), w
}

// Sends is the tls.Config.GetClientCertificate of a client that has cert, or
// none if it is nil.
func Sends(cert *tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if cert == nil {
		cert = new(tls.Certificate)
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
}

// EncodedState returns a session's state as crypto/tls encodes it.
func EncodedState(t *testing.T, session *tls.ClientSessionState) []byte {
	t.Helper()
	_, state, err := session.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := state.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// WithHandle returns a copy of session under another handle.
func WithHandle(t *testing.T, session *tls.ClientSessionState,
	handle []byte,
) *tls.ClientSessionState {
	t.Helper()
	// Not the state itself: NewResumptionState changes what it is given.
	state, err := tls.ParseSessionState(EncodedState(t, session))
	if err != nil {
		t.Fatal(err)
	}
	changed, err := tls.NewResumptionState(handle, state)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}
