package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"reprise/tlsconn"
	"reprise/tlsconn/primitive"
)

// sessionLifetime is that of BoringSSL's servers in TLS 1.2.
const sessionLifetime = 2 * time.Hour

// run makes the connections of a test.
func (t *test) run() error {
	var late time.Duration // how much its clock is ahead of the real time
	now := func() time.Time { return time.Now().Add(late) }
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	handles, err := tlsconn.NewHandleKeys(secret)
	if err != nil {
		return err
	}
	engine, err := chosenEngine()
	if err != nil {
		return err
	}
	sessions := newMemory(now)
	otherCA, err := newCA()
	if err != nil {
		return err
	}
	for i := range t.resumeCount + 1 {
		o := &t.initial
		if i > 0 {
			o = &t.resume
		}
		sessions.late = o.async
		s := setup{
			options: o, engine: engine, resumes: i > 0, sessions: sessions,
			otherCA: otherCA, selected: -2,
		}
		s.config = tlsconn.Config{
			Handles: handles, Owner: tlsconn.NodeID{1},
			Lifetime: sessionLifetime, Now: now,
		}
		if err := s.configure(&t.initial); err != nil {
			return err
		}
		err := s.connect(t.address, t.shimID)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
		late += o.delay
	}
	return nil
}

// A setup is one connection with all it needs.
type setup struct {
	*options
	engine   engine
	resumes  bool
	config   tlsconn.Config
	sessions *memory
	otherCA  *x509.Certificate // a CA that has signed nothing
	workers  *workers
	selected int // the credential that signed: -2 none, -1 the fallback
}

// configure makes the server's configuration from the runner's flags. The CAs are always those of
// the first connection: a session is not resumed under others.
func (s *setup) configure(initial *options) error {
	c := &s.config
	if err := s.configureLimits(); err != nil {
		return err
	}
	c.MinVersion = max(s.minVersion, tls.VersionTLS12)
	var err error
	if c.CipherSuites, err = s.suiteList(s.engine); err != nil {
		return err
	}
	if !s.noTickets {
		c.Sessions = s.sessions
	}
	switch {
	case s.rejectALPN:
		c.ALPN = []string{"no client has this protocol"}
	case s.alpn != "":
		c.ALPN = []string{s.alpn}
	}
	c.Exporters = s.exportLen > 0
	c.SingleUse = s.renewsTickets // with a new one for each that has been used
	if s.async || s.engine.verifiesOnWorkers && s.verifyFails {
		s.workers = new(workers)
		c.Workers = s.workers
	}
	if err := s.configureClients(initial); err != nil {
		return err
	}
	return s.configureCertificates()
}

// configureLimits sets the newest version and the groups.
func (s *setup) configureLimits() error {
	if s.java11 && s.maxVersion == 0 {
		return unimplemented("a workaround for Java 11")
	}
	var groups []primitive.Group
	for _, g := range s.groups {
		if slices.Contains(s.engine.groups, tls.CurveID(g)) {
			groups = append(groups, primitive.Group(g))
		}
	}
	if len(s.groups) > 0 && len(groups) == 0 {
		return unimplemented(fmt.Sprintf("group %v", s.groups))
	}
	s.config.MaxVersion, s.config.Groups = s.maxVersion, groups
	return nil
}

// suiteList reads a list of names, or the one alias of OpenSSL that server tests use; nil means
// that there is none. The order, also of groups of equal preference ("[A|B]"), is the engine's.
// Suites that it lacks are left out.
func (o *options) suiteList(e engine) ([]uint16, error) {
	switch o.suites {
	case "":
		return nil, nil
	case "AES128":
		return []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		}, nil
	}
	known, list := e.suiteIDs(), []uint16(nil)
	for _, name := range strings.FieldsFunc(o.suites,
		func(r rune) bool { return strings.ContainsRune("[|]:", r) }) {
		if id, ok := known[name]; ok {
			list = append(list, id)
		}
	}
	if list == nil {
		return nil, unimplemented("suites " + o.suites)
	}
	return list, nil
}

// workers run each piece of work in a goroutine, and count.
type workers struct{ submitted int }

// TrySubmit implements tlsconn.Workers.
func (w *workers) TrySubmit(work func(), _ *atomic.Bool) bool {
	w.submitted++
	go work()
	return true
}

// configureClients configures the request for client certificates. BoringSSL's shim accepts any
// certificate, the contract only certificates signed by a CA: the runner names the one it uses by
// -trust-cert.
func (s *setup) configureClients(initial *options) error {
	switch {
	case s.requireClient:
		s.config.ClientAuth = tlsconn.RequireClientCert
	case s.verifyClient:
		s.config.ClientAuth = tlsconn.OptionalClientCert
	default:
		return nil
	}
	if s.hashesClient {
		return unimplemented("client certificates kept as hashes")
	}
	switch {
	case initial.verifyFails || s.trustFile == "":
		s.config.ClientCAs = []*x509.Certificate{s.otherCA}
	case s.verifyFails && !s.engine.verifiesOnWorkers:
		return unimplemented("verification that would fail if it were made")
	default:
		trusted, err := readCertificates(s.trustFile)
		if err != nil {
			return err
		}
		s.config.ClientCAs = trusted
	}
	return s.nameCAs()
}

