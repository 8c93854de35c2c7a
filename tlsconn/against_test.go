package tlsconn_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"reprise/internal/testpki"
	"reprise/tlsconn"
	"reprise/tlsconn/primitive"
	"reprise/tlsconn/standard"
)

// FuzzAgainstStandard gives the same client's bytes to crypto/tls and to our engine: they must come
// to the same verdict, except for allowedDifferences. The first byte says how servers are
// configured and which client's ClientHello is mutated by the bytes that follow; see mutate.
func FuzzAgainstStandard(f *testing.F) {
	twins := newTwins(f)
	for config := range twins {
		for base := range twins[config].bases {
			f.Add(byte(config), byte(base), byte(255), []byte{})
			f.Add(byte(config), byte(base), byte(0), []byte{opFixBinder, 0, 0, 0})
			for op := range opCount {
				f.Add(byte(config), byte(base), byte(255), []byte{op, 1, 2, 3, opFixBinder, 0, 0, 0})
			}
		}
	}
	f.Fuzz(func(t *testing.T, config, base, cut byte, ops []byte) {
		w := &twins[int(config)%len(twins)]
		in := w.mutate(w.bases[int(base)%len(w.bases)], ops)
		w.compare(t, in, 1+int(cut))
	})
}

// FuzzBytesAgainstStandard does the same with bytes that need not be a ClientHello.
func FuzzBytesAgainstStandard(f *testing.F) {
	twins := newTwins(f)
	for _, b := range twins[0].bases {
		f.Add(byte(0), byte(255), b.hello.records(1<<14))
	}
	for _, seed := range append(noHellos(), [][]byte{
		{22, 3, 1, 0, 4, 1, 0, 0, 0},
		{22, 3, 1, 0, 4, 20, 0, 0, 0},
		{22, 3, 1, 0, 0},
		{21, 3, 1, 0, 2, 1, 90},
		{21, 3, 1, 0, 2, 1, 0},
	}...) {
		f.Add(byte(0), byte(0), seed)
		f.Add(byte(0), byte(255), seed)
	}
	f.Fuzz(func(t *testing.T, config, cut byte, in []byte) {
		twins[int(config)%len(twins)].compare(t, in, 1+int(cut))
	})
}

// A twin is a server of each engine under one configuration, and sessions that
// both can resume.
type twin struct {
	own, standard tlsconn.Server
	psk           []byte // of the session that TLS 1.3 bases offer
	sha384        bool
	bases         []base
	clients       []*tls.Config
}

// A base is a ClientHello to be mutated.
type base struct {
	name  string
	hello *rawHello
}

// compare gives both servers the bytes and reports a difference that nothing
// explains.
func (w *twin) compare(t *testing.T, in []byte, cut int) {
	t.Helper()
	if d := w.differs(in, cut); d != nil {
		t.Fatal(d)
	}
}

// differs gives both servers the bytes and returns a difference that nothing
// explains, nil if there is none.
func (w *twin) differs(in []byte, cut int) *difference {
	own, other := judge(w.own, in, cut), judge(w.standard, in, cut)
	if own.same(other) {
		return nil
	}
	d := &difference{in: in, hello: parseRawHello(in), own: own, standard: other, server: w}
	if d.allowed() != "" {
		return nil
	}
	return d
}

// twinSuites are those that both have, so that crypto/tls does not choose one with
// CBC.
var twinSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func newTwins(t testing.TB) (twins []twin) {
	pki := testpki.New(t)
	// Ed25519, whose signatures have one length: both servers see the same records.
	alice := pki.Issue(testpki.Template{CommonName: "alice", Client: true, Key: testpki.Ed25519}).TLS
	groups := []primitive.Group{
		primitive.X25519MLKEM768, primitive.X25519, primitive.P256,
		primitive.P384,
	}
	for _, edit := range []func(*tlsconn.Config){
		func(*tlsconn.Config) {},
		func(c *tlsconn.Config) { c.Groups = []primitive.Group{primitive.P256, primitive.P384} },
		func(c *tlsconn.Config) { c.MaxVersion = tls.VersionTLS12 },
		func(c *tlsconn.Config) { c.MinVersion, c.ALPN = tls.VersionTLS13, nil },
		func(c *tlsconn.Config) {
			c.Certificates = certificates(t, testpki.Ed25519, testpki.ECDSA, testpki.RSA)
			c.ClientAuth, c.ClientCAs = tlsconn.RequireClientCert,
				[]*x509.Certificate{pki.CA.Cert().TLS.Leaf}
		},
	} {
		c := testConfig(t)
		c.ALPN, c.Groups, c.CipherSuites = []string{"h2", "http/1.1"}, groups, twinSuites
		edit(&c)
		twins = append(twins, newTwin(t, c, alice))
	}
	return twins
}

