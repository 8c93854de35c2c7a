package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"reprise/tlsconn"

	"reprise/internal/memconn"
	"reprise/internal/testpki"
)

// A pair is a crypto/tls client and a Conn over a link in memory. All of it
// runs on the test's goroutine: when the client reads and nothing is there, the
// link drives the server. So nothing here can deadlock or depend on timing.
type pair struct {
	t      testing.TB
	client *tls.Conn
	conn   tlsconn.Conn
	link   *link
}

// newPair connects a client to server. A nil client configuration is a client that does not verify
// the server.
func newPair(t testing.TB, server tlsconn.Server, client *tls.Config) *pair {
	t.Helper()
	wake := make(waker, 1)
	l := &link{conn: server.NewConn(wake), wake: wake, cut: whole}
	if client == nil {
		client = clientConfig()
	}
	t.Cleanup(l.conn.Abort)
	return &pair{t: t, client: tls.Client(l, client), conn: l.conn, link: l}
}

// doHandshake does the whole handshake and sends a byte back and forth, without
// which a TLS 1.3 client has not seen its ticket.
func (p *pair) doHandshake() *pair {
	p.t.Helper()
	if err := p.client.Handshake(); err != nil {
		p.t.Fatalf("client handshake: %v (server: %v)", err, p.conn.Err())
	}
	p.link.drive()
	if p.conn.State() != tlsconn.Connected {
		p.t.Fatalf("server state after the handshake: got %v (%v), want %v", p.conn.State(), p.conn.Err(), tlsconn.Connected)
	}
	p.exchange([]byte("?"), []byte("!"))
	return p
}

// exchange sends a request in and a response out and checks both.
func (p *pair) exchange(request, response []byte) {
	p.t.Helper()
	p.send(request)
	if got := p.link.takePlaintext(); !bytes.Equal(got, request) {
		p.t.Fatalf("server read %d bytes, want the %d sent (state %v, %v)", len(got), len(request), p.conn.State(), p.conn.Err())
	}
	p.link.toClient = p.conn.Write(p.link.toClient, response)
	got := make([]byte, len(response))
	if _, err := io.ReadFull(p.client, got); err != nil || !bytes.Equal(got, response) {
		p.t.Fatalf("client read %d bytes, %v, want the %d sent", len(got), err, len(response))
	}
}

// send writes from the client and drives the server.
func (p *pair) send(b []byte) {
	p.t.Helper()
	if _, err := p.client.Write(b); err != nil {
		p.t.Fatalf("client write: %v", err)
	}
	p.link.drive()
}

// A link carries bytes between a client, which sees it as its net.Conn, and a
// Conn, which it drives.
type link struct {
	memconn.Rest
	conn tlsconn.Conn
	wake waker

	toServer, toClient []byte
	plaintext          []byte          // what the server has read
	cut                func(n int) int // how many of n waiting bytes to feed at once
	// called when the handshake parks, instead of waiting for the Waker
	parked      func(tlsconn.State)
	states      []tlsconn.State // each state the server was in, without repetition
	eof         bool            // the client has closed its side
	firstFlight []byte          // what the server said first
}

// A waker remembers that it was woken.
type waker chan struct{}

func (w waker) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

var (
	errNoAnswer = errors.New("the server has nothing to say")
	errNoWake   = errors.New("the waker was not called")
)

func whole(n int) int { return n }

// drive feeds the server what the client has sent.
func (l *link) drive() {
	l.note()
	for len(l.toServer) > 0 && l.conn.State() != tlsconn.Failed {
		n := min(max(1, l.cut(len(l.toServer))), len(l.toServer))
		in := slices.Clone(l.toServer[:n])
		l.toServer = l.toServer[n:]
		l.toClient = l.conn.Feed(l.toClient, in)
		l.settle()
		clear(in) // what Feed has borrowed it must be done with
	}
	if l.eof {
		l.eof = false
		l.toClient = l.conn.EOF(l.toClient)
		l.settle()
	}
}

// settle serves whatever the server waits for other than input.
func (l *link) settle() {
	for l.note(); l.conn.State().Parked(); l.note() {
		if l.parked != nil {
			before := l.conn.State()
			l.parked(before)
			if l.conn.State() == before {
				return // the test wants it to stay parked
			}
			continue
		}
		select {
		case <-l.wake:
			l.toClient = l.conn.Resume(l.toClient)
		case <-time.After(10 * time.Second):
			panic(errNoWake)
		}
	}
	var p [4096]byte
	for {
		n, out := l.conn.Read(l.toClient, p[:])
		l.toClient = out
		l.plaintext = append(l.plaintext, p[:n]...)
		if n == 0 {
			break
		}
	}
	l.note()
}

