package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A wallet is a client's memory that offers its one session to every server, as
// an attacker would. Its zero value is empty.
type wallet struct{ session *tls.ClientSessionState }

func (w *wallet) Get(string) (*tls.ClientSessionState, bool) { return w.session, w.session != nil }

func (w *wallet) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		w.session = s
	}
}

// offering returns a client that offers one session only, and keeps no other.
func offering(config *tls.Config, session *tls.ClientSessionState) *tls.Config {
	return with(config, func(c *tls.Config) { c.ClientSessionCache = keepsake{session} })
}

type keepsake struct{ session *tls.ClientSessionState }

func (k keepsake) Get(string) (*tls.ClientSessionState, bool) { return k.session, true }
func (keepsake) Put(string, *tls.ClientSessionState)          {}

// forEachVersion runs test for TLS 1.2 and 1.3.
func forEachVersion(t *testing.T, test func(t *testing.T, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) { test(t, version) })
	}
}

// walletConfig is a client of one version with an empty wallet.
func walletConfig(pki *testpki.PKI, version uint16) (*tls.Config, *wallet) {
	w := new(wallet)
	return with(clientConfig(pki), func(c *tls.Config) { c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, w }), w
}

// TestScope: a session resumes where the policy is the one it was made under,
// and is as good as none everywhere else. All listeners share one cache.
func TestScope(t *testing.T) {
	pki, otherPKI := testpki.New(t), testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "other.example")
	s := start(t, to(nettest.Serve(t, nettest.Echo).Addr),
		listen(cert, "context=one"),
		listen(cert, "context=one"),
		listen(cert, "context=two"),
		listen(cert, "context=one", "clientca=!"+pki.CAFile),
		listen(cert, "context=one", "clientca="+pki.CAFile),
		listen(cert, "context=one", "clientca=!"+otherPKI.CAFile),
		listen(cert, "context=one", "ciphers=ECDHE-ECDSA-AES128-GCM-SHA256"))
	const home, twin, otherContext, clientCert, optionalCert, otherCA, otherCiphers = 0, 1, 2, 3, 4, 5, 6
	ours, theirs := &pki.Client("ours").TLS, &otherPKI.Client("theirs").TLS

	for _, test := range []struct {
		name    string
		from    int
		to      int
		server  string           // asked for at to; localhost if empty
		cert    *tls.Certificate // the client's at from
		toCert  *tls.Certificate // and at to
		outcome string
	}{
		{name: "home", from: home, to: home, outcome: "resumed_local"},
		{name: "another listener, the same context", from: home, to: twin, outcome: "resumed_local"},
		{name: "another context", from: home, to: otherContext, outcome: "scope_context"},
		{name: "another name", from: home, to: home, server: "other.example", outcome: "scope_name"},
		{name: "client certificate now required", from: home, to: clientCert, toCert: ours, outcome: "scope_client_auth"},
		{name: "client certificate now asked for", from: home, to: optionalCert, outcome: "scope_client_auth"},
		{name: "client certificate required before too", from: clientCert, to: clientCert, cert: ours, toCert: ours, outcome: "resumed_local"},
		{name: "another client CA", from: clientCert, to: otherCA, cert: ours, toCert: theirs, outcome: "scope_client_auth"},
		{name: "other ciphers", from: home, to: otherCiphers, outcome: "scope_policy"},
	} {
		t.Run(test.name, func(t *testing.T) {
			forEachVersion(t, func(t *testing.T, version uint16) {
				config, _ := walletConfig(pki, version)
				config.GetClientCertificate = sends(test.cert)
				visit(t, s.addresses[test.from], config)
				config.GetClientCertificate = sends(test.toCert)
				if test.server != "" {
					config.ServerName = test.server
				}
				before := s.document()
				wantResumed(t, s.addresses[test.to], config, test.outcome == "resumed_local")
				s.wantOutcomes(before, map[string]uint64{test.outcome: 1})
			})
		})
	}

	// The session must not stand in for the certificate.
	t.Run("no client certificate", func(t *testing.T) {
		forEachVersion(t, func(t *testing.T, version uint16) {
			config, _ := walletConfig(pki, version)
			visit(t, s.addresses[home], config)
			before := s.document()
			if state, err := tryVisit(s.addresses[clientCert], config); err == nil {
				t.Errorf("served, resumed is %v", state.DidResume)
			}
			after := s.document()
			if n := after.Engine.TLS.Failures["client_certificate"] - before.Engine.TLS.Failures["client_certificate"]; n != 1 {
				t.Errorf("failures client_certificate: got %d, want 1", n)
			}
		})
	})
}

// sends is the tls.Config.GetClientCertificate of a client that has cert, or
// none if it is nil.
func sends(cert *tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if cert == nil {
		cert = new(tls.Certificate)
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
}

// TestAgeLimit: a session that is renewed all the time still ends when its
// original handshake is too long ago.
func TestAgeLimit(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version uint16) {
		const limit = 2 * time.Second
		s, pki := echoServer(t, testpki.ECDSA, "--ssl-sessions-timeout", limit.String(), "--cache-expire-freq=3600")
		config, _ := walletConfig(pki, version)
		begun := time.Now()
		// A client whose clock stands still offers a session however old it is.
		config.Time = func() time.Time { return begun }
		visit(t, s.addr(), config)
		begunAtMost := time.Since(begun)
		before := s.document()
		var resumed uint64
		for visit(t, s.addr(), config).DidResume {
			if resumed++; time.Since(begun) > patience {
				t.Fatalf("still resumed after %v", time.Since(begun))
			}
		}
		age := time.Since(begun)
		t.Logf("resumed %d times within %v", resumed, age)
		if least := limit - begunAtMost; age < least || resumed < 3 {
			t.Errorf("resumed %d times until %v old, want some and at least %v", resumed, age, least)
		}
		s.wantOutcomes(before, map[string]uint64{"resumed_local": resumed, "expired": 1})
	})
}

