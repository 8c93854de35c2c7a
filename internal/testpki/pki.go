package testpki

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

// T is what this package needs of a *testing.T or *testing.B.
type T interface {
	Helper()
	Fatal(args ...any)
	TempDir() string
}

// PKI is an authority in the service of one test. Its methods end the test on
// error and must therefore be called on the test's own goroutine.
type PKI struct {
	CA     *CA
	CAFile string // the authority's certificate
	Dir    string // where all files are; removed with the test

	t      T
	fileID atomic.Int64
}

// New makes an authority and a directory for the files of test t.
func New(t T) *PKI {
	t.Helper()
	ca, err := NewCA("Reprise test CA")
	if err != nil {
		t.Fatal(err)
	}
	p := &PKI{CA: ca, Dir: t.TempDir(), t: t}
	p.CAFile = p.file("ca.crt", ca.CertPEM())
	return p
}

// Server makes a server certificate for names, with its files.
func (p *PKI) Server(key KeyType, names ...string) *Cert {
	p.t.Helper()
	return p.Issue(Template{Names: names, Key: key})
}

// Client makes an ECDSA client certificate whose common name is name, with its
// files.
func (p *PKI) Client(name string) *Cert {
	p.t.Helper()
	return p.Issue(Template{CommonName: name, Client: true})
}

// Issue makes any certificate signed by the authority, with its files.
func (p *PKI) Issue(tmpl Template) *Cert {
	p.t.Helper()
	cert, err := p.CA.Issue(tmpl)
	if err == nil {
		cert, err = cert.Write(p.Dir, fmt.Sprintf("cert%d", p.fileID.Add(1)))
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return cert
}

// CRLFile writes a revocation list that holds the given certificates and
// returns its path, a new one on each call.
func (p *PKI) CRLFile(revoked ...*Cert) string {
	p.t.Helper()
	list, err := p.CA.Revoke(revoked...)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.file(fmt.Sprintf("revoked%d.crl", p.fileID.Add(1)), list)
}

func (p *PKI) file(name string, data []byte) string {
	p.t.Helper()
	path := filepath.Join(p.Dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}
