package config

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"time"

	"reprise/config/pki"
	"reprise/config/source"
)

// checkFiles reads every certificate, key, client CA and secret that the configuration names, and
// checks the access log's directory.
func (b *builder) checkFiles() {
	now := time.Now()
	var authorities []*x509.Certificate
	for _, l := range b.tlsListeners() {
		cas, err := readClientCA(l.TLS.ClientCA)
		if err != nil {
			b.unusable(l.TLS.ClientCA, l.from.errorf("%w", err))
		}
		authorities = append(authorities, cas...)
		offered := make(offers)
		for _, c := range l.TLS.Certs {
			b.checkCertificate(l.from, c, offered, now)
		}
	}
	offered := make(offers)
	for _, c := range b.names {
		cas, err := readClientCA(c.ClientCA)
		if err != nil {
			b.unusable(c.CertFile, c.from.errorf("%w", err))
		}
		authorities = append(authorities, cas...)
		b.checkCertificate(c.from, c.Certificate, offered, now)
	}
	b.checkCRLs(authorities, now)
	b.checkACME()
	b.readBackendFiles(now)
	for _, s := range b.secrets {
		b.checkSecret(s)
	}
	b.checkRepeaterKey()
	b.checkStores()
	b.checkSocketFiles()
	b.checkApplicationFiles()
	b.checkAdminToken()
	b.checkLogFile()
}

// checkLogFile checks that the access log can be made at its path.
func (b *builder) checkLogFile() {
	file := b.config.AccessLog.File
	if file == "" || file == "-" {
		return
	}
	from := b.written("access-log")
	if info, err := os.Stat(filepath.Dir(file)); err != nil {
		b.fail(from.errorf("cannot write in %s: %w", filepath.Dir(file), source.Cause(err)))
	} else if !info.IsDir() {
		b.fail(from.errorf("%s is not a directory", filepath.Dir(file)))
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		b.fail(from.errorf("%s is a directory: name a file in it", file))
	}
}

// readClientCA reads a file of authorities, if there is one.
func readClientCA(file string) ([]*x509.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	return pki.ReadCertificates(file)
}

// checkCRLs reads the revocation lists, which are for all authorities.
func (b *builder) checkCRLs(authorities []*x509.Certificate, now time.Time) {
	if len(b.crls) == 0 {
		return
	}
	if len(authorities) == 0 {
		b.warnUnused("no effect without CLIENTCA", "ssl-client-crl")
	}
	var all []*x509.RevocationList
	broken := false
	for _, s := range b.crls {
		lists, err := pki.ReadCRLs(s.value, authorities)
		if err != nil {
			broken = true
			b.unusable(s.value, s.errorf("%w", err))
			continue
		}
		all = append(all, lists...)
		for _, list := range lists {
			if line := pki.CRLExpiry(list, now); line != "" {
				b.warnf(s, "%s %s", s.value, line)
			}
		}
	}
	if broken {
		return // the missing list may be in there
	}
	told := make(map[string]bool)
	for _, ca := range pki.WithoutCRL(authorities, all) {
		if name := ca.Subject.String(); !told[name] {
			told[name] = true
			b.warnf(b.crls[0],
				"there is no revocation list of %s: clients that it certified are refused",
				name)
		}
	}
}

// offers are the files of valid certificates by name and kind of key. Of several, the first is
// served.
type offers map[[2]string]string

func (b *builder) checkCertificate(from setting, c Certificate, offered offers, now time.Time) {
	if c.ACME {
		return
	}
	pair, err := pki.ReadPair(c.CertFile, c.KeyFile)
	if err != nil {
		b.unusable(c.CertFile, from.errorf("%w", err))
		return
	}
	for _, line := range pair.Warnings(c.CertFile, c.Name, now) {
		b.warnf(from, "%s", line)
	}
	if what := [2]string{c.Name, pair.Kind()}; offered[what] != "" {
		b.warnf(from, "%s is never served: %s comes first, for the same name and kind of key",
			c.CertFile,
			offered[what])
	} else if pki.Valid(pair.Leaf, now) {
		offered[what] = c.CertFile
	}
	if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o004 != 0 {
		b.warnf(from, "every user of this machine can read %s: chmod 600 it", c.KeyFile)
	}
}
