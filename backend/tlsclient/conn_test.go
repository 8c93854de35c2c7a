package tlsclient

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

const patience = time.Minute

// A server is the far end of a connection in memory.
type server struct {
	conn     *tls.Conn
	sent     chan []byte // ciphertext for the client; closed at its end
	received net.Conn    // the client's ciphertext
}

// serve runs handle after a server's handshake.
func serve(t *testing.T, config *tls.Config, handle func(*tls.Conn)) *server {
	ours, theirs := net.Pipe()
	f := &server{conn: tls.Server(theirs, config), sent: make(chan []byte, 1000), received: ours}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if f.conn.Handshake() == nil {
			handle(f.conn)
		}
		theirs.Close()
	}()
	go func() {
		defer close(f.sent)
		for {
			p := make([]byte, 64<<10)
			n, err := ours.Read(p)
			if n > 0 {
				f.sent <- p[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { ours.Close(); <-done })
	return f
}

// shake makes the handshake of c by workers, with the input in pieces of cut's lengths.
func (f *server) shake(t *testing.T, c *Conn, workers Workers, cut func([]byte) [][]byte) {
	t.Helper()
	awake := make(chan struct{}, 1)
	step := func(in []byte, eof bool) {
		if !c.Step(in, eof, workers, func() { awake <- struct{}{} }) {
			t.Fatal("the workers have no room")
		}
		<-awake
		if out := c.Stepped(nil); len(out) > 0 {
			f.received.SetWriteDeadline(time.Now().Add(patience))
			f.received.Write(out) // fails if the server has closed
		}
	}
	step(nil, false)
	for c.State() == Handshaking {
		p, more := <-f.sent
		if !more {
			step(nil, true)
			return
		}
		for _, piece := range cut(p) {
			if c.State() == Handshaking {
				step(piece, false)
			} else {
				c.Feed(piece)
			}
		}
	}
	c.Keep()
}

// one runs work on a goroutine, as a worker does.
type one struct{}

func (one) TrySubmit(work func(), abandoned *atomic.Bool) bool {
	go func() {
		if !abandoned.Load() {
			work()
		}
	}()
	return true
}

func whole(p []byte) [][]byte { return [][]byte{p} }

func byBytes(p []byte) (pieces [][]byte) {
	for i := range p {
		pieces = append(pieces, p[i:i+1:i+1])
	}
	return pieces
}

func atRandom(p []byte) (pieces [][]byte) {
	for len(p) > 0 {
		n := min(1+rand.IntN(3000), len(p))
		pieces = append(pieces, p[:n:n])
		p = p[n:]
	}
	return pieces
}

// pair makes the two policies of a server and its client.
func pair(t *testing.T, version uint16) (*tls.Config, *Client) {
	t.Helper()
	pki := testpki.New(t)
	c, err := (&Policy{Roots: pki.CA.Pool(), ALPN: []string{"http/1.1"}}).New("backend.example")
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pki.Server(testpki.ECDSA,
			"backend.example").TLS}, MaxVersion: version, NextProtos: []string{"http/1.1"},
	}, c
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// TestChunking: the same bytes whole, one by one and at random cuts have the same result, with room
// for all of the plaintext or for some.
func TestChunking(t *testing.T) {
	nettest.LeakCheck(t)
	for _, version := range versions {
		config, client := pair(t, version)
		for name, cut := range map[string]func([]byte) [][]byte{"whole": whole, "one by one": byBytes, "at random": atRandom} {
			for _, room := range []int{1, 1000, 64 << 10} {
				if room == 1 && name == "one by one" {
					continue
				}
				t.Run(fmt.Sprint(tls.VersionName(version), "/", name, "/", room), func(t *testing.T) {
					testChunks(t, client, config, cut, room)
				})
			}
		}
	}
}

// testChunks has both ends say 100 KiB; those of the server come cut by cut and are
// taken with that room.
func testChunks(t *testing.T, client *Client, config *tls.Config, cut func([]byte) [][]byte,
	room int,
) {
	const n = 100 << 10
	asked := make(chan error, 1)
	f := serve(t, config, func(conn *tls.Conn) {
		asked <- nettest.CheckPattern(io.LimitReader(conn, n), 3, n)
		io.Copy(conn, nettest.NewPattern(4, n))
		conn.Close()
	})
	c := client.NewConn()
	f.shake(t, c, one{}, cut)
	if c.State() != Connected {
		t.Fatalf("state %v, %v", c.State(), c.Err())
	}
	go func() {
		plain, _ := io.ReadAll(nettest.NewPattern(3, n))
		for len(plain) > 0 {
			k := min(len(plain), 1+rand.IntN(20000))
			f.received.Write(c.Write(nil, plain[:k]))
			plain = plain[k:]
		}
	}()
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	checker, p := nettest.NewChecker(4), make([]byte, room)
	take := func() {
		for {
			k, out := c.Read(nil, p)
			if len(out) > 0 {
				t.Fatalf("it says %d bytes unasked", len(out))
			}
			if k == 0 {
				return
			}
			if _, err := checker.Write(p[:k]); err != nil {
				t.Fatal(err)
			}
		}
	}
	take()
	for said := range f.sent {
		for _, piece := range cut(said) {
			c.Feed(piece)
			take()
		}
	}
	if checker.Len() != n || c.State() != PeerClosed {
		t.Errorf("got %d bytes, state %v, %v, want %d and a proper end", checker.Len(), c.State(), c.Err(), n)
	}
	if c.EOF(); c.State() != PeerClosed {
		t.Error("the end behind close_notify is not a failure")
	}
}

// connected returns a client after its handshake, with what followed that read.
func connected(t *testing.T, version uint16, handle func(*tls.Conn)) (*Conn, *server) {
	t.Helper()
	config, client := pair(t, version)
	f := serve(t, config, handle)
	c := client.NewConn()
	f.shake(t, c, one{}, whole)
	if c.State() != Connected {
		t.Fatalf("state %v, %v", c.State(), c.Err())
	}
	return c, f
}

// TestAtRest: only a connection without a partial record may serve another request.
func TestAtRest(t *testing.T) {
	for _, version := range versions {
		c, f := connected(t, version, func(conn *tls.Conn) {
			io.ReadFull(conn, make([]byte, 1))
			io.WriteString(conn, "unasked")
			io.Copy(io.Discard, conn)
		})
		read := func() string {
			p := make([]byte, 100)
			n, _ := c.Read(nil, p)
			return string(p[:n])
		}
		if got := read(); got != "" || !c.AtRest() {
			t.Errorf("%q came with the handshake, at rest: %v", got, c.AtRest())
		}
		f.received.Write(c.Write(nil, []byte("x")))
		record := <-f.sent
		for cut := 1; cut < len(record); cut++ {
			c.Feed(record[cut-1 : cut])
			if got := read(); got != "" || c.AtRest() {
				t.Fatalf("after %d bytes of a record: %q, at rest: %v", cut, got, c.AtRest())
			}
		}
		c.Feed(record[len(record)-1:])
		if got := read(); got != "unasked" || read() != "" || !c.AtRest() {
			t.Errorf("got %q", got)
		}
	}
}

// TestTruncated: an end without close_notify is a failure, and so is an altered record.
func TestTruncated(t *testing.T) {
	for _, version := range versions {
		c, _ := connected(t, version, func(conn *tls.Conn) { io.Copy(io.Discard, conn) })
		c.Read(nil, make([]byte, 1))
		if c.EOF(); c.State() != Failed || ReasonOf(c.Err()) != Closed {
			t.Errorf("got %v, %v", c.State(), c.Err())
		}
		if out := c.Write(nil, []byte("x")); len(out) > 0 {
			t.Error("a failed connection sends something")
		}
		c, _ = connected(t, version, func(conn *tls.Conn) { io.Copy(io.Discard, conn) })
		c.Read(nil, make([]byte, 1))
		c.Feed(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
		if n, alert := c.Read(nil, make([]byte, 1)); n != 0 || len(alert) == 0 || c.State() != Failed {
			t.Errorf("got %d bytes, an alert of %d, state %v", n, len(alert), c.State())
		}
	}
}

// TestCloseNotify: close_notify is sent once, and nothing after it.
func TestCloseNotify(t *testing.T) {
	for _, version := range versions {
		got := make(chan string, 1)
		c, f := connected(t, version, func(conn *tls.Conn) {
			b, err := io.ReadAll(conn)
			got <- fmt.Sprint(string(b), " ", err)
		})
		f.received.Write(c.CloseNotify(c.Write(nil, []byte("all"))))
		if s := <-got; s != "all <nil>" {
			t.Errorf("the server got %s", s)
		}
		if out := c.CloseNotify(c.Write(nil, []byte("more"))); len(out) > 0 {
			t.Errorf("%d bytes follow close_notify", len(out))
		}
	}
}

// TestAbort: an aborted handshake ends in any state, and so does its goroutine.
func TestAbort(t *testing.T) {
	nettest.LeakCheck(t)
	config, client := pair(t, tls.VersionTLS13)
	for steps := range 4 {
		for range 20 {
			f := serve(t, config, func(conn *tls.Conn) {})
			c := client.NewConn()
			awake := make(chan struct{}, 1)
			wake := func() { awake <- struct{}{} }
			for i := range steps {
				var in []byte
				if i > 0 {
					in = (<-f.sent)[:50] // not all of what it needs
				}
				c.Step(in, false, one{}, wake)
				<-awake
				if out := c.Stepped(nil); len(out) > 0 {
					go f.received.Write(out)
				}
				if i == 1 {
					break
				}
			}
			if steps%2 == 1 {
				c.Step(nil, false, one{}, wake) // and is aborted while it goes on
			}
			c.Abort()
			c.Abort()
			f.received.Close()
		}
	}
}

// TestPanic: a panic in a handshake ends only that handshake.
func TestPanic(t *testing.T) {
	config, client := pair(t, tls.VersionTLS13)
	client.config.VerifyConnection = func(tls.ConnectionState) error { panic("on purpose") }
	f := serve(t, config, func(*tls.Conn) {})
	c := client.NewConn()
	f.shake(t, c, nil, whole)
	if c.State() != Failed || !bytes.Contains([]byte(c.Err().Error()), []byte("on purpose")) {
		t.Errorf("got %v, %v", c.State(), c.Err())
	}
}

// full is workers that have no room.
type full struct{}

func (full) TrySubmit(func(), *atomic.Bool) bool { return false }

// TestWorkersFull: the owner can make a step for which no worker has room.
func TestWorkersFull(t *testing.T) {
	config, client := pair(t, tls.VersionTLS12)
	f := serve(t, config, func(*tls.Conn) {})
	c := client.NewConn()
	if c.Step(nil, false, full{}, func() { t.Error("woken for nothing") }) {
		t.Fatal("Step reports that a worker makes the step")
	}
	f.shake(t, c, nil, whole)
	if c.State() != Connected {
		t.Errorf("got %v, %v", c.State(), c.Err())
	}
}

// TestResumption: a second connection resumes, for as long as the policy is the same.
func TestResumption(t *testing.T) {
	for _, version := range versions {
		config, client := pair(t, version)
		visit := func(client *Client) bool {
			f := serve(t, config, func(conn *tls.Conn) { io.WriteString(conn, "x") })
			c := client.NewConn()
			f.shake(t, c, one{}, whole)
			if c.State() != Connected {
				t.Fatal(c.Err())
			}
			for n := 0; n == 0; { // sessions come before data
				n, _ = c.Read(nil, make([]byte, 1))
				if n == 0 {
					c.Feed(<-f.sent)
				}
			}
			return c.Resumed()
		}
		if first, second, third := visit(client), visit(client), visit(client); first || !second ||
			!third {
			t.Errorf("%s: resumed %v, %v, %v", tls.VersionName(version), first, second, third)
		}
		other, err := client.policy.New("backend.example")
		if err != nil {
			t.Fatal(err)
		}
		if visit(other) {
			t.Error("a session of one client served another")
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var s sessions
	made := make([]*tls.ClientSessionState, 2*maxSessions)
	for i := range made {
		made[i] = new(tls.ClientSessionState)
		s.Put("", made[i])
	}
	for i := range maxSessions {
		if got, ok := s.Get(""); !ok || got != made[len(made)-1-i] {
			t.Errorf("session %d is not the newest that is left", i)
		}
	}
	if got, ok := s.Get(""); !ok || got != made[maxSessions] {
		t.Error("the last did not stay")
	}
	s.Put("", nil)
	if _, ok := s.Get(""); ok {
		t.Error("a useless one stayed")
	}
}

// TestNoName: a policy that verifies needs a name to verify.
func TestNoName(t *testing.T) {
	for _, test := range []struct {
		policy Policy
		host   string
		name   string
		err    error
	}{
		{Policy{}, "a.example", "a.example", nil},
		{Policy{Name: "b.example"}, "a.example", "b.example", nil},
		{Policy{Name: "b.example"}, "", "b.example", nil},
		{Policy{}, "", "", errNoName},
		{Policy{Unverified: true}, "", "", nil},
	} {
		c, err := test.policy.New(test.host)
		if !errors.Is(err, test.err) || err == nil && c.Name() != test.name {
			t.Errorf("%+v for %q: got %v, %v", test.policy, test.host, c, err)
		}
	}
}
