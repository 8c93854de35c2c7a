package clients

import (
	"crypto/tls"
	"fmt"
	"slices"
	"testing"

	"reprise/internal/testpki"
)

// A mode is a way to come back.
type mode struct {
	name    string
	version uint16
	offer   offer
	// The first key share is for P-521, which our engine does not speak: HelloRetryRequest.
	// crypto/tls does, so these rows are untried there.
	retry  bool
	cert   bool // with a client certificate
	rsa    bool // the server's certificate is an RSA one
	sha384 bool // with a cipher suite of the longer hash
	noEMS  bool // by a client that does not know the extended master secret
}

var (
	id12       = mode{name: "1.2 id", version: tls.VersionTLS12, offer: byID}
	idCert12   = mode{name: "1.2 id, certificate", version: tls.VersionTLS12, offer: byID, cert: true}
	idRSA12    = mode{name: "1.2 id, RSA", version: tls.VersionTLS12, offer: byID, rsa: true}
	tick12     = mode{name: "1.2 ticket", version: tls.VersionTLS12, offer: byTicket}
	tickCert12 = mode{name: "1.2 ticket, certificate", version: tls.VersionTLS12, offer: byTicket, cert: true}
	psk13      = mode{name: "1.3", version: tls.VersionTLS13, offer: byPSK}
	retry13    = mode{name: "1.3 retry", version: tls.VersionTLS13, offer: byPSK, retry: true}
	pskCert13  = mode{name: "1.3, certificate", version: tls.VersionTLS13, offer: byPSK, cert: true}
	early13    = mode{name: "1.3 early data", version: tls.VersionTLS13, offer: withEarly}
	pskRSA13   = mode{name: "1.3, RSA", version: tls.VersionTLS13, offer: byPSK, rsa: true}
	idLong12   = mode{name: "1.2 id, SHA-384", version: tls.VersionTLS12, offer: byID, sha384: true}
	pskLong13  = mode{name: "1.3, SHA-384", version: tls.VersionTLS13, offer: byPSK, sha384: true}
	idOld12    = mode{name: "1.2 id, no EMS", version: tls.VersionTLS12, offer: byID, noEMS: true}
	tickOld12  = mode{name: "1.2 ticket, no EMS", version: tls.VersionTLS12, offer: byTicket, noEMS: true}
)

// A visit is a client's task: to make some connections one after the other, the first without a
// session and each with the session of the one before, and to send a line on each and wait for it
// to come back.
type visit struct {
	mode
	host, port string
	caFile     string
	cert       *testpki.Cert // nil without
	fleet      *fleet
}

func (v *visit) addr() string { return v.host + ":" + v.port }

// pick returns the value for the version of TLS.
func pick[T any](v *visit, tls12, tls13 T) T {
	if v.version == tls.VersionTLS12 {
		return tls12
	}
	return tls13
}

// A client makes a visit and returns for each connection whether that resumed according to the
// client, or nil if the client does not say. An error during the visit fails the test.
type client struct {
	name     string
	do       func(t *testing.T, v *visit) []bool
	parallel bool // connections at the same time, and a TLS 1.3 ticket for one of them only
}

// A verdict is the result of a visit.
type verdict int

const (
	resumes verdict = iota // at the other node
	full                   // a full handshake each time
	untried                // the row says why
)

// A row has the result of a client in a mode, by engine.
type row struct {
	client        client
	mode          mode
	own, standard verdict
}

