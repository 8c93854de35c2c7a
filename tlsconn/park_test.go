package tlsconn_test

import (
	"crypto/rsa"
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/tlsconn"

	"reprise/internal/testpki"
)

// askedServer has lost its sessions to ask, which is also given the session
// that was lost.
func (e engine) askedServer(t *testing.T, client *tls.Config,
	ask func(*tlsconn.Lookup,
		tlsconn.Session) bool, edit ...func(*tlsconn.Config),
) (tlsconn.Server, *store) {
	t.Helper()
	s, sessions, _ := e.sessionServer(t, edit...)
	newPair(t, s, client).doHandshake()
	key, lost := sessions.only()
	clear(sessions.sessions)
	sessions.ask = func(l *tlsconn.Lookup) bool {
		if l.Key != key || l.Owner != testOwner {
			t.Errorf("asked for %x of %x, want %x of %x", l.Key, l.Owner, key, testOwner)
		}
		session := lost.session
		session.State = slices.Clone(session.State)
		session.Source = tlsconn.SourcePulled
		return ask(l, session)
	}
	return s, sessions
}

// It is long because it is a table.
func TestAwaitSession(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, test := range []struct {
			name   string
			ask    func(*tlsconn.Lookup, tlsconn.Session) bool
			want   tlsconn.Outcome
			parked bool
		}{
			{"no node to ask", func(*tlsconn.Lookup, tlsconn.Session) bool { return false }, tlsconn.MissUnknown, false},
			{
				"answered at once", func(l *tlsconn.Lookup, s tlsconn.Session) bool { return l.Answer(s, tlsconn.Found) },
				tlsconn.ResumedPulled, false,
			},
			{
				"answered by another goroutine",
				func(l *tlsconn.Lookup, s tlsconn.Session) bool {
					go l.Answer(s,
						tlsconn.Found)
					return true
				}, tlsconn.ResumedPulled, true,
			},
			{"answered by a store", func(l *tlsconn.Lookup, s tlsconn.Session) bool {
				s.Source = tlsconn.SourceStore
				go l.Answer(s, tlsconn.Found)
				return true
			}, tlsconn.ResumedStore, true},
			{"no node has it", func(l *tlsconn.Lookup, _ tlsconn.Session) bool {
				go l.Answer(tlsconn.Session{}, tlsconn.Unknown)
				return true
			}, tlsconn.MissUnknown, true},
			{"with no life left", func(l *tlsconn.Lookup, s tlsconn.Session) bool {
				s.Expires = time.Time{}
				go l.Answer(s, tlsconn.Found)
				return true
			}, tlsconn.MissExpired, true},
			{"unreadable", func(l *tlsconn.Lookup, s tlsconn.Session) bool {
				s.State = []byte("?")
				go l.Answer(s, tlsconn.Found)
				return true
			}, tlsconn.MissCorrupt, true},
			{"of an unknown source", func(l *tlsconn.Lookup, s tlsconn.Session) bool {
				s.Source = 200
				go l.Answer(s, tlsconn.Found)
				return true
			}, tlsconn.ResumedStore, true},
		} {
			for _, version := range versions {
				t.Run(test.name+"/"+version.name, func(t *testing.T) {
					client, _ := clientOf(version.id)
					s, sessions := e.askedServer(t, client, test.ask)
					p := newPair(t, s, client).doHandshake()
					if got := p.conn.Info().Outcome; got != test.want {
						t.Errorf("got %v, want %v", got, test.want)
					}
					if !test.parked && slices.Contains(p.link.states, tlsconn.AwaitSession) {
						t.Error("parked without need")
					}
					if sessions.asks != 1 {
						t.Errorf("asked %d times, want once", sessions.asks)
					}
				})
			}
		}
	})
}

