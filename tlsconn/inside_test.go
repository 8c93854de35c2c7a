package tlsconn

import (
	"bytes"
	"crypto/tls"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"reprise/internal/memconn"
)

// A talk is a crypto/tls client, on a goroutine of its own, with a Conn that the
// test drives: it decides which of many talks has its next byte, so that all of
// them are in the middle of something.
type talk struct {
	conn   Conn
	keys   bytes.Buffer // what the client logs of its secrets
	woken  bool
	err    error // the client's
	state  tls.ConnectionState
	poison func() // before each step of the server

	mu       sync.Mutex
	changed  sync.Cond
	toServer []byte
	toClient []byte
	waiting  bool // the client waits for bytes
	done     bool
	closed   bool // by the server
}

// Wake implements Waker.
func (k *talk) Wake() { k.woken = true }

// newTalk starts a client that makes a handshake, sends a question, wants it back,
// and ends in order.
func newTalk(s Server, config *tls.Config, question []byte) *talk {
	k := &talk{poison: func() {}}
	k.changed.L = &k.mu
	k.conn = s.NewConn(k)
	config = config.Clone()
	config.ServerName, config.InsecureSkipVerify, config.KeyLogWriter = "www.example.test", true, &k.keys
	go func() {
		client := tls.Client(talkConn{talk: k}, config)
		k.err = ask(client, question)
		k.state = client.ConnectionState()
		k.mu.Lock()
		k.done = true
		k.changed.Broadcast()
		k.mu.Unlock()
	}()
	return k
}

func ask(client *tls.Conn, question []byte) error {
	if _, err := client.Write(question); err != nil {
		return err
	}
	got := make([]byte, len(question))
	if _, err := io.ReadFull(client, got); err != nil {
		return err
	}
	if !bytes.Equal(got, question) {
		return io.ErrUnexpectedEOF
	}
	return client.CloseWrite()
}

// step feeds the next bytes, n at most, and reports whether there were some.
func (k *talk) step(n int, buf []byte) bool {
	k.mu.Lock()
	for len(k.toServer) == 0 && !k.waiting && !k.done {
		k.changed.Wait()
	}
	n = min(n, len(k.toServer))
	in := slices.Clone(k.toServer[:n])
	k.toServer = k.toServer[n:]
	k.mu.Unlock()
	var out []byte
	if n > 0 {
		k.poison()
		out = k.conn.Feed(nil, in)
	}
	if k.woken {
		k.woken = false
		k.poison()
		out = k.conn.Resume(out)
		n = 1
	}
	for {
		var got int
		k.poison()
		if got, out = k.conn.Read(out, buf); got == 0 {
			break
		}
		k.poison()
		out = k.conn.Write(out, buf[:got])
	}
	clear(in) // borrowed until here
	k.mu.Lock()
	k.toClient = append(k.toClient, out...)
	if len(out) > 0 {
		k.waiting = false
	}
	k.closed = k.conn.State() == Failed
	k.changed.Broadcast()
	k.mu.Unlock()
	return n > 0
}

// talkConn is the client's end.
type talkConn struct {
	*talk
	memconn.Rest
}

func (c talkConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.toClient) == 0 {
		if c.closed {
			return 0, io.EOF
		}
		c.waiting = true
		c.changed.Broadcast()
		c.changed.Wait()
	}
	c.waiting = false
	n := copy(p, c.toClient)
	c.toClient = c.toClient[n:]
	return n, nil
}

func (c talkConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.toServer = append(c.toServer, p...)
	c.changed.Broadcast()
	return len(p), nil
}

// run drives talks to their end, each in turn by n bytes at most.
func run(t testing.TB, talks []*talk, next func(round int) (which, n int)) {
	t.Helper()
	buf := make([]byte, 20000)
	idle := 0
	for round := 0; idle < 20*len(talks); round++ {
		i, n := next(round)
		if talks[i].step(n, buf) {
			idle = 0
		} else {
			idle++
		}
	}
	for i, k := range talks {
		k.mu.Lock()
		done := k.done
		k.mu.Unlock()
		switch {
		case !done:
			t.Errorf("talk %d hangs: server %v, %v", i, k.conn.State(), k.conn.Err())
		case k.err != nil:
			t.Errorf("talk %d: client %v; server %v, %v", i, k.err, k.conn.State(), k.conn.Err())
		case k.conn.State() != PeerClosed:
			t.Errorf("talk %d: server %v, %v, want %v", i, k.conn.State(), k.conn.Err(), PeerClosed)
		}
	}
}

// insideMemory keeps all sessions.
type insideMemory map[Key]Session

func (m insideMemory) Find(dst []byte, key Key, _ NodeID, _ bool) (Session, Verdict) {
	s, is := m[key]
	if !is {
		return Session{}, Unknown
	}
	s.State = append(dst, s.State...)
	return s, Found
}
func (m insideMemory) Ask(*Lookup) bool { return false }
func (m insideMemory) Save(key Key, s Session) {
	s.State = slices.Clone(s.State)
	m[key] = s
}
func (m insideMemory) Release(Key, NodeID, uint64)                   {}
func (m insideMemory) Spend(Key, NodeID, uint64, time.Duration) bool { return true }
