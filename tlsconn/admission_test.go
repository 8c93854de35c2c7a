package tlsconn_test

import (
	"crypto/tls"
	"slices"
	"testing"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// An admitter lets full handshakes wait until it says otherwise.
type admitter struct {
	waker
	open  bool
	asked []bool // of slow keys
}

func (a *admitter) Admit(slow bool) bool {
	a.asked = append(a.asked, slow)
	return a.open
}

// admittedPair is newPair by way of an admitter.
func admittedPair(t *testing.T, s tlsconn.Server, client *tls.Config, a *admitter) *pair {
	t.Helper()
	a.waker = make(waker, 1)
	l := &link{conn: s.NewConn(a), wake: a.waker, cut: whole}
	t.Cleanup(l.conn.Abort)
	return &pair{t: t, client: tls.Client(l, client), conn: l.conn, link: l}
}

// A full handshake waits where nothing dear has been done for it, goes on when it may, and
// is then like any other: whatever the version, the group and the kind of key.
func TestAwaitAdmission(t *testing.T) {
	for _, version := range versions {
		for _, key := range []testpki.KeyType{testpki.ECDSA, testpki.RSA} {
			for _, retry := range []bool{false, true} {
				name := version.name
				if key == testpki.RSA {
					name += "/RSA"
				}
				if retry {
					if version.id == tls.VersionTLS12 {
						continue
					}
					name += "/after another hello"
				}
				t.Run(name, func(t *testing.T) {
					s := engines[0].server(t, func(c *tlsconn.Config) { c.Certificates = certificates(t, key) })
					client, _ := clientOf(version.id)
					if retry { // its share is for a group that is not served
						client.CurvePreferences = []tls.CurveID{tls.CurveP521, tls.CurveP256}
					}
					a := new(admitter)
					p := admittedPair(t, s, client, a)
					parked := 0
					p.link.parked = func(state tlsconn.State) {
						if parked++; state != tlsconn.AwaitAdmission {
							t.Fatalf("parked in %v", state)
						}
						before := len(p.link.toClient)
						p.link.toClient = p.conn.Resume(p.link.toClient)
						p.link.toClient = p.conn.Feed(p.link.toClient, nil)
						p.link.toClient = p.conn.GiveUp(p.link.toClient)
						if p.conn.State() != tlsconn.AwaitAdmission || len(p.link.toClient) != before {
							t.Fatalf("goes on without being admitted: %v", p.conn.State())
						}
						a.open = true
						p.link.toClient = p.conn.Resume(p.link.toClient)
					}
					p.doHandshake()
					if parked != 1 {
						t.Errorf("parked %d times, want once", parked)
					}
					if slices.Contains(a.asked, key != testpki.RSA) {
						t.Errorf("asked for slow keys: %v", a.asked)
					}
					if got := p.conn.Info().Outcome; got != tlsconn.NewClient {
						t.Errorf("got %v", got)
					}

					// Who resumes is not asked about.
					again := &admitter{}
					resumed := admittedPair(t, s, client, again).doHandshake()
					if !resumed.conn.Info().Resumed() || len(again.asked) > 0 {
						t.Errorf("%v, asked %d times", resumed.conn.Info().Outcome, len(again.asked))
					}
				})
			}
		}
	}
}

// A session that is not there is looked for once, and why there is none is not forgotten
// while the full handshake waits.
func TestMissThatAwaitsAdmission(t *testing.T) {
	for _, version := range versions {
		t.Run(version.name, func(t *testing.T) {
			client, _ := clientOf(version.id)
			s, sessions := engines[0].askedServer(t, client,
				func(l *tlsconn.Lookup, _ tlsconn.Session) bool {
					l.Answer(tlsconn.Session{}, tlsconn.Unknown)
					return true
				})
			a := new(admitter)
			p := admittedPair(t, s, client, a)
			finds := 0
			p.link.parked = func(state tlsconn.State) {
				if state != tlsconn.AwaitAdmission {
					t.Fatalf("parked in %v", state)
				}
				finds, a.open = sessions.asks, true
				p.link.toClient = p.conn.Resume(p.link.toClient)
			}
			p.doHandshake()
			if got := p.conn.Info().Outcome; got != tlsconn.MissUnknown || sessions.asks != finds ||
				finds != 1 {
				t.Errorf("got %v, asked %d times, %d of them before it waited", got, sessions.asks, finds)
			}
		})
	}
}

// Who leaves while it waits leaves nothing behind.
func TestAbortWhileAwaitingAdmission(t *testing.T) {
	s := engines[0].server(t)
	for _, end := range []func(c tlsconn.Conn){
		func(c tlsconn.Conn) { c.Abort() },
		func(c tlsconn.Conn) { c.EOF(nil) },
	} {
		a := &admitter{waker: make(waker, 1)}
		c := s.NewConn(a)
		c.Feed(nil, clientHello(t, clientConfig()))
		if c.State() != tlsconn.AwaitAdmission {
			t.Fatalf("got %v", c.State())
		}
		end(c)
		a.open = true
		if out := c.Resume(nil); len(out) > 0 || c.State() != tlsconn.Failed {
			t.Errorf("goes on in %v with %d bytes", c.State(), len(out))
		}
		c.Abort()
	}
}
