package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"reprise/tlsconn"
)

// sessionServer is a server with its store and clock, which tests look into.
func (e engine) sessionServer(t testing.TB, edit ...func(*tlsconn.Config)) (tlsconn.Server, *store,
	*clock,
) {
	t.Helper()
	clock := newClock()
	sessions := newStore(clock)
	own := func(c *tlsconn.Config) { c.Sessions, c.Now = sessions, clock.Now }
	return e.server(t, append([]func(*tlsconn.Config){own}, edit...)...), sessions, clock
}

// clientOf returns a client of one version that offers the first session it
// gets again and again.
func clientOf(version uint16) (*tls.Config, *firstSession) {
	cache := new(firstSession)
	client := clientConfig()
	client.MaxVersion = version
	client.ClientSessionCache = cache
	return client, cache
}

// What a client that has proved nothing could cause must not fill the store: a
// session is kept at the client's Finished.
func TestSavedAtTheClientsFinished(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			s, sessions, clock := e.sessionServer(t)
			client, _ := clientOf(version.id)
			p := newPair(t, s, client)
			if version.id == tls.VersionTLS13 {
				p.link.cut = oneByOne
			}
			p.link.toServer = clientHello(t, client)
			p.link.drive()
			if len(p.link.toClient) == 0 || sessions.saves != 0 {
				t.Errorf("%s: %d sessions saved for a ClientHello", version.name, sessions.saves)
			}
			p.link.eof = true
			p.link.drive()
			wantReason(t, p.conn, tlsconn.ReasonTruncated)
			if sessions.saves != 0 {
				t.Errorf("%s: %d sessions saved for a client that went away", version.name, sessions.saves)
			}
			newPair(t, s, client).doHandshake()
			_, found := sessions.only()
			if got := found.session; !got.Born.Equal(clock.Now()) ||
				!got.Expires.Equal(clock.Now().Add(5*time.Minute)) {
				t.Errorf("%s: born %v, expires %v, at %v", version.name, got.Born, got.Expires, clock.Now())
			}
		}
	})
}

// A renewed session goes back to the same handshake.
func TestRenewedSessionKeepsItsAge(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s, sessions, clock := e.sessionServer(t)
		client, _ := clientOf(tls.VersionTLS13)
		newPair(t, s, client).doHandshake()
		_, first := sessions.only()
		clock.advance(time.Minute)
		newPair(t, s, client).doHandshake()
		if len(sessions.sessions) != 2 {
			t.Fatalf("%d sessions, want the first and the renewed one", len(sessions.sessions))
		}
		for _, found := range sessions.sessions {
			if !found.session.Born.Equal(first.session.Born) ||
				!found.session.Expires.Equal(first.session.Expires) {
				t.Errorf("born %v, expires %v, want %v and %v", found.session.Born, found.session.Expires, first.session.Born, first.session.Expires)
			}
		}
	})
}

// However often it is renewed, a session ends when its first handshake's would.
func TestAgeIsCountedFromTheFullHandshake(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			for _, singleUse := range []bool{false, true} {
				s, sessions, clock := e.sessionServer(t, func(c *tlsconn.Config) { c.SingleUse = singleUse })
				client := clientConfig() // takes each renewed session
				client.MaxVersion = version.id
				client.Time = clock.Now
				deadline := clock.Now().Add(5 * time.Minute)
				newPair(t, s, client).doHandshake()
				for clock.advance(20 * time.Second); clock.Now().Before(deadline); clock.advance(
					20 * time.Second) {
					if got := newPair(t, s,
						client).doHandshake().conn.Info().Outcome; got != tlsconn.ResumedLocal {
						t.Fatalf("%s: %v before the deadline: %v", version.name, deadline.Sub(clock.Now()), got)
					}
				}
				if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != tlsconn.MissExpired {
					t.Errorf("%s, single use %t: at the deadline: got %v, want %v", version.name, singleUse, got, tlsconn.MissExpired)
				}
				for _, found := range sessions.sessions {
					if found.session.Expires.After(clock.Now().Add(5 * time.Minute)) {
						t.Errorf("%s: a session lives until %v, longer than the time-out", version.name, found.session.Expires)
					}
				}
			}
		}
	})
}

func TestTLS12KeepsItsHandle(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s, sessions, _ := e.sessionServer(t)
		client := clientConfig()
		client.MaxVersion = tls.VersionTLS12
		cache := new(newestSession)
		client.ClientSessionCache = cache
		var handles [][]byte
		for range 4 {
			newPair(t, s, client).doHandshake()
			handle, _, err := cache.session.ResumptionState()
			if err != nil {
				t.Fatal(err)
			}
			handles = append(handles, handle)
		}
		if sessions.saves != 1 {
			t.Errorf("%d sessions saved, want 1", sessions.saves)
		}
		for i := range handles {
			if !bytes.Equal(handles[i], handles[0]) {
				t.Errorf("connection %d got another handle", i)
			}
		}
	})
}

// A newestSession is a client's cache of one session that is never forgotten.
type newestSession struct{ session *tls.ClientSessionState }

