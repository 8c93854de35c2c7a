package tlsconn_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// A revoker is a root with an authority below it and a client certified by each.
type revoker struct {
	t            *testing.T
	root, issuer *testpki.CA
	direct       *testpki.Cert // by root
	below        *testpki.Cert // by issuer
}

func newRevoker(t *testing.T) *revoker {
	t.Helper()
	r := &revoker{t: t}
	var err error
	if r.root, err = testpki.NewCA("root"); err == nil {
		r.issuer, err = r.root.Intermediate("issuer")
	}
	if err != nil {
		t.Fatal(err)
	}
	client := testpki.Template{CommonName: "client", Client: true}
	if r.direct, err = r.root.Issue(client); err != nil {
		t.Fatal(err)
	}
	if r.below, err = r.issuer.Issue(client); err != nil {
		t.Fatal(err)
	}
	r.below.TLS.Certificate = append(r.below.TLS.Certificate, r.issuer.Cert().TLS.Certificate[0])
	return r
}

func (r *revoker) list(ca *testpki.CA, left time.Duration,
	revoked ...*testpki.Cert,
) *x509.RevocationList {
	r.t.Helper()
	data, err := ca.RevokeUntil(time.Now().Add(left), revoked...)
	if err != nil {
		r.t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// requires makes a server ask for a certificate by cas and hold it against lists.
func requires(cas []*testpki.CA, lists ...*x509.RevocationList) func(*tlsconn.Config) {
	return func(c *tlsconn.Config) {
		c.ClientAuth = tlsconn.RequireClientCert
		for _, ca := range cas {
			c.ClientCAs = append(c.ClientCAs, ca.Cert().TLS.Leaf)
		}
		c.Revocations = tlsconn.NewRevocations(lists)
	}
}

// TestRevocation: a client is served only if the revocation state of each certificate of its chain
// is known and none is revoked.
func TestRevocation(t *testing.T) {
	r := newRevoker(t)
	other, err := testpki.NewCA("root") // by the same name, with another key
	if err != nil {
		t.Fatal(err)
	}
	const good, past = time.Hour, -time.Minute
	root, both := []*testpki.CA{r.root}, []*testpki.CA{r.root, r.issuer}
	free, freeBelow := r.list(r.root, good), r.list(r.issuer, good)
	for _, tc := range []struct {
		name   string
		client *testpki.Cert
		server func(*tlsconn.Config)
		want   error
	}{
		{"not revoked", r.direct, requires(root, free), nil},
		{"revoked", r.direct, requires(root, r.list(r.root, good, r.direct)), tlsconn.ErrRevoked},
		{"another is revoked", r.direct, requires(root, r.list(r.root, good, r.below)), nil},
		{"no list", r.direct, requires(root, freeBelow), tlsconn.ErrNoCRL},
		{"forged list", r.direct, requires(root, r.list(other, good)), tlsconn.ErrNoCRL},
		{"forged list beside a good one", r.direct, requires(root, r.list(other, good, r.direct), free), nil},
		{"expired list", r.direct, requires(root, r.list(r.root, past)), tlsconn.ErrCRLEnded},
		{"expired list that has it", r.direct, requires(root, r.list(r.root, past, r.direct)), tlsconn.ErrRevoked},
		{"expired list beside a valid one", r.direct, requires(root, r.list(r.root, past), free), nil},
		{"two lists, in the second", r.direct, requires(root, free, r.list(r.root, good, r.direct)), tlsconn.ErrRevoked},
		{"chain", r.below, requires(root, free, freeBelow), nil},
		{"chain, revoked", r.below, requires(root, free, r.list(r.issuer, good, r.below)), tlsconn.ErrRevoked},
		{"chain, issuer revoked", r.below, requires(root, r.list(r.root, good, r.issuer.Cert()), freeBelow), tlsconn.ErrRevoked},
		{"chain, no list of the issuer", r.below, requires(root, free), tlsconn.ErrNoCRL},
		{"chain, no list of the root", r.below, requires(root, freeBelow), tlsconn.ErrNoCRL},
		{"chain, list of the issuer expired", r.below, requires(root, free, r.list(r.issuer, past)), tlsconn.ErrCRLEnded},
		{"issuer named, not revoked", r.below, requires(both, free, freeBelow), nil},
		{"issuer named, revoked", r.below, requires(both, r.list(r.root, good, r.issuer.Cert()), freeBelow), tlsconn.ErrRevoked},
		{"issuer alone", r.below, requires([]*testpki.CA{r.issuer}, freeBelow), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, e engine) {
				for _, version := range versions {
					client, _ := clientOf(version.id)
					client.Certificates = []tls.Certificate{tc.client.TLS}
					p := newPair(t, e.server(t, tc.server), client)
					if tc.want == nil {
						p.doHandshake()
						continue
					}
					wantRevocation(t, p, version.name, tc.want)
				}
			})
		})
	}
}

// wantRevocation fails a handshake, for that reason.
func wantRevocation(t *testing.T, p *pair, version string, want error) {
	_ = p.client.Handshake() // in TLS 1.3 it ends before the server has looked
	p.link.drive()
	wantReason := tlsconn.ReasonRevocation
	if want == tlsconn.ErrRevoked {
		wantReason = tlsconn.ReasonRevoked
	}
	var failed *tlsconn.Error
	err := p.conn.Err()
	if !errors.Is(err, want) || !errors.As(err, &failed) || failed.Reason != wantReason {
		t.Errorf("%s: got %v, want %v", version, err, want)
	}
}

