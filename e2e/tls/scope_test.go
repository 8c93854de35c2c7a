package tls

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestScope: a session resumes where the policy is the one it was made under, and leads to a full
// handshake everywhere else. All listeners share one cache.
func TestScope(t *testing.T) {
	pki, otherPKI := testpki.New(t), testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost", "other.example")
	s := harness.Start(t, harness.To(nettest.Serve(t, nettest.Echo).Addr),
		harness.Listen(cert, "context=one"),
		harness.Listen(cert, "context=one"),
		harness.Listen(cert, "context=two"),
		harness.Listen(cert, "context=one", "clientca=!"+pki.CAFile),
		harness.Listen(cert, "context=one", "clientca="+pki.CAFile),
		harness.Listen(cert, "context=one", "clientca=!"+otherPKI.CAFile),
		harness.Listen(cert, "context=one", "ciphers=ECDHE-ECDSA-AES128-GCM-SHA256"))
	const home, twin, otherContext, clientCert, optionalCert, otherCA, otherCiphers = 0, 1, 2, 3, 4, 5,
		6
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
			harness.ForEachVersion(t, func(t *testing.T, version uint16) {
				config, _ := harness.OneSessionConfig(pki, version)
				config.GetClientCertificate = harness.Sends(test.cert)
				harness.Visit(t, s.Addresses[test.from], config)
				config.GetClientCertificate = harness.Sends(test.toCert)
				if test.server != "" {
					config.ServerName = test.server
				}
				before := s.Document()
				harness.WantResumed(t, s.Addresses[test.to], config, test.outcome == "resumed_local")
				s.WantOutcomes(before, map[string]uint64{test.outcome: 1})
			})
		})
	}

	// The session must not stand in for the certificate.
	t.Run("no client certificate", func(t *testing.T) {
		testNoCertificate(t, s, pki, home, clientCert)
	})
}

// testNoCertificate: a session does not stand in for the certificate.
func testNoCertificate(t *testing.T, s *harness.Server, pki *testpki.PKI, home, clientCert int) {
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		config, _ := harness.OneSessionConfig(pki, version)
		harness.Visit(t, s.Addresses[home], config)
		before := s.Document()
		if state, err := harness.TryVisit(s.Addresses[clientCert], config); err == nil {
			t.Errorf("served, resumed is %v", state.DidResume)
		}
		after := s.Document()
		if n := after.Engine.TLS.Failures["client_certificate"] - before.Engine.TLS.Failures["client_certificate"]; n != 1 {
			t.Errorf("failures client_certificate: got %d, want 1", n)
		}
	})
}

// TestAgeLimit: a session that is renewed all the time still ends when its
// original handshake is too long ago.
func TestAgeLimit(t *testing.T) {
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		const limit = 2 * time.Second
		s, pki := harness.EchoServer(t, testpki.ECDSA, "--ssl-sessions-timeout", limit.String(), "--cache-expire-freq=3600")
		config, _ := harness.OneSessionConfig(pki, version)
		begun := time.Now()
		// A client whose clock stands still offers a session however old it is.
		config.Time = func() time.Time { return begun }
		harness.Visit(t, s.Addr(), config)
		begunAtMost := time.Since(begun)
		before := s.Document()
		var resumed uint64
		for harness.Visit(t, s.Addr(), config).DidResume {
			if resumed++; time.Since(begun) > harness.Patience {
				t.Fatalf("still resumed after %v", time.Since(begun))
			}
		}
		age := time.Since(begun)
		t.Logf("resumed %d times within %v", resumed, age)
		if least := limit - begunAtMost; age < least || resumed < 3 {
			t.Errorf("resumed %d times until %v old, want some and at least %v", resumed, age, least)
		}
		s.WantOutcomes(before, map[string]uint64{"resumed_local": resumed, "expired": 1})
	})
}

