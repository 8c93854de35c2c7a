package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"iter"
	"testing"
	"time"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// A visitor is one kind of client for the interleaving test.
type visitor struct {
	name    string
	version uint16
	curves  []tls.CurveID
	cert    bool // it has a certificate
	resumes bool
	asked   bool // its session has to be asked for elsewhere
}

var visitors = []visitor{
	{name: "full 1.2", version: tls.VersionTLS12},
	{name: "full 1.3", version: tls.VersionTLS13},
	{name: "retried", version: tls.VersionTLS13, curves: []tls.CurveID{tls.CurveP521, tls.CurveP384}},
	{name: "certificate 1.2", version: tls.VersionTLS12, cert: true},
	{name: "certificate 1.3", version: tls.VersionTLS13, cert: true},
	{name: "resumed 1.2", version: tls.VersionTLS12, resumes: true, cert: true},
	{name: "resumed 1.3", version: tls.VersionTLS13, resumes: true},
	{name: "asked 1.2", version: tls.VersionTLS12, resumes: true, asked: true},
	{name: "asked 1.3", version: tls.VersionTLS13, resumes: true, asked: true, cert: true},
}

// Two connections of one server take turns at every step, and what the server works
// in is overwritten between two steps: a connection may leave nothing there that it
// needs, and find nothing there of the other's.
func TestInterleavedWithPoisonedScratch(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		pki := testpki.New(t)
		alice := pki.Client("alice").TLS
		s, sessions, _ := e.sessionServer(t, func(c *tlsconn.Config) {
			c.Certificates, c.Workers = certificates(t, testpki.RSA), new(workers)
			c.ClientAuth, c.ClientCAs = tlsconn.OptionalClientCert,
				[]*x509.Certificate{pki.CA.Cert().TLS.Leaf}
		})
		elsewhere := map[tlsconn.Key]tlsconn.Session{}
		sessions.ask = func(l *tlsconn.Lookup) bool {
			session, ok := elsewhere[l.Key]
			session.State = bytes.Clone(session.State)
			go l.Answer(session, map[bool]tlsconn.Verdict{true: tlsconn.Found, false: tlsconn.Unknown}[ok])
			return true
		}
		// client returns a client of the kind, which has its session if it resumes.
		client := func(v *visitor) *tls.Config {
			config, _ := clientOf(v.version)
			config.CurvePreferences = v.curves
			if v.cert {
				config.Certificates = []tls.Certificate{alice}
			}
			if !v.resumes {
				return config
			}
			before := map[tlsconn.Key]bool{}
			for key := range sessions.sessions {
				before[key] = true
			}
			newPair(t, s, config).doHandshake()
			for key, found := range sessions.sessions {
				if v.asked && !before[key] {
					elsewhere[key] = found.session
					delete(sessions.sessions, key)
				}
			}
			return config
		}
		for i := range visitors {
			for j := range visitors {
				for _, cut := range []int{1, 57, 1 << 14} {
					if cut != 57 && i != j {
						continue // what a cut can do it does between two of a kind
					}
					a, b := &visitors[i], &visitors[j]
					t.Run(fmt.Sprintf("%s beside %s/%d", a.name, b.name, cut), func(t *testing.T) {
						takeTurns(s, visit(t, s, a, client(a), cut), visit(t, s, b, client(b), cut))
					})
				}
			}
		}
	})
}

// takeTurns runs one script beside the other, a step each, and poisons the server's
// scratch between two steps.
func takeTurns(s tlsconn.Server, scripts ...iter.Seq[struct{}]) {
	var steps []func() (struct{}, bool)
	for _, script := range scripts {
		next, stop := iter.Pull(script)
		defer stop()
		steps = append(steps, next)
	}
	for len(steps) > 0 {
		for i := 0; i < len(steps); i++ {
			if _, ok := steps[i](); !ok {
				steps = append(steps[:i], steps[i+1:]...)
				i--
			}
			tlsconn.PoisonScratch(s)
		}
	}
}

// visit is a connection from the first byte to the last, which yields before each
// step of the server.
func visit(t *testing.T, s tlsconn.Server, v *visitor, client *tls.Config,
	cut int,
) iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		p := newPair(t, s, client)
		p.link.cut = func(int) int { yield(struct{}{}); return cut }
		p.link.parked = func(tlsconn.State) {
			yield(struct{}{})
			select {
			case <-p.link.wake:
				p.link.toClient = p.conn.Resume(p.link.toClient)
			case <-time.After(10 * time.Second):
				panic(errNoWake)
			}
		}
		p.doHandshake()
		if got := p.conn.Info().Resumed(); got != v.resumes {
			t.Errorf("%s: resumed: got %t, want %t (%v)", v.name, got, v.resumes, p.conn.Info().Outcome)
		}
		if got := p.conn.ClientCertificate() != nil; got != v.cert {
			t.Errorf("%s: has a client certificate: got %t, want %t", v.name, got, v.cert)
		} else if got && p.conn.ClientCertificate().Subject.CommonName != "alice" {
			t.Errorf("%s: the certificate is %v's", v.name, p.conn.ClientCertificate().Subject)
		}
		request := bytes.Repeat([]byte(v.name), 300)
		p.exchange(request, bytes.ToUpper(request))
		p.client.CloseWrite()
		p.link.drive()
		if got := p.conn.State(); got != tlsconn.PeerClosed {
			t.Errorf("%s: got %v (%v), want %v", v.name, got, p.conn.Err(), tlsconn.PeerClosed)
		}
	}
}
