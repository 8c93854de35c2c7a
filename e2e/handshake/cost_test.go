package handshake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// costlyChain returns a client certificate with n authorities of one name, none of
// which has signed it: a verifier has to try them all, at 3 ms for each.
func costlyChain(t *testing.T, n int) tls.Certificate {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	issue := func(serial int64, isCA bool, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) []byte {
		name := pkix.Name{CommonName: "an authority of which there are many"}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: name, IsCA: isCA, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			SignatureAlgorithm: x509.ECDSAWithSHA512,
		}
		if isCA {
			template.KeyUsage = x509.KeyUsageCertSign
		} else {
			template.Subject.CommonName = "a client"
			template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}
		der, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{Subject: name},
			public, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	signer, leaf := key(), key()
	chain := tls.Certificate{
		PrivateKey:  leaf,
		Certificate: [][]byte{issue(1, false, &leaf.PublicKey, signer)},
	}
	for i := range n {
		chain.Certificate = append(chain.Certificate, issue(int64(i+2), true, &key().PublicKey, signer))
	}
	return chain
}

// TestClientChainsDoNotBlockTheLoop: a certificate chain that takes long to verify
// delays no other connection of the same loop.
func TestClientChainsDoNotBlockTheLoop(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, authorities := range []int{100, 8} {
			name := fmt.Sprintf("%s with %d", tls.VersionName(version), authorities)
			t.Run(name, func(t *testing.T) {
				n := start(t, testpki.ECDSA, ",clientca=CA")
				other := n.connect(t, n.config(tls.VersionTLS13))
				chain := costlyChain(t, authorities)
				config := n.config(version)
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &chain, nil
				}
				// On a loop, verification would delay another connection by all of its time, each time.
				// On a busy machine both take longer: the attack that delayed least counts, and there
				// are more of them.
				const few = 5 * time.Millisecond
				var attacks []string
				for begun := time.Now(); len(attacks) < 7 || time.Since(begun) < harness.Patience/2; {
					delay, took := delayDuring(t, other, func() { rejected(t, n.dial(t), config) })
					if attacks = append(attacks, fmt.Sprintf("%v of %v", delay, took)); delay <= max(few, took/4) {
						return
					}
				}
				t.Errorf("another connection was delayed by %q, want a quarter or %v at most", attacks, few)
			})
		}
	}
}

// delayDuring returns the longest time in which other was answered while attack ran, and how long
// that took.
func delayDuring(t *testing.T, other net.Conn, attack func()) (longest, took time.Duration) {
	t.Helper()
	ended := make(chan struct{})
	began := time.Now()
	go func() { attack(); close(ended) }()
	for {
		select {
		case <-ended:
			return longest, time.Since(began)
		default:
		}
		begun := time.Now()
		if err := harness.Ping(other); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(begun))
	}
}

// rejected makes a handshake on raw that is to fail.
func rejected(t *testing.T, raw net.Conn, config *tls.Config) {
	conn := tls.Client(raw, config)
	err := conn.Handshake()
	if err == nil {
		err = harness.Ping(conn) // in TLS 1.3 the client is done before it is verified
	}
	if err == nil {
		t.Error("a client with a worthless certificate was served")
	}
}

// TestClientsThatLeftCostNoSignature: after thousands of clients that asked for an
// RSA signature and left at once, the next client is served as promptly, about, as
// if signatures cost nothing.
func TestClientsThatLeftCostNoSignature(t *testing.T) {
	// useless signatures took 8 s; noise of a busy machine takes some
	const more = 4 * time.Second
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			cheap, dear := afterCrowd(t, testpki.ECDSA, version), afterCrowd(t, testpki.RSA, version)
			t.Logf("the client after those that left was served in %v, with ECDSA in %v", dear, cheap)
			if dear > cheap+more {
				t.Errorf("the client after those that left was served in %v, with ECDSA in %v", dear, cheap)
			}
		})
	}
}

// afterCrowd is how long a client takes to be served after 6,000 that sent a
// ClientHello and left.
func afterCrowd(t *testing.T, key testpki.KeyType, version uint16) time.Duration {
	t.Helper()
	const clients, atATime = 6000, 16
	n := start(t, key, "")
	hello := harness.ClientHello(t, n.config(version))
	n.connect(t, n.config(version)) // the node is warm
	var crowd sync.WaitGroup
	for range atATime {
		crowd.Go(func() {
			for range clients / atATime {
				raw, err := nettest.Dial(n.Addr())
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := raw.Write(hello); err != nil {
					t.Error(err)
				}
				raw.Close()
			}
		})
	}
	crowd.Wait()
	begun := time.Now()
	if err := harness.Ping(n.connect(t, n.config(version))); err != nil {
		t.Fatal(err)
	}
	return time.Since(begun)
}

// TestNoP521: its key exchange costs the server 3 ms for a hello of 380 bytes that any client can
// replay, ten times as much as X25519. No client supports only P-521; one that sends a share for it
// is asked for another.
func TestNoP521(t *testing.T) {
	n := start(t, testpki.ECDSA, "")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := n.config(version)
		config.CurvePreferences = []tls.CurveID{tls.CurveP521}
		raw := n.dial(t)
		conn := tls.Client(raw, config)
		if err := conn.Handshake(); err == nil {
			t.Errorf("%s: a key exchange with P-521", tls.VersionName(version))
		}
		config.CurvePreferences = []tls.CurveID{tls.CurveP521, tls.CurveP256}
		if err := harness.Ping(n.connect(t, config)); err != nil {
			t.Errorf("%s, P-521 and P-256: %v", tls.VersionName(version), err)
		}
	}
}