// TestFullCache: the oldest make room, and are counted.
func TestFullCache(t *testing.T) {
	const items, clients = 5, 12
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--cache2", fmt.Sprintf("name=ssl,items=%d,keysize=128,blocksize=4096", items))
	var configs []*tls.Config
	for range clients {
		// A resumption in TLS 1.2 makes no new session and so evicts none.
		config, _ := harness.OneSessionConfig(pki, tls.VersionTLS12)
		configs = append(configs, config)
		harness.Visit(t, s.Addr(), config)
	}
	if c := s.Document().Caches[0]; c.Name != "ssl" || c.Items != items || c.Full != clients-items ||
		c.Evicted != clients-items {
		t.Errorf("cache %q: %d items, full %d, evicted %d; want %d, %d, %d", c.Name, c.Items, c.Full, c.Evicted, items, clients-items, clients-items)
	}
	before := s.Document()
	for _, config := range configs[clients-items:] {
		harness.WantResumed(t, s.Addr(), config, true)
	}
	for _, config := range configs[:clients-items] {
		harness.WantResumed(t, s.Addr(), config, false)
	}
	s.WantOutcomes(before, map[string]uint64{"resumed_local": items, "unknown": clients - items})
}

// TestForgedHandle: a forged handle does not even reach the cache.
func TestForgedHandle(t *testing.T) {
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		s, pki := harness.EchoServer(t, testpki.ECDSA)
		config, w := harness.OneSessionConfig(pki, version)
		harness.Visit(t, s.Addr(), config)
		ticket, _, err := w.Session.ResumptionState()
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
		forged = append(forged, random, ticket[:len(ticket)-1], append(bytes.Clone(ticket), 0),
			ticket[:1], make([]byte, 2000))

		before := s.Document()
		for _, f := range forged {
			harness.WantResumed(t, s.Addr(), harness.Offering(config, harness.WithHandle(t, w.Session, f)),
				false)
		}
		s.WantOutcomes(before, map[string]uint64{"bad_handle": uint64(len(forged))})
		was, is := before.Caches[0], s.Document().Caches[0]
		if is.Hits != was.Hits || is.Miss != was.Miss {
			t.Errorf("%d hits and %d misses for handles that are forged", is.Hits-was.Hits, is.Miss-was.Miss)
		}
		harness.WantResumed(t, s.Addr(), config, true) // the original is not harmed
	})
}

// TestSingleUse: a session is good for one resumption, and only by a client with its secret, not by
// one that has seen its handle on the wire.
func TestSingleUse(t *testing.T) {
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		s, pki := harness.EchoServer(t, testpki.ECDSA, "--ssl-sessions-single-use")
		config, w := harness.OneSessionConfig(pki, version)
		harness.Visit(t, s.Addr(), config)
		first := w.Session

		thief, own := harness.OneSessionConfig(pki, version)
		harness.Visit(t, s.Addr(), thief)
		handle, _, err := first.ResumptionState()
		if err != nil {
			t.Fatal(err)
		}
		if state, err := harness.TryVisit(s.Addr(),
			harness.Offering(thief, harness.WithHandle(t, own.Session, handle))); err == nil {
			t.Errorf("served with a secret that is not the session's, resumed is %v", state.DidResume)
		}
		s.Await("the node has seen the thief off", func(d harness.Document) bool { return d.Engine.Flows.Open == 0 })

		before := s.Document()
		harness.WantResumed(t, s.Addr(), harness.Offering(config, first), true)
		harness.WantResumed(t, s.Addr(), harness.Offering(config, first), false)
		s.WantOutcomes(before, map[string]uint64{"resumed_local": 1, "spent": 1})

		// Each connection brings the session for the next one.
		harness.WantResumed(t, s.Addr(), config, false)
		harness.WantResumed(t, s.Addr(), config, true)
		harness.WantResumed(t, s.Addr(), config, true)
	})
}

// TestNoResumption: sessions can be switched off.
func TestNoResumption(t *testing.T) {
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		s, pki := harness.EchoServer(t, testpki.ECDSA, "--ssl-sessions-use-cache=false")
		config, w := harness.OneSessionConfig(pki, version)
		harness.WantResumed(t, s.Addr(), config, false)
		if w.Session != nil {
			t.Error("the client was given a session")
		}
		harness.WantResumed(t, s.Addr(), config, false)
	})
}
