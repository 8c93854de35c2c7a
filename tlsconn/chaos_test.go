package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// chaosEnd is the client's end of a connection that a test moves by hand.
type chaosEnd struct {
	net.Conn
	mu         sync.Mutex
	cond       *sync.Cond
	in, out    []byte
	closed     bool
	clientDone bool
	clientErr  error
}

func newChaosEnd() *chaosEnd { e := &chaosEnd{}; e.cond = sync.NewCond(&e.mu); return e }

func (e *chaosEnd) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.in) == 0 && !e.closed {
		e.cond.Wait()
	}
	if len(e.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, e.in)
	e.in = e.in[n:]
	return n, nil
}

func (e *chaosEnd) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0, io.ErrClosedPipe
	}
	e.out = append(e.out, p...)
	return len(p), nil
}
func (e *chaosEnd) Close() error                     { return nil }
func (e *chaosEnd) SetDeadline(time.Time) error      { return nil }
func (e *chaosEnd) SetReadDeadline(time.Time) error  { return nil }
func (e *chaosEnd) SetWriteDeadline(time.Time) error { return nil }

type chaosConn struct {
	end   *chaosEnd
	conn  tlsconn.Conn
	over  bool
	dirty bool // bytes were changed on the way, or it was aborted
	begun bool
}

type chaosWorkers struct {
	queue  []func()
	refuse bool
}

func (w *chaosWorkers) TrySubmit(f func(), _ *atomic.Bool) bool {
	if w.refuse {
		return false
	}
	w.queue = append(w.queue, f)
	return true
}

// chaosMemory answers look-ups late.
type chaosMemory struct {
	*handmadeMemory
	r         *rand.Rand
	questions []*tlsconn.Lookup
}

func (m *chaosMemory) Find(dst []byte, key tlsconn.Key, owner tlsconn.NodeID, hold bool) (tlsconn.Session, tlsconn.Verdict) {
	if m.r.IntN(2) == 0 {
		return tlsconn.Session{}, tlsconn.Unknown
	}
	return m.handmadeMemory.Find(dst, key, owner, hold)
}

func (m *chaosMemory) Ask(l *tlsconn.Lookup) bool {
	if m.r.IntN(4) == 0 {
		return false
	}
	m.questions = append(m.questions, l)
	return true
}

func (m *chaosMemory) answerOne() {
	if len(m.questions) == 0 {
		return
	}
	l := m.questions[0]
	m.questions = m.questions[1:]
	s, is := m.sessions[l.Key]
	if !is {
		l.Answer(tlsconn.Session{}, tlsconn.Unknown)
		return
	}
	s.State = bytes.Clone(s.State)
	if l.Hold {
		m.next++
		s.Hold = m.next
		m.held[s.Hold] = true
	}
	if !l.Answer(s, tlsconn.Found) && l.Hold {
		m.Release(l.Key, l.Owner, s.Hold)
	}
}

// Connections that share a server's scratch do not disturb each other, whatever the
// order of events: all that are left alone echo, no reservation is left or let go of
// twice, nothing panics.
func TestChaos(t *testing.T) {
	seeds := 60
	if s := os.Getenv("CHAOS_SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	first := uint64(1)
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		seeds = 1
	}
	for seed := first; seed < first+uint64(seeds); seed++ {
		if !chaos(t, seed) {
			t.Logf("seed %d", seed)
		}
	}
}