func (l *link) note() {
	if s := l.conn.State(); len(l.states) == 0 || l.states[len(l.states)-1] != s {
		l.states = append(l.states, s)
	}
}

func (l *link) takePlaintext() []byte {
	p := l.plaintext
	l.plaintext = nil
	return p
}

// Read implements net.Conn for the client.
func (l *link) Read(p []byte) (int, error) {
	if len(l.toClient) == 0 {
		l.drive()
	}
	if len(l.toClient) == 0 {
		if s := l.conn.State(); s == tlsconn.Failed {
			return 0, io.EOF
		}
		return 0, errNoAnswer
	}
	if l.firstFlight == nil {
		l.firstFlight = slices.Clone(l.toClient)
	}
	n := copy(p, l.toClient)
	l.toClient = l.toClient[n:]
	return n, nil
}

// Write implements net.Conn for the client.
func (l *link) Write(p []byte) (int, error) {
	l.toServer = append(l.toServer, p...)
	return len(p), nil
}

func (l *link) Close() error { l.eof = true; return nil }

// clientConfig returns a client that does not verify the server and keeps its sessions.
func clientConfig() *tls.Config {
	return &tls.Config{
		ServerName:         "www.example.test",
		InsecureSkipVerify: true,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),

		DynamicRecordSizingDisabled: true, // records as long as what is written
	}
}

// A firstSession is a client's cache that offers the first session it got again
// and again, where crypto/tls's own forgets a TLS 1.3 session once offered.
type firstSession struct{ session *tls.ClientSessionState }

func (f *firstSession) Get(string) (*tls.ClientSessionState, bool) {
	return f.session, f.session != nil
}

func (f *firstSession) Put(_ string, session *tls.ClientSessionState) {
	if f.session == nil {
		f.session = session
	}
}

// testServer makes a server for tests, changed by edit, and closes it at the end.
func (e engine) server(t testing.TB, edit ...func(*tlsconn.Config)) tlsconn.Server {
	t.Helper()
	c := testConfig(t)
	for _, change := range edit {
		change(&c)
	}
	s, err := e.new(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// testOwner is the node that the servers run on, testSecret its fleet's.
var testOwner = tlsconn.NodeID{1, 2, 3, 4}

const testSecret = "secret of the test cluster"

// openHandle reads a handle of the fleet.
func openHandle(t testing.TB, wire []byte) tlsconn.Handle {
	t.Helper()
	h, ok := handleKeys(t, testSecret).Sealer().Open(wire)
	if !ok {
		t.Fatalf("% x is not a handle of ours", wire)
	}
	return h
}

// testConfig has one ECDSA certificate, an empty store, a clock that stands
// still, a session time-out of five minutes, and one ticket for each client.
func testConfig(t testing.TB) tlsconn.Config {
	t.Helper()
	clock := newClock()
	return tlsconn.Config{
		Certificates: certificates(t, testpki.ECDSA),
		Sessions:     newStore(clock),
		Handles:      handleKeys(t, testSecret),
		Owner:        testOwner,
		Lifetime:     5 * time.Minute,
		Tickets:      1,
		Now:          clock.Now,
	}
}

func handleKeys(t testing.TB, secrets ...string) *tlsconn.HandleKeys {
	t.Helper()
	var list [][]byte
	for _, s := range secrets {
		list = append(list, []byte(s))
	}
	keys, err := tlsconn.NewHandleKeys(list...)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// certificates returns one certificate of each type for www.example.test, which
// is the default too.
func certificates(t testing.TB, types ...testpki.KeyType) *tlsconn.Certificates {
	t.Helper()
	var list []tlsconn.Certificate
	for _, keyType := range types {
		list = append(list, tlsconn.Certificate{TLS: certificate(t, keyType, "www.example.test")})
	}
	certs, err := tlsconn.NewCertificates(list)
	if err != nil {
		t.Fatal(err)
	}
	return certs
}

func certificate(t testing.TB, keyType testpki.KeyType, names ...string) tls.Certificate {
	t.Helper()
	cert, err := testpki.SelfSigned(testpki.Template{Names: names, Key: keyType})
	if err != nil {
		t.Fatal(err)
	}
	return cert.TLS
}

// A clock is moved by the test.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time           { return c.now }
func (c *clock) advance(by time.Duration) { c.now = c.now.Add(by) }

var versions = []struct {
	name string
	id   uint16
}{{"TLS1.2", tls.VersionTLS12}, {"TLS1.3", tls.VersionTLS13}}