// nameCAs adds CAs to those named to clients, in the runner's order.
func (s *setup) nameCAs() error {
	if len(s.clientCAs) == 0 {
		return nil
	}
	trusted := s.config.ClientCAs
	s.config.ClientCAs = nil
	for _, name := range s.clientCAs {
		der, err := hex.DecodeString(name)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(trusted,
			func(ca *x509.Certificate) bool { return bytes.Equal(ca.RawSubject, der) })
		if i >= 0 {
			s.config.ClientCAs = append(s.config.ClientCAs, trusted[i])
			continue
		}
		ca := *s.otherCA
		ca.RawSubject, ca.Raw = der, slices.Concat(ca.Raw, der)
		s.config.ClientCAs = append(s.config.ClientCAs, &ca)
	}
	return nil
}

// newCA returns a CA that has signed nothing.
func newCA() (*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	template.Subject.CommonName = "a CA that has signed nothing"
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func readCertificates(file string) (list []*x509.Certificate, err error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return list, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		list = append(list, cert)
	}
}

// configureCertificates loads the credentials, in the runner's order of
// preference, the fallback last.
func (s *setup) configureCertificates() error {
	var list []tlsconn.Certificate
	add := func(index int, c credential) error {
		cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
		if err != nil {
			return unimplemented("key or certificate that Go does not know, such as ML-DSA")
		}
		for _, scheme := range c.signingPrefs {
			cert.SupportedSignatureAlgorithms = append(cert.SupportedSignatureAlgorithms,
				tls.SignatureScheme(scheme))
		}
		if s.expect.checkCredential {
			cert.PrivateKey = &watchedKey{cert.PrivateKey.(crypto.Signer), index, &s.selected}
		}
		list = append(list, tlsconn.Certificate{TLS: cert, ForNamedIssuer: c.namedIssuer})
		return nil
	}
	for i, c := range s.credentials {
		if err := add(i, c); err != nil {
			return err
		}
	}
	if s.fallback.certFile != "" {
		if err := add(-1, s.fallback); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return unimplemented("a server without a certificate")
	}
	var err error
	s.config.Certificates, err = tlsconn.NewCertificates(list)
	return err
}

// A watchedKey records which credential was used.
type watchedKey struct {
	crypto.Signer
	index    int
	selected *int
}

// Sign implements crypto.Signer.
func (k *watchedKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	*k.selected = k.index
	return k.Signer.Sign(random, digest, opts)
}

// check compares a completed handshake with the runner's expectations.
func (s *setup) check(l *link) error {
	info, e := l.conn.Info(), &s.expect
	var wrong []string
	differ := func(is bool, what string, got, want any) {
		if is {
			wrong = append(wrong, fmt.Sprintf("%s: got %v, want %v", what, got, want))
		}
	}
	resumed := s.resumes && !e.sessionMiss
	differ(info.Resumed() != resumed, "session resumed", info.Outcome, resumed)
	differ(e.version != 0 && info.Version != e.version, "version", info.Version, e.version)
	differ(e.cipher != 0 && info.CipherSuite != e.cipher, "cipher suite", info.CipherSuite,
		e.cipher)
	if want := e.cipherNoAES; want != 0 {
		if hasAES() {
			want = e.cipherAES
		}
		differ(info.CipherSuite != want, "cipher suite", info.CipherSuite, want)
	}
	differ(e.serverName != "" && info.ServerName != e.serverName, "server name", info.ServerName,
		e.serverName)
	differ(e.noServerName && info.ServerName != "", "server name", info.ServerName, "")
	differ(info.ALPN != s.alpn, "protocol", info.ALPN, s.alpn)
	differ(e.sessionSaved && !s.resumes && s.sessions.saves == 0, "sessions saved", 0, 1)
	differ(e.sessionSaved && info.Resumed() && !info.ByID, "resumed by session ID", false, true)
	if agreed := !info.Resumed() || info.Version == tls.VersionTLS13; agreed {
		differ(e.group != 0 && info.Group != e.group, "group", info.Group, e.group)
	}
	differ(e.retry && !l.retried, "HelloRetryRequest", l.retried, true)
	differ(e.noRetry && l.retried, "HelloRetryRequest", l.retried, false)
	differ(e.checkCredential && !info.Resumed() && s.selected != e.credential, "credential",
		s.selected, e.credential)

	differ(s.verifyFails && s.workers != nil && s.workers.submitted > 0, "certificates verified",
		s.workers, 0)

	cert := l.conn.ClientCertificate()
	differ(e.noPeerCert && cert != nil, "client certificate", "one", "none")
	differ(s.requireClient && !e.noPeerCert && cert == nil, "client certificate", "none", "one")
	if e.peerCertFile != "" {
		want, err := readCertificates(e.peerCertFile)
		if err != nil {
			return err
		}
		differ(cert == nil || !bytes.Equal(cert.Raw, want[0].Raw), "client certificate", "another",
			e.peerCertFile)
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}