// TestFullCache: the oldest make room, and are counted.
func TestFullCache(t *testing.T) {
	const items, clients = 5, 12
	s, pki := echoServer(t, testpki.ECDSA, "--cache2", fmt.Sprintf("name=ssl,items=%d,keysize=128,blocksize=4096", items))
	var configs []*tls.Config
	for range clients {
		// A resumption in TLS 1.2 makes no new session and so evicts none.
		config, _ := walletConfig(pki, tls.VersionTLS12)
		configs = append(configs, config)
		visit(t, s.addr(), config)
	}
	if c := s.document().Caches[0]; c.Name != "ssl" || c.Items != items || c.Full != clients-items || c.Evicted != clients-items {
		t.Errorf("cache %q: %d items, full %d, evicted %d; want %d, %d, %d", c.Name, c.Items, c.Full, c.Evicted, items, clients-items, clients-items)
	}
	before := s.document()
	for _, config := range configs[clients-items:] {
		wantResumed(t, s.addr(), config, true)
	}
	for _, config := range configs[:clients-items] {
		wantResumed(t, s.addr(), config, false)
	}
	s.wantOutcomes(before, map[string]uint64{"resumed_local": items, "unknown": clients - items})
}

// TestForgedHandle: what this node has not made does not even reach the cache.
func TestForgedHandle(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version uint16) {
		s, pki := echoServer(t, testpki.ECDSA)
		config, w := walletConfig(pki, version)
		visit(t, s.addr(), config)
		ticket, _, err := w.session.ResumptionState()
		if err != nil {
			t.Fatal(err)
		}
		var forged [][]byte
		for i := range ticket { // a bit of each byte
			f := bytes.Clone(ticket)
			f[i] ^= 1 << (i % 8)
			forged = append(forged, f)
		}
		random := make([]byte, len(ticket))
		rand.Read(random)
		forged = append(forged, random, ticket[:len(ticket)-1], append(bytes.Clone(ticket), 0), ticket[:1], make([]byte, 2000))

		before := s.document()
		for _, f := range forged {
			wantResumed(t, s.addr(), offering(config, withHandle(t, w.session, f)), false)
		}
		s.wantOutcomes(before, map[string]uint64{"bad_handle": uint64(len(forged))})
		was, is := before.Caches[0], s.document().Caches[0]
		if is.Hits != was.Hits || is.Miss != was.Miss {
			t.Errorf("%d hits and %d misses for handles that are forged", is.Hits-was.Hits, is.Miss-was.Miss)
		}
		wantResumed(t, s.addr(), config, true) // the one they were made from is none the worse
	})
}

// TestSingleUse: a session is good for one resumption, and only by who has its
// secret, not by who has seen its handle on the wire.
func TestSingleUse(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version uint16) {
		s, pki := echoServer(t, testpki.ECDSA, "--ssl-sessions-single-use")
		config, w := walletConfig(pki, version)
		visit(t, s.addr(), config)
		first := w.session

		thief, own := walletConfig(pki, version)
		visit(t, s.addr(), thief)
		handle, _, err := first.ResumptionState()
		if err != nil {
			t.Fatal(err)
		}
		if state, err := tryVisit(s.addr(), offering(thief, withHandle(t, own.session, handle))); err == nil {
			t.Errorf("served with a secret that is not the session's, resumed is %v", state.DidResume)
		}
		s.await("the node has seen the thief off", func(d document) bool { return d.Engine.Flows.Open == 0 })

		before := s.document()
		wantResumed(t, s.addr(), offering(config, first), true)
		wantResumed(t, s.addr(), offering(config, first), false)
		s.wantOutcomes(before, map[string]uint64{"resumed_local": 1, "spent": 1})

		// Each connection brings the session for the next one.
		wantResumed(t, s.addr(), config, false)
		wantResumed(t, s.addr(), config, true)
		wantResumed(t, s.addr(), config, true)
	})
}

// withHandle returns a copy of session under another handle.
func withHandle(t *testing.T, session *tls.ClientSessionState, handle []byte) *tls.ClientSessionState {
	t.Helper()
	_, state, err := session.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := state.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	// Not state itself: NewResumptionState changes what it is given.
	if state, err = tls.ParseSessionState(encoded); err != nil {
		t.Fatal(err)
	}
	changed, err := tls.NewResumptionState(handle, state)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// TestNoResumption: sessions can be switched off.
func TestNoResumption(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version uint16) {
		s, pki := echoServer(t, testpki.ECDSA, "--ssl-sessions-use-cache=false")
		config, w := walletConfig(pki, version)
		wantResumed(t, s.addr(), config, false)
		if w.session != nil {
			t.Error("the client was given a session")
		}
		wantResumed(t, s.addr(), config, false)
	})
}