func chaos(t *testing.T, seed uint64) bool {
	r := rand.New(rand.NewPCG(seed, 7))
	pki := testpki.New(t)
	m := &chaosMemory{handmadeMemory: newHandmadeMemory(), r: r}
	workers := &chaosWorkers{}
	key := []testpki.KeyType{testpki.ECDSA, testpki.RSA, testpki.Ed25519}[r.IntN(3)]
	pair, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	auth := tlsconn.ClientAuth(r.IntN(3))
	clientCert := pki.Client("somebody")
	server := handmadeServer(t, m, func(c *tlsconn.Config) {
		c.SingleUse = r.IntN(2) == 0
		c.Certificates, _ = tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: pair.TLS}})
		if r.IntN(3) > 0 {
			c.Workers = workers
		}
		c.ClientAuth = auth
		if auth != 0 {
			c.ClientCAs = clientCAs(t, pki)
		}
		c.ALPN = []string{"h2", "http/1.1"}
	})
	hostile := r.IntN(2) == 0
	fine := true
	cache := tls.NewLRUClientSessionCache(8)
	var conns []*chaosConn
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1500)
	var clients sync.WaitGroup
	for round := range 3 {
		conns = conns[:0]
		for range 1 + r.IntN(4) {
			config := &tls.Config{
				ServerName: "www.example.test", InsecureSkipVerify: true, ClientSessionCache: cache,
				MaxVersion: []uint16{tls.VersionTLS12, tls.VersionTLS13}[r.IntN(2)], NextProtos: []string{"http/1.1"},
				DynamicRecordSizingDisabled: r.IntN(2) == 0,
			}
			if r.IntN(3) == 0 {
				config.CurvePreferences = []tls.CurveID{tls.CurveP521, tls.CurveP256} // HelloRetryRequest in part
			}
			if auth == tlsconn.RequireClientCert || auth != 0 && r.IntN(2) == 0 {
				config.Certificates = []tls.Certificate{clientCert.TLS}
			}
			cc := &chaosConn{end: newChaosEnd(), conn: server.NewConn(noWaker{})}
			conns = append(conns, cc)
			clients.Add(1)
			go func() {
				defer clients.Done()
				client := tls.Client(cc.end, config)
				_, err := client.Write(payload)
				got := make([]byte, len(payload))
				if err == nil {
					_, err = io.ReadFull(client, got)
				}
				if err == nil && !bytes.Equal(got, payload) {
					err = errors.New("echo differs")
				}
				client.CloseWrite()
				cc.end.mu.Lock()
				cc.end.clientDone, cc.end.clientErr = true, err
				cc.end.mu.Unlock()
			}()
		}
		deadline := time.Now().Add(5 * time.Second)
		buf := make([]byte, 70000)
		for idle := 0; ; {
			if time.Now().After(deadline) {
				t.Errorf("seed %d: stuck", seed)
				fine = false
				break
			}
			alive, clean := 0, 0
			moved := false
			for _, cc := range conns {
				if cc.over {
					continue
				}
				alive++
				if !cc.dirty {
					clean++
				}
				if r.IntN(2) == 0 {
					moved = true
					continue
				}
				if cc.step(t, r, buf, hostile) {
					moved = true
				}
			}
			if alive == 0 || clean == 0 && idle > 300 {
				break // what was cut short may wait for ever
			}
			if r.IntN(3) == 0 && len(workers.queue) > 0 {
				f := workers.queue[0]
				workers.queue = workers.queue[1:]
				f()
				moved = true
			}
			if r.IntN(3) == 0 && len(m.questions) > 0 {
				m.answerOne()
				moved = true
			}
			if r.IntN(100) == 0 {
				server.Close() // as engine.Renew does under handshakes that are under way
			}
			if !moved {
				idle++
				runtime.Gosched()
				if idle%50 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
		}
		for _, cc := range conns {
			cc.conn.Abort()
			cc.end.mu.Lock()
			cc.end.closed = true
			cc.end.cond.Broadcast()
			cc.end.mu.Unlock()
		}
		clients.Wait()
		for _, f := range workers.queue {
			f()
		}
		workers.queue = nil
		for len(m.questions) > 0 {
			m.answerOne()
		}
		for i, cc := range conns {
			if !cc.dirty && cc.end.clientErr != nil {
				// A single-use session may be lost to another connection; nothing else may go wrong.
				t.Errorf("seed %d round %d conn %d: client: %v; server: %v (%v)", seed, round, i, cc.end.clientErr, cc.conn.Err(), cc.conn.Info())
				fine = false
			}
		}
		if m.twice != 0 {
			t.Errorf("seed %d: %d reservations were let go of twice", seed, m.twice)
			fine = false
		}
		if len(m.held) != 0 {
			t.Errorf("seed %d: %d reservations are left", seed, len(m.held))
			clear(m.held)
			fine = false
		}
	}
	return fine
}

// step does something with a connection.
func (cc *chaosConn) step(t *testing.T, r *rand.Rand, buf []byte, hostile bool) bool {
	e, c := cc.end, cc.conn
	prefix := []byte("before")
	out := append([]byte(nil), prefix...)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch c.State() {
	case tlsconn.Failed:
		cc.over = true
		e.closed = true
		e.cond.Broadcast()
		return true
	case tlsconn.PeerClosed:
		if len(e.out) > 0 {
			e.out = nil
		}
		out = c.CloseNotify(out)
		cc.over = true
		c.Abort()
	case tlsconn.AwaitSession, tlsconn.AwaitSignature, tlsconn.AwaitVerify:
		switch r.IntN(12) {
		case 0:
			out = c.GiveUp(out)
		case 1:
			if hostile {
				cc.dirty = true
				c.Abort()
			}
		case 2:
			if n := r.IntN(len(e.out) + 1); n > 0 {
				out = c.Feed(out, bytes.Clone(e.out[:n]))
				e.out = e.out[n:]
			}
		case 3:
			c.Rest()
		case 4:
			if hostile {
				cc.dirty = true
				out = c.EOF(out)
			}
		default:
			out = c.Resume(out)
		}
	default:
		if len(e.out) == 0 {
			p := make([]byte, 20000)
			k := 0
			if k, out = c.Read(out, p); k > 0 { // left by a parked handshake
				out = c.Write(out, p[:k])
				break
			}
			if len(out) > len(prefix) || c.State() != tlsconn.Connected && c.State() != tlsconn.ExpectHandshakeBytes {
				break
			}
			if !e.clientDone {
				return false
			}
			out = c.EOF(out)
			break
		}
		if !cc.begun {
			cc.begun = true
			if r.IntN(2) == 0 { // the hello in several records
				e.out = refragment(e.out, 1+r.IntN(600))
			}
		}
		n := min(len(e.out), 1+r.IntN([]int{1, 7, 300, 20000, 60000}[r.IntN(5)]))
		in := buf[:copy(buf, e.out[:n])]
		e.out = e.out[n:]
		if hostile && r.IntN(40) == 0 {
			cc.dirty = true
			switch r.IntN(4) {
			case 0:
				in[r.IntN(n)] ^= byte(1 << r.IntN(8))
			case 1:
				in = in[:r.IntN(n)]
			case 2:
				i := r.IntN(n)
				in = append(append(append([]byte(nil), in[:i]...), 20, 3, 3, 0, 1, 1), in[i:]...)
			case 3:
				c.Abort()
			}
		}
		out = c.Feed(out, in)
		size := []int{1, 100, 20000}[r.IntN(3)]
		if size == 1 && r.IntN(10) > 0 {
			size = 5000
		}
		p := make([]byte, size)
		for {
			k, o := c.Read(out, p)
			out = o
			if k == 0 {
				break
			}
			out = c.Write(out, p[:k])
		}
		if r.IntN(10) == 0 {
			c.Rest()
		}
		// The borrowed bytes are ours again.
		for i := range in {
			in[i] = 0xEE
		}
	}
	if !bytes.HasPrefix(out, prefix) {
		t.Errorf("what was in out is gone")
	}
	e.in = append(e.in, out[len(prefix):]...)
	e.cond.Broadcast()
	return true
}