// newTwin makes the servers, has crypto/tls make a session of each version it may,
// and gives our engine the same.
func newTwin(t testing.TB, c tlsconn.Config, clientCert tls.Certificate) (w twin) {
	own, other := &twinStore{}, &twinStore{}
	made := func(make func(tlsconn.Config) (tlsconn.Server, error), s *twinStore) tlsconn.Server {
		c.Sessions = s
		server, err := make(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		return server
	}
	w.own, w.standard = made(tlsconn.New, own), made(standard.New, other)
	for _, version := range versions {
		if c.MinVersion > version.id || c.MaxVersion != 0 && c.MaxVersion < version.id {
			continue
		}
		client, cache := clientOf(version.id)
		client.NextProtos = c.ALPN
		client.Certificates = []tls.Certificate{clientCert}
		w.add("full "+version.name, client)
		if c.ClientAuth != tlsconn.NoClientCert {
			continue // sessions with certificates are another matter
		}
		other.keep = true
		newPair(t, w.standard, client).doHandshake()
		other.keep = false
		for key, session := range other.sessions {
			session.State = ownState(t, session.State)
			own.put(key, session)
		}
		w.add("resuming "+version.name, client)
		if version.id == tls.VersionTLS12 {
			byID := w.bases[len(w.bases)-1].hello.clone()
			ticket := byID.find(idTicket)
			byID.sessionID, ticket.data = ticket.data, nil
			w.bases = append(w.bases, base{"resuming by ID", byID})
			continue
		}
		_, state, err := cache.session.ResumptionState()
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := state.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		w.sha384 = binary.BigEndian.Uint16(encoded[3:]) == tls.TLS_AES_256_GCM_SHA384
		w.psk = slices.Clone(encoded[14 : 14+encoded[13]])
	}
	both := clientConfig()
	both.NextProtos = c.ALPN
	w.add("both versions", both)
	few := clientConfig()
	few.CurvePreferences = []tls.CurveID{tls.CurveP521, tls.X25519, tls.CurveP384, tls.CurveP256}
	w.add("no share in common", few)
	few.CurvePreferences = []tls.CurveID{tls.CurveP256}
	w.add("P-256 alone", few)
	return w
}

func (w *twin) add(name string, client *tls.Config) {
	w.clients = append(w.clients, client.Clone())
	var said sink
	tls.Client(&said, client).Handshake()
	w.bases = append(w.bases, base{name, parseRawHello(said.bytes)})
}

// ownState makes of a session state of crypto/tls one of our engine with the same
// secret: version 2, kind 1, suite 2, creation 8, secret after its length, Extra, EMS.
func ownState(t testing.TB, state []byte) []byte {
	t.Helper()
	scope := state[tlsconn.StatePrefixLen:][:tlsconn.ScopeLen]
	encoded := state[tlsconn.StatePrefixLen+tlsconn.ScopeLen:]
	secret := encoded[13:][:1+encoded[13]]
	ems := encoded[13+len(secret)+3]
	own := slices.Clone(state[:tlsconn.StatePrefixLen])
	own[tlsconn.StatePrefixLen-1] = byte(tlsconn.CodecOwn)
	own = append(own, 1)
	own = append(own, encoded[:2]...)
	own = append(own, encoded[3:5]...)
	own = append(own, ems)
	own = append(own, scope...)
	own = append(own, secret...)
	return append(own, 0, 0, 0)
}

// A twinStore keeps what is saved and nothing else.
type twinStore struct {
	sessions map[tlsconn.Key]tlsconn.Session
	keep     bool
}

func (s *twinStore) put(key tlsconn.Key, session tlsconn.Session) {
	if s.sessions == nil {
		s.sessions = map[tlsconn.Key]tlsconn.Session{}
	}
	session.State = slices.Clone(session.State)
	s.sessions[key] = session
}

func (s *twinStore) Find(dst []byte, key tlsconn.Key, _ tlsconn.NodeID, _ bool) (tlsconn.Session,
	tlsconn.Verdict,
) {
	session, ok := s.sessions[key]
	if !ok {
		return session, tlsconn.Unknown
	}
	session.State = append(dst, session.State...)
	return session, tlsconn.Found
}

func (s *twinStore) Save(key tlsconn.Key, session tlsconn.Session) {
	if s.keep {
		s.put(key, session)
	}
}

func (s *twinStore) Ask(*tlsconn.Lookup) bool                                      { return false }
func (s *twinStore) Release(tlsconn.Key, tlsconn.NodeID, uint64)                   {}
func (s *twinStore) Spend(tlsconn.Key, tlsconn.NodeID, uint64, time.Duration) bool { return true }
