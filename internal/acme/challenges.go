package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// maxChallenges bounds the challenges in progress in a fleet, and its names with them: more wait
// for the next look.
const maxChallenges = 1024

// A challenge is the answer that an authority expects under a name.
type challenge struct {
	stored  []byte // the form in the storage
	kind    string
	token   string
	keyAuth string
	cert    *tls.Certificate // of TLS-ALPN-01
}

// KeyAuthorization answers HTTP-01: it returns what an authority expects for a token at a
// host, which may have a port, and "" if none does. It does not block.
func (c *Client) KeyAuthorization(host, token []byte) string {
	known := *c.challenges.Load()
	if len(known) == 0 {
		return ""
	}
	name := string(host)
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	found := known[strings.ToLower(name)]
	if found == nil || found.kind != acme.ChallengeTypeHTTP01 || found.token != string(token) {
		return ""
	}
	c.answered.Inc()
	return found.keyAuth
}

// Challenge answers TLS-ALPN-01: it returns the certificate that an authority expects under
// a name, nil if none does. It does not block.
func (c *Client) Challenge(serverName string) *tls.Certificate {
	found := (*c.challenges.Load())[strings.ToLower(serverName)]
	if found == nil || found.cert == nil {
		return nil
	}
	c.answered.Inc()
	return found.cert
}

// lookForChallenges reads the challenges of this node and others from the storage.
func (c *Client) lookForChallenges(ctx context.Context) {
	c.looking.Lock()
	defer c.looking.Unlock()
	keys, err := c.storage.List(ctx, c.storage.tokens, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.storage.note(err)
		return
	}
	c.storage.note(nil)
	before := *c.challenges.Load()
	if len(keys) == 0 && len(before) == 0 {
		return
	}
	now := make(map[string]*challenge)
	for _, key := range keys[:min(len(keys), maxChallenges)] {
		stored, err := c.storage.Load(ctx, key)
		if err != nil {
			continue // it is over
		}
		name, found, err := readChallenge(stored, before)
		if err != nil {
			slog.Debug("acme: a stored challenge cannot be used", "key", key, "error", err)
			continue
		}
		now[name] = found
	}
	c.challenges.Store(&now)
}

func readChallenge(stored []byte,
	before map[string]*challenge,
) (name string, c *challenge, err error) {
	var from acme.Challenge
	if err := json.Unmarshal(stored, &from); err != nil {
		return "", nil, err
	}
	name = strings.ToLower(from.Identifier.Value)
	if was := before[name]; was != nil && bytes.Equal(was.stored, stored) {
		return name, was, nil
	}
	c = &challenge{
		stored: stored, kind: from.Type, token: from.Token,
		keyAuth: from.KeyAuthorization,
	}
	if from.Type != acme.ChallengeTypeTLSALPN01 {
		return name, c, nil
	}
	if c.cert, err = acmez.TLSALPN01ChallengeCert(from); err == nil && c.cert.Leaf == nil {
		c.cert.Leaf, err = x509.ParseCertificate(c.cert.Certificate[0])
	}
	return name, c, err
}

// placeholder makes a self-signed certificate for a name.
func placeholder(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "not issued yet"},
		DNSNames:  []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