func (n *newestSession) Get(string) (*tls.ClientSessionState, bool) {
	return n.session, n.session != nil
}

func (n *newestSession) Put(_ string, session *tls.ClientSessionState) {
	if session != nil {
		n.session = session
	}
}

func TestSingleUse(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			t.Run(version.name, func(t *testing.T) {
				s, sessions, _ := e.sessionServer(t, func(c *tlsconn.Config) { c.SingleUse = true })
				client, _ := clientOf(version.id)
				for i, want := range []tlsconn.Outcome{
					tlsconn.NewClient, tlsconn.ResumedLocal,
					tlsconn.MissSpent, tlsconn.MissSpent,
				} {
					if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != want {
						t.Errorf("connection %d: got %v, want %v", i, got, want)
					}
				}
				if sessions.heldLen() != 0 || sessions.spends != 1 {
					t.Errorf("%d sessions reserved, %d spent, want 0 and 1", sessions.heldLen(), sessions.spends)
				}
			})
		}
	})
}

// While one handshake has the session another gets a full one; when the first
// is given up, the session is as before.
func TestSingleUseIsReserved(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			t.Run(version.name, func(t *testing.T) {
				s, sessions, client := e.afterSingleUse(t, version.id)

				first := newPair(t, s, client)
				first.link.toServer = clientHello(t, client)
				first.link.drive()
				if sessions.heldLen() != 1 {
					t.Fatalf("%d sessions reserved, want 1", sessions.heldLen())
				}
				if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != tlsconn.MissHeld {
					t.Errorf("second handshake: got %v, want %v", got, tlsconn.MissHeld)
				}
				first.conn.Abort()
				if sessions.heldLen() != 0 {
					t.Error("still reserved after Abort")
				}
				if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != tlsconn.ResumedLocal {
					t.Errorf("after the first was given up: got %v, want %v", got, tlsconn.ResumedLocal)
				}
			})
		}
	})
}

// A reservation that has lapsed meanwhile, and been used by another handshake, is
// the end of this one: the session must not be used twice.
func TestSingleUseLostToAnother(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			t.Run(version.name, func(t *testing.T) {
				s, sessions, client := e.afterSingleUse(t, version.id)
				key, _ := sessions.only()

				p := newPair(t, s, client)
				p.link.cut = func(n int) int {
					if sessions.heldLen() == 1 {
						sessions.spent[key] = true
					}
					return n
				}
				saves := sessions.saves
				wantFailure(t, p, tlsconn.ReasonSpent)
				if sessions.saves != saves {
					t.Error("and yet it left a session")
				}
				if got := s.Counts().Failures.Load(tlsconn.ReasonSpent); got != 1 {
					t.Errorf("counted %d times, want once", got)
				}
			})
		}
	})
}

// An observer that copies a handle from the wire cannot use the session up.
func TestSingleUseSurvivesABadBinder(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s, sessions, client := e.afterSingleUse(t, tls.VersionTLS13)
		hello := clientHello(t, client)
		hello[len(hello)-1] ^= 1
		p := newPair(t, s, nil)
		p.link.toServer = hello
		p.link.drive()
		wantReason(t, p.conn, tlsconn.ReasonBadBinder)
		if sessions.releases != 1 || sessions.spends != 0 || sessions.heldLen() != 0 {
			t.Errorf("%d released, %d spent, %d reserved, want 1, 0, 0", sessions.releases, sessions.spends, sessions.heldLen())
		}
		if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != tlsconn.ResumedLocal {
			t.Errorf("the rightful client: got %v, want %v", got, tlsconn.ResumedLocal)
		}
	})
}

// offer does a handshake that offers a session under another handle.
func offer(t *testing.T, s tlsconn.Server, client *tls.Config, handle []byte) tlsconn.Outcome {
	t.Helper()
	cache := client.ClientSessionCache.(*firstSession)
	_, state, err := cache.session.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	offered, err := tls.NewResumptionState(handle, state)
	if err != nil {
		t.Fatal(err)
	}
	changed := client.Clone()
	changed.ClientSessionCache = &firstSession{offered}
	return newPair(t, s, changed).doHandshake().conn.Info().Outcome
}

func ticket(t *testing.T, cache *firstSession) []byte {
	t.Helper()
	handle, _, err := cache.session.ResumptionState()
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

func TestForgedHandleCostsNoLookup(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			t.Run(version.name, func(t *testing.T) {
				s, sessions, _ := e.sessionServer(t)
				client, cache := clientOf(version.id)
				newPair(t, s, client).doHandshake()
				handle := ticket(t, cache)
				foreign := foreignHandle(t, handle)
				for name, forged := range map[string][]byte{
					"bit flipped in the version": flip(handle, 0),
					"bit flipped in the key":     flip(handle, 5*8),
					"bit flipped in the tag":     flip(handle, 31*8),
					"truncated":                  handle[:31],
					"longer":                     append(slices.Clone(handle), 0),
					"one byte":                   {1},
					"of another cluster":         foreign,
				} {
					if got := offer(t, s, client, forged); got != tlsconn.MissBadHandle {
						t.Errorf("%s: got %v, want %v", name, got, tlsconn.MissBadHandle)
					}
				}
				if sessions.finds != 0 || sessions.asks != 0 {
					t.Errorf("%d finds and %d questions for forged handles", sessions.finds, sessions.asks)
				}
				if got := offer(t, s, client, handle); got != tlsconn.ResumedLocal || sessions.finds != 1 {
					t.Errorf("the handle itself: got %v after %d finds", got, sessions.finds)
				}
			})
		}
	})
}