// comesBack returns a client with a session of a server as made, two minutes later, at one as
// offered.
func (r *revoker) comesBack(t *testing.T, e engine, version uint16,
	made, offered func(*tlsconn.Config),
) *pair {
	t.Helper()
	s, sessions, clock := e.sessionServer(t, made)
	client, _ := clientOf(version)
	client.Certificates = []tls.Certificate{r.direct.TLS}
	newPair(t, s, client).doHandshake()
	clock.advance(2 * time.Minute)
	there := e.server(t, offered,
		func(c *tlsconn.Config) { c.Sessions, c.Now = sessions, clock.Now })
	return newPair(t, there, client)
}

// TestRevokedDoesNotResume: a session does not outlive the revocation state it was made under.
func TestRevokedDoesNotResume(t *testing.T) {
	r := newRevoker(t)
	root := []*testpki.CA{r.root}
	const day = 24 * time.Hour
	free := r.list(r.root, day)
	for _, tc := range []struct {
		name    string
		made    func(*tlsconn.Config)
		offered func(*tlsconn.Config)
		want    tlsconn.Outcome
	}{
		{"the same list", requires(root, free), requires(root, free), tlsconn.ResumedLocal},
		{"a new list that says the same", requires(root, free), requires(root, r.list(r.root, 2*day)), tlsconn.ResumedLocal},
		{
			"made before there was one", func(c *tlsconn.Config) { requires(root)(c); c.Revocations = nil }, requires(root, free),
			tlsconn.MissScopeClient,
		},
		{"another is revoked", requires(root, free), requires(root, r.list(r.root, day, r.below)), tlsconn.MissScopeClient},
		{
			"the list has ended, and another not", requires(root, r.list(r.root, time.Minute)),
			requires(root, r.list(r.root, time.Minute), r.list(r.root, day)), tlsconn.ResumedLocal,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, e engine) {
				for _, version := range versions {
					p := r.comesBack(t, e, version.id, tc.made, tc.offered)
					if got := p.doHandshake().conn.Info().Outcome; got != tc.want {
						t.Errorf("%s: got %v, want %v", version.name, got, tc.want)
					}
				}
			})
		})
	}
}

// TestRevokedEndsTheHandshake: a client that was valid when its session was made is refused where
// it is revoked.
func TestRevokedEndsTheHandshake(t *testing.T) {
	r := newRevoker(t)
	root := []*testpki.CA{r.root}
	const day = 24 * time.Hour
	free := r.list(r.root, day)
	for _, tc := range []struct {
		name    string
		made    *x509.RevocationList
		offered *x509.RevocationList
		want    error
	}{
		{"revoked", free, r.list(r.root, day, r.direct), tlsconn.ErrRevoked},
		{"the list has ended", r.list(r.root, time.Minute), r.list(r.root, time.Minute), tlsconn.ErrCRLEnded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, e engine) {
				for _, version := range versions {
					p := r.comesBack(t, e, version.id, requires(root, tc.made), requires(root, tc.offered))
					_ = p.client.Handshake()
					p.link.drive()
					if err := p.conn.Err(); !errors.Is(err, tc.want) {
						t.Errorf("%s: got %v, want %v", version.name, err, tc.want)
					}
				}
			})
		})
	}
}

// TestStrictNames: what becomes of a client that asks for no name of a certificate.
func TestStrictNames(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		named := certificate(t, testpki.ECDSA, "named.test")
		for _, tc := range []struct {
			name                   string
			any, notUnknown, known bool // whether it is served
		}{
			{"www.example.test", true, true, true}, // stands in the default certificate
			{"named.test", true, true, true},
			{"a.wild.test", true, true, true},
			{"A.Wild.Test", true, true, true},
			{"unknown.test", true, false, false},
			{"a.b.wild.test", true, false, false},
			{"", true, true, false},
		} {
			for strict, want := range map[tlsconn.NameStrictness]bool{
				tlsconn.AnyName: tc.any, tlsconn.NotUnknown: tc.notUnknown, tlsconn.OnlyKnown: tc.known,
			} {
				for _, version := range versions {
					s := e.server(t, func(c *tlsconn.Config) {
						c.Strict = strict
						list := append(c.Certificates.List(), tlsconn.Certificate{Name: "named.test", TLS: named},
							tlsconn.Certificate{Name: "*.wild.test", TLS: named})
						var err error
						if c.Certificates, err = tlsconn.NewCertificates(list); err != nil {
							t.Fatal(err)
						}
					})
					client, _ := clientOf(version.id)
					client.ServerName = tc.name
					p := newPair(t, s, client)
					if want {
						p.doHandshake()
						continue
					}
					err := p.client.Handshake()
					var failed *tlsconn.Error
					if !errors.As(p.conn.Err(), &failed) || failed.Reason != tlsconn.ReasonUnknownName {
						t.Errorf("%q, %d, %s: got %v", tc.name, strict, version.name, p.conn.Err())
					}
					var alert tls.AlertError
					if err == nil || !errors.As(err, &alert) && err.Error() != "remote error: tls: unrecognized name" {
						t.Errorf("%q, %d, %s: the client is told %v", tc.name, strict, version.name, err)
					}
				}
			}
		}
	})
}