func TestGiveUp(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			t.Run(version.name, func(t *testing.T) {
				var question *tlsconn.Lookup
				client, _ := clientOf(version.id)
				s, _ := e.askedServer(t, client,
					func(l *tlsconn.Lookup, _ tlsconn.Session) bool { question = l; return true })
				p := newPair(t, s, client)
				parked := false
				p.link.parked = func(state tlsconn.State) {
					if parked = state == tlsconn.AwaitSession; !parked {
						t.Fatalf("parked in %v", state)
					}
					// Woken without need, it goes on waiting; bytes are kept.
					p.link.toClient = p.conn.Resume(p.link.toClient)
					p.link.toClient = p.conn.Feed(p.link.toClient, nil)
					if got := p.conn.State(); got != tlsconn.AwaitSession {
						t.Fatalf("got %v, want %v", got, tlsconn.AwaitSession)
					}
					p.link.toClient = p.conn.GiveUp(p.link.toClient)
				}
				p.doHandshake()
				if got := p.conn.Info().Outcome; got != tlsconn.MissLate || !parked {
					t.Errorf("got %v, parked %t, want %v", got, parked, tlsconn.MissLate)
				}
				if question.Answer(tlsconn.Session{}, tlsconn.Found) {
					t.Error("an answer after GiveUp was accepted")
				}
				if out := p.conn.GiveUp(nil); out != nil || p.conn.State() != tlsconn.Connected {
					t.Error("GiveUp once connected did something")
				}
			})
		}
	})
}

// What arrives while the handshake is parked is not lost: here the client has
// sent all it had to say by the time the answer comes.
func TestBytesThatArriveWhileParked(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		client, _ := clientOf(tls.VersionTLS13)
		var question *tlsconn.Lookup
		var lost tlsconn.Session
		s, _ := e.askedServer(t, client, func(l *tlsconn.Lookup, s tlsconn.Session) bool {
			question,
				lost = l, s
			return true
		})
		c := s.NewConn(make(waker, 1))
		t.Cleanup(c.Abort)
		in := clientHello(t, client)
		out := c.Feed(nil, in)
		clear(in)
		for range 3 { // a record of no meaning, in parts
			part := []byte{20, 3}
			out = c.Feed(out, part)
			clear(part)
			part = []byte{3, 0, 1, 1}
			out = c.Feed(out, part)
			clear(part)
		}
		if len(out) > 0 || c.State() != tlsconn.AwaitSession {
			t.Fatalf("%d bytes of output in state %v", len(out), c.State())
		}
		if !question.Answer(lost, tlsconn.Found) || question.Answer(lost, tlsconn.Found) {
			t.Error("exactly one answer must be accepted")
		}
		out = c.Resume(out)
		if c.State() != tlsconn.ExpectHandshakeBytes || len(out) == 0 {
			t.Errorf("got state %v (%v), %d bytes of output", c.State(), c.Err(), len(out))
		}
	})
}

func TestAbortWhileParked(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			var question *tlsconn.Lookup
			client, _ := clientOf(version.id)
			s, _ := e.askedServer(t, client, func(l *tlsconn.Lookup,
				_ tlsconn.Session,
			) bool {
				question = l
				return true
			})
			c := s.NewConn(make(waker, 1))
			c.Feed(nil, clientHello(t, client))
			if c.State() != tlsconn.AwaitSession {
				t.Fatalf("got %v, want %v", c.State(), tlsconn.AwaitSession)
			}
			c.Abort()
			wantReason(t, c, tlsconn.ReasonAborted)
			if question.Answer(tlsconn.Session{}, tlsconn.Unknown) {
				t.Error("an answer after Abort was accepted")
			}
		}
	})
}

// The end of the stream is a failure, at once or when the answer has come.
func TestEOFWhileParked(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		client, _ := clientOf(tls.VersionTLS13)
		var question *tlsconn.Lookup
		s, _ := e.askedServer(t, client, func(l *tlsconn.Lookup,
			_ tlsconn.Session,
		) bool {
			question = l
			return true
		})
		c := s.NewConn(make(waker, 1))
		c.EOF(c.Feed(nil, clientHello(t, client)))
		if question == nil {
			t.Fatal("no node was asked")
		}
		question.Answer(tlsconn.Session{}, tlsconn.Unknown)
		c.Resume(nil)
		wantReason(t, c, tlsconn.ReasonTruncated)
	})
}

// A parked handshake holds up no other of the same server.
func TestParkedHandshakesAreIndependent(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		client, _ := clientOf(tls.VersionTLS13)
		var questions []*tlsconn.Lookup
		var lost tlsconn.Session
		s, _ := e.askedServer(t, client, func(l *tlsconn.Lookup, s tlsconn.Session) bool {
			questions, lost = append(questions, l), s
			return true
		})
		var parked []tlsconn.Conn
		for range 10 {
			c := s.NewConn(make(waker, 1))
			t.Cleanup(c.Abort)
			c.Feed(nil, clientHello(t, client))
			parked = append(parked, c)
		}
		if got := newPair(t, s, nil).doHandshake().conn.Info().Outcome; got != tlsconn.NewClient {
			t.Errorf("beside ten parked ones: got %v", got)
		}
		for i := range slices.Backward(parked) {
			answer := lost
			answer.State = slices.Clone(lost.State)
			questions[i].Answer(answer, tlsconn.Found)
			parked[i].Resume(nil)
			if got := parked[i].State(); got != tlsconn.ExpectHandshakeBytes {
				t.Errorf("connection %d: got %v (%v)", i, got, parked[i].Err())
			}
		}
	})
}

