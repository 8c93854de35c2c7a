package pki

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxCRLSize bounds a file of revocation lists, in bytes: half a million certificates.
const maxCRLSize = 32 << 20

// ReadCRLs reads all revocation lists of a file (RFC 5280, Section 5), which is PEM or one list of
// DER. A list whose issuer is one of authorities must be signed by an authority of that name. A
// list of another issuer is for an intermediate certificate that clients send, and is verified with
// its key then.
func ReadCRLs(file string, authorities []*x509.Certificate) ([]*x509.RevocationList, error) {
	data, err := readFile(file, maxCRLSize)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	if len(data) > 0 && data[0] == derSequence {
		list, err := parseCRL(data, authorities)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return []*x509.RevocationList{list}, nil
	}
	blocks, err := blocksOf(file, data)
	if err != nil {
		return nil, err
	}
	defer wipe(blocks)
	var lists []*x509.RevocationList
	for i := range blocks {
		b := &blocks[i]
		if b.label != "X509 CRL" { // RFC 7468, Section 6
			return nil, fmt.Errorf("%s: %w", file, b.errorf("not a revocation list: remove it"))
		}
		list, err := parseCRL(b.data, authorities)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, b.errorf("%w", err))
		}
		lists = append(lists, list)
	}
	if len(lists) == 0 {
		return nil, errors.New(file + " holds no revocation list")
	}
	return lists, nil
}

func parseCRL(der []byte, authorities []*x509.Certificate) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	switch {
	case err != nil && strings.Contains(err.Error(), "crl version"):
		return nil,
			errors.New("a list of version 1: with openssl ca, set crlnumber to get version 2")
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "x509: "))
	case len(list.Raw) != len(der):
		return nil, errors.New("something stands behind the list: write one list of DER, or PEM")
	}
	if err := checkExtensions(list); err != nil {
		return nil, err
	}
	named, signed := false, false
	for _, ca := range authorities {
		if bytes.Equal(ca.RawSubject, list.RawIssuer) {
			named = true
			signed = signed || list.CheckSignatureFrom(ca) == nil
		}
	}
	if named && !signed {
		return nil,
			fmt.Errorf("not signed by the client CA %s: name the one that this CA has published",
				list.Issuer)
	}
	return list, nil
}

// The extensions of lists and their entries that say what a list covers.
var (
	oidDelta  = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidIssued = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// checkExtensions refuses lists that do not cover all certificates of their issuer: a certificate
// that is missing would be taken for good (RFC 5280, Section 5.2).
func checkExtensions(list *x509.RevocationList) error {
	for _, e := range list.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			return errors.New("a delta list: name the full one")
		case e.Id.Equal(oidIssued):
			if !isWhole(e) {
				return errors.New(
					"it covers only some kinds of certificates (issuing distribution point): " +
						"name the full one")
			}
		case e.Critical:
			return fmt.Errorf("a critical extension that is not known (%v)", e.Id)
		}
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, e := range entry.Extensions {
			if e.Critical {
				return fmt.Errorf(
					"an indirect list (entry with extension %v): name one by each issuer", e.Id)
			}
		}
	}
	return nil
}

// isWhole reports whether an issuing distribution point says no more than where the list
// is published (RFC 5280, Section 5.2.5).
func isWhole(e pkix.Extension) bool {
	der := cryptobyte.String(e.Value)
	var point cryptobyte.String
	return der.ReadASN1(&point, cbasn1.SEQUENCE) && der.Empty() &&
		point.SkipOptionalASN1(cbasn1.Tag(0).ContextSpecific().Constructed()) && point.Empty()
}

// CRLExpiry says in words that a revocation list has expired or soon will; "" if neither.
func CRLExpiry(list *x509.RevocationList, now time.Time) string {
	end := list.NextUpdate
	switch left := end.Sub(now); {
	case end.IsZero():
		return ""
	case left < 0:
		return fmt.Sprintf(
			"has a revocation list of %s that expired on %s: clients that it certified "+
				"are refused", list.Issuer, date(end))
	case left < min(14*24*time.Hour, end.Sub(list.ThisUpdate)/10):
		return fmt.Sprintf(
			"has a revocation list of %s that expires on %s, in %s: clients that it "+
				"certified are refused then", list.Issuer, date(end), roughly(left))
	}
	return ""
}

// WithoutCRL returns those of authorities that have no list.
func WithoutCRL(
	authorities []*x509.Certificate, lists []*x509.RevocationList,
) (without []*x509.Certificate) {
	for _, ca := range authorities {
		has := false
		for _, list := range lists {
			has = has || bytes.Equal(ca.RawSubject, list.RawIssuer)
		}
		if !has {
			without = append(without, ca)
		}
	}
	return without
}
