package tlsconn

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// Revocations are certificates revoked by their issuers (RFC 5280, Section 5). All clients of a
// policy that has some are checked against them: a certificate whose issuer has no list, or only an
// expired one, is refused. They are safe for concurrent use.
type Revocations struct {
	lists []*revocationList
	sum   [sha256.Size]byte
	ends  time.Time // when the first issuer has no valid list any more; zero for never
}

type revocationList struct {
	signed  x509.RevocationList // only the part that its signature covers
	issuer  []byte
	serials map[string]struct{}
	ends    time.Time // zero for never
	// The certificates last found to have signed it, and not to have. The goroutine that finds out
	// writes it, which saves others the work.
	signer, nonSigner atomic.Pointer[[]byte]
}

// NewRevocations prepares lists. Their signatures are verified when there is a client to verify,
// since the issuer may be a certificate that the client sends.
func NewRevocations(lists []*x509.RevocationList) *Revocations {
	r := new(Revocations)
	serials := make(map[string]struct{}) // of all lists, with their issuers
	ends := make(map[string]time.Time)   // of the longest of each issuer
	for _, from := range lists {
		issuer := string(from.RawIssuer)
		list := &revocationList{
			issuer: from.RawIssuer, ends: from.NextUpdate,
			serials: make(map[string]struct{}),
		}
		list.signed.RawTBSRevocationList, list.signed.Signature,
			list.signed.SignatureAlgorithm = from.RawTBSRevocationList, from.Signature,
			from.SignatureAlgorithm
		for _, entry := range from.RevokedCertificateEntries {
			serial := string(entry.SerialNumber.Bytes())
			list.serials[serial] = struct{}{}
			serials[issuer+"\x00"+serial] = struct{}{}
		}
		serials[issuer] = struct{}{}
		r.lists = append(r.lists, list)
		if was, ok := ends[issuer]; !ok || from.NextUpdate.IsZero() || !was.IsZero() &&
			was.Before(from.NextUpdate) {
			ends[issuer] = from.NextUpdate
		}
	}
	for _, end := range ends {
		if !end.IsZero() && (r.ends.IsZero() || end.Before(r.ends)) {
			r.ends = end
		}
	}
	r.sum = sumOf(slices.Sorted(maps.Keys(serials)))
	return r
}

// sumOf hashes the revocations without the time of publication: a list equal to the one before does
// not affect sessions.
func sumOf(sorted []string) (sum [sha256.Size]byte) {
	h := sha256.New()
	var one [sha256.Size]byte
	for _, s := range sorted {
		one = sha256.Sum256([]byte(s))
		h.Write(one[:])
	}
	h.Sum(sum[:0])
	return sum
}

// Ended reports whether an issuer has no valid list any more. Then the result of an earlier
// handshake is not trusted for any client.
func (r *Revocations) Ended(now time.Time) bool {
	return r != nil && !r.ends.IsZero() && now.After(r.ends)
}

// Why a chain is not acceptable.
var (
	ErrRevoked = errors.New("tlsconn: client certificate: revoked by its issuer")
	ErrNoCRL   = errors.New(
		"tlsconn: client certificate: there is no revocation list by its issuer")
	ErrCRLEnded = errors.New(
		"tlsconn: client certificate: the revocation list of its issuer has expired")
)

// Check returns nil if one of the chains, which x509.Certificate.Verify has found to lead to one of
// roots, is acceptable, and else why the first is not.
func (r *Revocations) Check(chains [][]*x509.Certificate, roots []*x509.Certificate,
	now time.Time,
) (err error) {
	if r == nil {
		return nil
	}
	for _, chain := range chains {
		why := r.checkChain(chain, roots, now)
		if why == nil {
			return nil
		}
		if err == nil {
			err = why
		}
	}
	return err
}

func (r *Revocations) checkChain(chain, roots []*x509.Certificate, now time.Time) error {
	for i, cert := range chain {
		if i+1 < len(chain) {
			if err := r.checkOne(cert, chain[i+1], now); err != nil {
				return err
			}
			continue
		}
		// Another root may have certified this one, and revoked it.
		for _, issuer := range roots {
			if bytes.Equal(cert.RawIssuer, issuer.RawSubject) &&
				!bytes.Equal(cert.RawSubject, cert.RawIssuer) &&
				cert.CheckSignatureFrom(issuer) == nil {
				return r.checkOne(cert, issuer, now)
			}
		}
	}
	return nil
}

// checkOne looks for a certificate in the lists of its issuer. An expired list still revokes.
func (r *Revocations) checkOne(cert, issuer *x509.Certificate, now time.Time) error {
	err := ErrNoCRL
	serial := cert.SerialNumber.Bytes()
	for _, list := range r.lists {
		if !bytes.Equal(list.issuer, issuer.RawSubject) || !list.isSignedBy(issuer) {
			continue
		}
		if _, revoked := list.serials[string(serial)]; revoked {
			return ErrRevoked
		}
		switch {
		case list.ends.IsZero() || !now.After(list.ends):
			err = nil
		case err != nil:
			err = ErrCRLEnded
		}
	}
	return err
}

func (l *revocationList) isSignedBy(issuer *x509.Certificate) bool {
	if signer := l.signer.Load(); signer != nil && bytes.Equal(*signer, issuer.Raw) {
		return true
	}
	if nonSigner := l.nonSigner.Load(); nonSigner != nil && bytes.Equal(*nonSigner, issuer.Raw) {
		return false
	}
	if l.signed.CheckSignatureFrom(issuer) != nil {
		l.nonSigner.Store(&issuer.Raw)
		return false
	}
	l.signer.Store(&issuer.Raw)
	return true
}
