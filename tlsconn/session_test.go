package tlsconn

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"
	"time"
)

// sessionServer is a server with its store and clock, which tests look into.
func sessionServer(t testing.TB, edit ...func(*Config)) (*Server, *store, *clock) {
	t.Helper()
	clock := newClock()
	sessions := newStore(clock)
	own := func(c *Config) { c.Sessions, c.Now = sessions, clock.Now }
	return testServer(t, append([]func(*Config){own}, edit...)...), sessions, clock
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

// A client may come back at once, at another loop, before this one has read its
// Finished.
func TestSavedBeforeTheClientCanUseIt(t *testing.T) {
	for _, version := range versions {
		s, sessions, _ := sessionServer(t)
		client, _ := clientOf(version.id)
		p := newPair(t, s, client)
		p.link.cut = oneByOne
		if err := p.client.Handshake(); err != nil { // with the ticket, in TLS 1.3
			t.Fatal(err)
		}
		if sessions.saves != 1 {
			t.Errorf("%s: %d sessions saved when the client has its ticket, want 1", version.name, sessions.saves)
		}
		p.link.drive()
		if sessions.saves != 1 {
			t.Errorf("%s: %d sessions saved after the handshake, want 1", version.name, sessions.saves)
		}
	}
}

// However often it is renewed, a session ends when its first handshake's would.
func TestAgeIsCountedFromTheFullHandshake(t *testing.T) {
	for _, version := range versions {
		for _, singleUse := range []bool{false, true} {
			s, sessions, clock := sessionServer(t, func(c *Config) { c.SingleUse = singleUse })
			client := clientConfig() // takes each renewed session
			client.MaxVersion = version.id
			client.Time = clock.Now
			deadline := clock.Now().Add(5 * time.Minute)
			newPair(t, s, client).doHandshake()
			for clock.advance(20 * time.Second); clock.Now().Before(deadline); clock.advance(20 * time.Second) {
				if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != ResumedLocal {
					t.Fatalf("%s: %v before the deadline: %v", version.name, deadline.Sub(clock.Now()), got)
				}
			}
			if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != MissExpired {
				t.Errorf("%s, single use %t: at the deadline: got %v, want %v", version.name, singleUse, got, MissExpired)
			}
			for _, found := range sessions.sessions {
				if found.expires.After(clock.Now().Add(5 * time.Minute)) {
					t.Errorf("%s: a session lives until %v, longer than the time-out", version.name, found.expires)
				}
			}
		}
	}
}

func TestTLS12KeepsItsHandle(t *testing.T) {
	s, sessions, _ := sessionServer(t)
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
	for _, version := range versions {
		t.Run(version.name, func(t *testing.T) {
			s, sessions, _ := sessionServer(t, func(c *Config) { c.SingleUse = true })
			client, _ := clientOf(version.id)
			for i, want := range []Outcome{NewClient, ResumedLocal, MissSpent, MissSpent} {
				if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != want {
					t.Errorf("connection %d: got %v, want %v", i, got, want)
				}
			}
			if sessions.heldLen() != 0 || sessions.spends != 1 {
				t.Errorf("%d sessions reserved, %d spent, want 0 and 1", sessions.heldLen(), sessions.spends)
			}
		})
	}
}

// While one handshake has the session another gets a full one; when the first
// is given up, the session is as before.
func TestSingleUseIsReserved(t *testing.T) {
	for _, version := range versions {
		t.Run(version.name, func(t *testing.T) {
			s, sessions, _ := sessionServer(t, func(c *Config) { c.SingleUse = true })
			client, _ := clientOf(version.id)
			newPair(t, s, client).doHandshake()

			first := newPair(t, s, client)
			first.link.toServer = clientHello(t, client)
			first.link.drive()
			if sessions.heldLen() != 1 {
				t.Fatalf("%d sessions reserved, want 1", sessions.heldLen())
			}
			if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != MissHeld {
				t.Errorf("second handshake: got %v, want %v", got, MissHeld)
			}
			first.conn.Abort()
			if sessions.heldLen() != 0 {
				t.Error("still reserved after Abort")
			}
			if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != ResumedLocal {
				t.Errorf("after the first was given up: got %v, want %v", got, ResumedLocal)
			}
		})
	}
}

// An observer who copies a handle from the wire cannot burn the session.
func TestSingleUseSurvivesABadBinder(t *testing.T) {
	s, sessions, _ := sessionServer(t, func(c *Config) { c.SingleUse = true })
	client, _ := clientOf(tls.VersionTLS13)
	newPair(t, s, client).doHandshake()
	hello := clientHello(t, client)
	hello[len(hello)-1] ^= 1
	p := newPair(t, s, nil)
	p.link.toServer = hello
	p.link.drive()
	wantReason(t, p.conn, ReasonBadBinder)
	if sessions.releases != 1 || sessions.spends != 0 || sessions.heldLen() != 0 {
		t.Errorf("%d released, %d spent, %d reserved, want 1, 0, 0", sessions.releases, sessions.spends, sessions.heldLen())
	}
	if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != ResumedLocal {
		t.Errorf("the rightful client: got %v, want %v", got, ResumedLocal)
	}
}

// offer does a handshake that offers a session under another handle.
func offer(t *testing.T, s *Server, client *tls.Config, handle []byte) Outcome {
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
	for _, version := range versions {
		t.Run(version.name, func(t *testing.T) {
			s, sessions, _ := sessionServer(t)
			client, cache := clientOf(version.id)
			newPair(t, s, client).doHandshake()
			handle := ticket(t, cache)
			foreign := foreignHandle(t, handle)
			for name, forged := range map[string][]byte{
				"bit flipped in the version": flip(handle, 0),
				"bit flipped in the key":     flip(handle, 10*8),
				"bit flipped in the tag":     flip(handle, 41*8),
				"truncated":                  handle[:41],
				"longer":                     append(slices.Clone(handle), 0),
				"one byte":                   {1},
				"of another cluster":         foreign,
			} {
				if got := offer(t, s, client, forged); got != MissBadHandle {
					t.Errorf("%s: got %v, want %v", name, got, MissBadHandle)
				}
			}
			if sessions.finds != 0 || sessions.asks != 0 {
				t.Errorf("%d finds and %d questions for forged handles", sessions.finds, sessions.asks)
			}
			if got := offer(t, s, client, handle); got != ResumedLocal || sessions.finds != 1 {
				t.Errorf("the handle itself: got %v after %d finds", got, sessions.finds)
			}
		})
	}
}

// foreignHandle is handle as a cluster with another secret would have made it.
func foreignHandle(t *testing.T, handle []byte) []byte {
	t.Helper()
	h, ok := handleKeys(t, "secret of the test cluster").sealer().open(handle)
	if !ok {
		t.Fatal("the handle is not ours")
	}
	return handleKeys(t, "secret of another cluster").sealer().append(nil, h)
}

func flip(b []byte, bit int) []byte {
	b = slices.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

func TestExpiredOwnHandleCostsNoLookup(t *testing.T) {
	s, sessions, clock := sessionServer(t)
	client, _ := clientOf(tls.VersionTLS13)
	newPair(t, s, client).doHandshake()
	clock.advance(5 * time.Minute)
	if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != MissExpired || sessions.finds != 0 {
		t.Errorf("got %v after %d finds, want %v after none", got, sessions.finds, MissExpired)
	}
}

// Another node's clock may be wrong, so its handle is looked up, and the store
// knows how old the session is.
func TestForeignClockIsNotTrusted(t *testing.T) {
	s, sessions, _ := sessionServer(t)
	client, cache := clientOf(tls.VersionTLS13)
	newPair(t, s, client).doHandshake()
	h, _ := s.sealer.open(ticket(t, cache))
	h.Owner, h.Expires = NodeID{9}, h.Expires.Add(-24*time.Hour)
	if got := offer(t, s, client, s.sealer.append(nil, h)); got != ResumedLocal || sessions.finds != 1 {
		t.Errorf("got %v after %d finds, want %v after 1", got, sessions.finds, ResumedLocal)
	}
}

// While a secret is exchanged, sessions made under the old one stay good, and
// so do those that a node with the new one first makes at nodes without.
func TestSecretRotation(t *testing.T) {
	_, sessions, clock := sessionServer(t)
	server := func(secrets ...string) *Server {
		s, _, _ := sessionServer(t, func(c *Config) {
			c.Sessions, c.Now, c.Handles = sessions, clock.Now, handleKeys(t, secrets...)
		})
		return s
	}
	const old, next = "the old secret of the cluster", "the new secret of the cluster"
	client, _ := clientOf(tls.VersionTLS13)
	newPair(t, server(old), client).doHandshake()
	for _, test := range []struct {
		secrets []string
		want    Outcome
	}{{[]string{old, next}, ResumedLocal}, {[]string{next, old}, ResumedLocal}, {[]string{next}, MissBadHandle}} {
		if got := newPair(t, server(test.secrets...), client).doHandshake().conn.Info().Outcome; got != test.want {
			t.Errorf("secrets %q: got %v, want %v", test.secrets, got, test.want)
		}
	}
	client, _ = clientOf(tls.VersionTLS13)
	newPair(t, server(next, old), client).doHandshake()
	if got := newPair(t, server(old, next), client).doHandshake().conn.Info().Outcome; got != ResumedLocal {
		t.Errorf("made under the new secret, at a node that still makes old ones: got %v", got)
	}
}

func TestStoreMisses(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(*store)
		want   Outcome
	}{
		"unknown": {func(s *store) { clear(s.sessions) }, MissUnknown},
		"corrupt": {func(s *store) {
			key, found := s.only()
			found.session.State = []byte("not a session")
			s.sessions[key] = found
		}, MissCorrupt},
		"without our scope": {func(s *store) {
			key, found := s.only()
			state, _ := tls.ParseSessionState(found.session.State[statePrefixLen:])
			state.Extra = nil
			encoded, _ := state.Bytes()
			found.session.State = append(found.session.State[:statePrefixLen:statePrefixLen], encoded...)
			s.sessions[key] = found
		}, MissCorrupt},
		"expired by the store": {func(s *store) {
			key, found := s.only()
			found.expires = s.clock.Now()
			s.sessions[key] = found
		}, MissExpired},
	} {
		for _, version := range versions {
			s, sessions, _ := sessionServer(t)
			client, _ := clientOf(version.id)
			newPair(t, s, client).doHandshake()
			test.damage(sessions)
			if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != test.want {
				t.Errorf("%s, %s: got %v, want %v", name, version.name, got, test.want)
			}
		}
	}
}

func TestResumedSources(t *testing.T) {
	for source, want := range []Outcome{ResumedLocal, ResumedPushed, ResumedPulled, ResumedStore} {
		s, sessions, _ := sessionServer(t)
		client, _ := clientOf(tls.VersionTLS13)
		newPair(t, s, client).doHandshake()
		key, found := sessions.only()
		found.session.Source = Source(source)
		sessions.sessions[key] = found
		if got := newPair(t, s, client).doHandshake().conn.Info().Outcome; got != want {
			t.Errorf("source %d: got %v, want %v", source, got, want)
		}
	}
}