// The rows. Where the standard engine does not resume, crypto/tls sends no session
// ID in TLS 1.2, says of a ticket there that its lifetime is unknown (0), which
// JSSE and wolfSSL take for none, or wants psk_key_exchange_modes of a client that
// sends it only with a session (Erlang).
var rows = []row{
	{openSSL, id12, resumes, full},
	{openSSL, idCert12, resumes, full},
	{openSSL, tick12, resumes, resumes},
	{openSSL, tickCert12, resumes, resumes},
	{openSSL, psk13, resumes, resumes},
	{openSSL, retry13, resumes, untried},
	{openSSL, pskCert13, resumes, resumes},
	{openSSL, idRSA12, resumes, full},
	{openSSL, pskRSA13, resumes, resumes},
	{openSSL, idLong12, resumes, full},
	{openSSL, pskLong13, resumes, resumes},

	// libcurl sets SSL_OP_NO_TICKET.
	{curl, id12, resumes, full},
	{curl, idCert12, resumes, full},
	{curl, psk13, resumes, resumes},
	{curl, retry13, resumes, untried},
	{curl, pskCert13, resumes, resumes},

	// As above, and GnuTLS keeps no session in TLS 1.3 unless it waits for one, which
	// libcurl does not before 8.11.
	{pycurl, id12, resumes, full},
	{pycurl, idCert12, resumes, full},
	{pycurl, psk13, full, full},

	{gnuTLS, id12, resumes, full},
	{gnuTLS, idCert12, resumes, full},
	{gnuTLS, idOld12, resumes, full},
	{gnuTLS, tick12, resumes, resumes},
	{gnuTLS, tickCert12, resumes, resumes},
	{gnuTLS, tickOld12, resumes, resumes},
	// crypto/tls sends tickets before it has read the client's Finished, unless it
	// asks for a certificate, and only then is the session saved. gnutls-cli leaves
	// as soon as it has one, and may be at the other node before.
	{gnuTLS, psk13, resumes, untried},
	{gnuTLS, retry13, resumes, untried},
	{gnuTLS, pskCert13, resumes, resumes},

	{nss, id12, resumes, full},
	{nss, idCert12, resumes, full},
	{nss, tick12, resumes, resumes},
	{nss, tickCert12, resumes, resumes},
	{nss, psk13, resumes, resumes},
	{nss, retry13, resumes, untried},
	{nss, pskCert13, resumes, resumes},

	{java, id12, resumes, full},
	{java, idCert12, resumes, full},
	{java, tick12, resumes, full},
	{java, tickCert12, resumes, full},
	{java, psk13, resumes, resumes},
	{java, retry13, resumes, untried},
	{java, pskCert13, resumes, resumes},

	// BouncyCastle offers no tickets, and in TLS 1.3 no session at all.
	{castle, id12, resumes, full},
	{castle, idCert12, resumes, full},
	{castle, psk13, full, full},

	{wolfSSL, id12, resumes, full},
	{wolfSSL, idCert12, resumes, full},
	{wolfSSL, tick12, resumes, full},
	{wolfSSL, tickCert12, resumes, full},
	{wolfSSL, psk13, resumes, resumes},
	{wolfSSL, retry13, resumes, untried},
	{wolfSSL, pskCert13, resumes, resumes},

	// Debian's mbedTLS and Botan speak TLS 1.2 at most.
	{mbedTLS, id12, resumes, full},
	{mbedTLS, idCert12, resumes, full},
	{mbedTLS, tick12, resumes, resumes},
	{mbedTLS, tickCert12, resumes, resumes},

	{botan, tick12, resumes, resumes},

	{python, id12, resumes, full},
	{python, idCert12, resumes, full},
	{python, tick12, resumes, resumes},
	{python, tickCert12, resumes, resumes},
	{python, psk13, resumes, resumes},
	{python, pskCert13, resumes, resumes},

	{node20, id12, resumes, full},
	{node20, tick12, resumes, resumes},
	{node20, tickCert12, resumes, resumes},
	{node20, psk13, resumes, resumes},
	{node20, retry13, resumes, untried},
	{node20, pskCert13, resumes, resumes},

	{golang, tick12, resumes, resumes},
	{golang, tickCert12, resumes, resumes},
	{golang, psk13, resumes, resumes},
	{golang, pskCert13, resumes, resumes},

	// OTP never offers a ticket in TLS 1.2. With one in TLS 1.3 it does not survive a
	// HelloRetryRequest: OpenSSL too refuses the binder in its second ClientHello.
	{erlang, id12, resumes, full},
	{erlang, idCert12, resumes, full},
	{erlang, psk13, resumes, full},
	{erlang, pskCert13, resumes, full},
	{erlang, early13, resumes, untried}, // crypto/tls refuses early data

	{chromium, tick12, resumes, resumes},
	{chromium, psk13, resumes, resumes},
}