// workers are key workers: one goroutine per signature, or none at all.
type workers struct {
	full      bool
	submitted atomic.Int32
	busy      sync.WaitGroup
	hold      chan struct{} // if not nil, signing waits for it to be closed
}

func (w *workers) TrySubmit(work func(), _ *atomic.Bool) bool {
	if w.full {
		return false
	}
	w.submitted.Add(1)
	w.busy.Go(func() {
		if w.hold != nil {
			<-w.hold
		}
		work()
	})
	return true
}

func TestAwaitSignature(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, key := range []testpki.KeyType{testpki.RSA, testpki.ECDSA, testpki.Ed25519} {
			for _, version := range versions {
				t.Run(key.String()+"/"+version.name, func(t *testing.T) {
					var w workers
					s := e.server(t, func(c *tlsconn.Config) {
						c.Certificates, c.Workers = certificates(t, key),
							&w
					})
					client, _ := clientOf(version.id)
					for i, want := range []tlsconn.Outcome{tlsconn.NewClient, tlsconn.ResumedLocal} {
						p := newPair(t, s, client).doHandshake()
						if got := p.conn.Info().Outcome; got != want {
							t.Errorf("connection %d: got %v, want %v", i, got, want)
						}
					}
					want := int32(0) // a resumption needs no signature, others are made on the loop
					if key == testpki.RSA {
						want = 1
					}
					if got := w.submitted.Load(); got != want {
						t.Errorf("%d signatures made by workers, want %d", got, want)
					}
				})
			}
		}
	})
}

func TestFullWorkersDelayButDoNotFail(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s := e.server(t, func(c *tlsconn.Config) {
			c.Certificates, c.Workers = certificates(t, testpki.RSA), &workers{full: true}
		})
		newPair(t, s, nil).doHandshake()
		if got := s.Counts().SignedOnLoop.Load(); got != 1 {
			t.Errorf("signed on the loop: got %d, want 1", got)
		}
	})
}

func TestAbortWhileSigning(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			w := &workers{hold: make(chan struct{})}
			s := e.server(t, func(c *tlsconn.Config) {
				c.Certificates,
					c.Workers = certificates(t, testpki.RSA), w
			})
			client, _ := clientOf(version.id)
			wake := make(waker, 1)
			c := s.NewConn(wake)
			c.Feed(nil, clientHello(t, client))
			if c.State() != tlsconn.AwaitSignature {
				t.Fatalf("%s: got %v, want %v", version.name, c.State(), tlsconn.AwaitSignature)
			}
			if out := c.Resume(nil); len(out) > 0 || c.State() != tlsconn.AwaitSignature {
				t.Errorf("%s: woken without need: got %v", version.name, c.State())
			}
			c.Abort()
			wantReason(t, c, tlsconn.ReasonAborted)
			close(w.hold)
			w.busy.Wait() // the worker comes too late, without harm
			if out := c.Resume(nil); len(out) > 0 {
				t.Errorf("%s: % x after Abort", version.name, out)
			}
		}
	})
}

// A key that fails to sign fails the handshake, not the process.
func TestSigningError(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		cert := certificate(t, testpki.RSA, "www.example.test")
		broken := *cert.PrivateKey.(*rsa.PrivateKey)
		broken.D, broken.Primes, broken.Precomputed = nil, nil, rsa.PrecomputedValues{}
		cert.PrivateKey = &broken
		certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: cert}})
		if err != nil {
			t.Fatal(err)
		}
		p := newPair(t, e.server(t, func(c *tlsconn.Config) {
			c.Certificates, c.Workers = certs,
				new(workers)
		}), nil)
		if err := p.client.Handshake(); err == nil || err.Error() != "remote error: tls: internal error" {
			t.Errorf("client got %v, want the alert", err)
		}
		wantReason(t, p.conn, tlsconn.ReasonInternal)
	})
}
