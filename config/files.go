package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// checkFiles reads every certificate, key, client CA and secret that the configuration names, and looks where the log goes.
func (b *builder) checkFiles() {
	now := time.Now()
	for _, l := range b.tlsListeners() {
		b.checkClientCA(l.from, l.TLS.ClientCA)
		for _, c := range l.TLS.Certs {
			b.checkCertificate(l.from, c, now)
		}
	}
	for _, c := range b.names {
		b.checkClientCA(c.from, c.ClientCA)
		b.checkCertificate(c.from, c.Certificate, now)
	}
	for _, s := range b.secrets {
		b.checkSecret(s)
	}
	b.checkLogFile()
}

// checkLogFile sees that the access log can stand where it is to be made.
func (b *builder) checkLogFile() {
	file := b.config.AccessLog.File
	if file == "" || file == "-" {
		return
	}
	from := b.written("access-log")
	if info, err := os.Stat(filepath.Dir(file)); err != nil {
		b.fail(from.errorf("cannot write in %s: %w", filepath.Dir(file), cause(err)))
	} else if !info.IsDir() {
		b.fail(from.errorf("%s is not a directory", filepath.Dir(file)))
	}
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		b.fail(from.errorf("%s is a directory: name a file in it", file))
	}
}

func (b *builder) checkClientCA(from setting, file string) {
	if file == "" {
		return
	}
	data, err := readPEM(file)
	switch {
	case err != nil:
		b.fail(from.errorf("%w", err))
	case !x509.NewCertPool().AppendCertsFromPEM(data):
		b.fail(from.errorf("%s holds no PEM certificate", file))
	}
}

func (b *builder) checkCertificate(from setting, c Certificate, now time.Time) {
	leaf, err := loadPair(c.CertFile, c.KeyFile)
	if err != nil {
		b.fail(from.errorf("%w", err))
		return
	}
	switch {
	case now.After(leaf.NotAfter):
		b.warnf(from, "%s expired on %s", c.CertFile, leaf.NotAfter.UTC().Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		b.warnf(from, "%s is not valid before %s", c.CertFile, leaf.NotBefore.UTC().Format(time.DateTime))
	}
	// A wildcard is checked by one of the names it stands for.
	if name := strings.Replace(c.Name, "*", "any", 1); name != "" && leaf.VerifyHostname(name) != nil {
		b.warnf(from, "%s is not a certificate for %s", c.CertFile, c.Name)
	}
	if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o004 != 0 {
		b.warnf(from, "every user of this machine can read %s: chmod 600 it", c.KeyFile)
	}
}

// loadPair returns the leaf certificate of certFile if keyFile holds its key.
func loadPair(certFile, keyFile string) (*x509.Certificate, error) {
	certPEM, err := readPEM(certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readPEM(keyFile)
	if err != nil {
		return nil, err
	}
	defer clear(keyPEM)
	if !hasBlock(certPEM, func(b *pem.Block) bool { return b.Type == "CERTIFICATE" }) {
		return nil, fmt.Errorf("%s holds no PEM certificate", certFile)
	}
	if !hasBlock(keyPEM, func(b *pem.Block) bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") }) {
		return nil, fmt.Errorf("%s holds no PEM private key", keyFile)
	}
	if hasBlock(keyPEM, func(b *pem.Block) bool {
		return b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED")
	}) {
		return nil, fmt.Errorf("%s is encrypted: write the key without a passphrase, with openssl pkey -in %s", keyFile, keyFile)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case err == nil:
		return pair.Leaf, nil
	case strings.Contains(err.Error(), "does not match"):
		return nil, fmt.Errorf("%s is not the key of %s: name the pair that was made together", keyFile, certFile)
	default:
		return nil, fmt.Errorf("%s, %s: %s", certFile, keyFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
}

// hasBlock reports whether a block of data satisfies is.
func hasBlock(data []byte, is func(*pem.Block) bool) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if is(block) {
			return true
		}
	}
	return false
}

func readPEM(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, cause(err))
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New(name + " is empty")
	}
	return data, nil
}