// standardClients are enough to check the standard engine's rows where it is not the default.
var standardClients = []string{openSSL.name, gnuTLS.name, wolfSSL.name, golang.name}

// TestClientsResumeAtTheOtherNode tests the purpose of this product.
func TestClientsResumeAtTheOtherNode(t *testing.T) {
	for i, engine := range engines(t) {
		t.Run(engine, func(t *testing.T) {
			f := startFleet(t, engine)
			before := [2]tally{f.nodes[0].tally(t), f.nodes[1].tally(t)}
			var seen [2]counted
			t.Run("clients", func(t *testing.T) {
				for _, r := range rows {
					want := map[string]verdict{engineOwn: r.own, engineStandard: r.standard}[engine]
					if want == untried || i > 0 && !slices.Contains(standardClients, r.client.name) {
						continue
					}
					t.Run(r.client.name+"/"+r.mode.name, func(t *testing.T) {
						t.Parallel()
						f.hold(t, r, want == resumes, &seen)
					})
				}
			})
			for i, n := range f.nodes {
				seen[i].compare(t, before[i], n.tally(t))
			}
		})
	}
}

// hold lets a client visit the fleet and compares the result.
func (f *fleet) hold(t *testing.T, r row, want bool, seen *[2]counted) {
	relay := startRelay(t, f.addresses(r.mode)...)
	v := &visit{mode: r.mode, host: relay.host, port: relay.port, caFile: f.pki.CAFile, fleet: f}
	if r.mode.cert {
		v.cert = f.alice
	}
	said := r.client.do(t, v)
	crossings := relay.all()
	if len(crossings) < 2 {
		t.Fatalf("%d connections, want 2 or more", len(crossings))
	}
	if said != nil && len(said) != len(crossings) {
		t.Fatalf("the client tells of %d connections, of %d there were", len(said), len(crossings))
	}
	movedLen := 0 // sessions resumed at another node than their maker
	for i, c := range crossings {
		e := f.nodes[c.target].entry(t, c.source)
		if e.Resumed != "" && e.Resumed != "local" {
			movedLen++
		}
		offers := hellos(t, c.head())
		seen[c.target].add(e, offers[0])
		wanted := want && (!r.client.parallel || offers[0] != nothing)
		if err := r.mode.check(i, e, offers, wanted); err != nil {
			t.Errorf("connection %d, to node %d: %v", i+1, c.target, err)
		}
		if said != nil && said[i] != (want && i > 0) {
			t.Errorf("connection %d: the client says that resumed is %v", i+1, said[i])
		}
	}
	if want != (movedLen > 0) {
		t.Errorf("%d of %d connections resumed at the other node, want some: %v", movedLen, len(crossings), want)
	}
}

// check compares the result of a client's connection i.
func (m mode) check(i int, e entry, offers []offer, want bool) error {
	wantOffers, wantCert := 1, ""
	if m.retry {
		wantOffers = 2
	}
	if m.cert {
		wantCert = "alice"
	}
	resumed := e.Resumed != ""
	switch {
	case e.TLS != map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}[m.version]:
		return fmt.Errorf("it spoke %s", e.TLS)
	case len(offers) != wantOffers:
		return fmt.Errorf("%d ClientHellos (%v), want %d", len(offers), offers, wantOffers)
	case e.ClientCert != wantCert:
		return fmt.Errorf("client certificate of %q, want %q", e.ClientCert, wantCert)
	// Go always has an ID, at first of its own
	case i == 0 && (resumed || offers[0] != nothing && offers[0] != byID):
		return fmt.Errorf("offered %s, outcome %s, want the first to have nothing to offer", offers[0], e.Outcome)
	case i > 0 && resumed != want:
		return fmt.Errorf("offered %v, outcome %s, want resumed to be %v", offers, e.Outcome, want)
	case i > 0 && want && offers[len(offers)-1] != m.offer:
		return fmt.Errorf("offered %v, want %s", offers, m.offer)
	}
	return nil
}