// foreignHandle is handle as a cluster with another secret would have made it.
func foreignHandle(t *testing.T, handle []byte) []byte {
	t.Helper()
	h, ok := handleKeys(t, "secret of the test cluster").Sealer().Open(handle)
	if !ok {
		t.Fatal("the handle is not ours")
	}
	return handleKeys(t, "secret of another cluster").Sealer().Append(nil, h)
}

func flip(b []byte, bit int) []byte {
	b = slices.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// While a secret is exchanged, sessions made under the old one stay good, and
// so do those that a node with the new one first makes at nodes without.
func TestSecretRotation(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		_, sessions, clock := e.sessionServer(t)
		server := func(secrets ...string) tlsconn.Server {
			s, _, _ := e.sessionServer(t, func(c *tlsconn.Config) {
				c.Sessions, c.Now, c.Handles = sessions, clock.Now, handleKeys(t, secrets...)
			})
			return s
		}
		const old, next = "the old secret of the cluster", "the new secret of the cluster"
		client, _ := clientOf(tls.VersionTLS13)
		newPair(t, server(old), client).doHandshake()
		for _, test := range []struct {
			secrets []string
			want    tlsconn.Outcome
		}{{[]string{old, next}, tlsconn.ResumedLocal}, {
			[]string{next, old},
			tlsconn.ResumedLocal,
		}, {[]string{next}, tlsconn.MissBadHandle}} {
			if got := newPair(t, server(test.secrets...),
				client).doHandshake().conn.Info().Outcome; got != test.want {
				t.Errorf("secrets %q: got %v, want %v", test.secrets, got, test.want)
			}
		}
		client, _ = clientOf(tls.VersionTLS13)
		newPair(t, server(next, old), client).doHandshake()
		if got := newPair(t, server(old, next),
			client).doHandshake().conn.Info().Outcome; got != tlsconn.ResumedLocal {
			t.Errorf("made under the new secret, at a node that still makes old ones: got %v", got)
		}
	})
}

func TestStoreMisses(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for name, test := range map[string]struct {
			damage func(*store)
			want   tlsconn.Outcome
		}{
			"unknown": {func(s *store) { clear(s.sessions) }, tlsconn.MissUnknown},
			"corrupt": {func(s *store) {
				key, found := s.only()
				found.session.State = []byte("not a session")
				s.sessions[key] = found
			}, tlsconn.MissCorrupt},
			"without our scope": {func(s *store) {
				key, found := s.only()
				found.session.State = found.session.State[:tlsconn.StatePrefixLen]
				s.sessions[key] = found
			}, tlsconn.MissCorrupt},
			"cut short": {func(s *store) {
				key, found := s.only()
				found.session.State = found.session.State[:len(found.session.State)-1]
				s.sessions[key] = found
			}, tlsconn.MissCorrupt},
			"of the other engine": {func(s *store) {
				_, found := s.only()
				found.session.State[tlsconn.StatePrefixLen-1] = byte(e.other)
			}, tlsconn.MissOtherEngine},
			"expired by the store": {func(s *store) {
				key, found := s.only()
				found.session.Expires = s.clock.Now()
				s.sessions[key] = found
			}, tlsconn.MissExpired},
		} {
			for _, version := range versions {
				s, sessions, _ := e.sessionServer(t)
				client, _ := clientOf(version.id)
				newPair(t, s, client).doHandshake()
				test.damage(sessions)
				if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != test.want {
					t.Errorf("%s, %s: got %v, want %v", name, version.name, got, test.want)
				}
			}
		}
	})
}

func TestResumedSources(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for source, want := range []tlsconn.Outcome{
			tlsconn.ResumedLocal, tlsconn.ResumedPushed,
			tlsconn.ResumedPulled, tlsconn.ResumedStore,
		} {
			s, sessions, _ := e.sessionServer(t)
			client, _ := clientOf(tls.VersionTLS13)
			newPair(t, s, client).doHandshake()
			key, found := sessions.only()
			found.session.Source = tlsconn.Source(source)
			sessions.sessions[key] = found
			if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != want {
				t.Errorf("source %d: got %v, want %v", source, got, want)
			}
		}
	})
}

// afterSingleUse returns a server of sessions for one use, and a client that has one.
func (e engine) afterSingleUse(t *testing.T, version uint16) (
	tlsconn.Server, *store, *tls.Config,
) {
	t.Helper()
	s, sessions, _ := e.sessionServer(t, func(c *tlsconn.Config) { c.SingleUse = true })
	client, _ := clientOf(version)
	newPair(t, s, client).doHandshake()
	return s, sessions, client
}
