package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/internal/memconn"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// chaosEnd is the client's end of a connection that a test moves by hand.
type chaosEnd struct {
	memconn.Rest
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

func (m *chaosMemory) Find(dst []byte, key tlsconn.Key, owner tlsconn.NodeID,
	hold bool,
) (tlsconn.Session, tlsconn.Verdict) {
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

// Connections that share a server's scratch do not disturb each other, whatever the order of
// events: all undisturbed ones echo, every reservation is released exactly once, nothing panics.
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
	c := newChaos(t, seed)
	for round := range 3 {
		c.conns = c.conns[:0]
		for range 1 + c.r.IntN(4) {
			c.connect()
		}
		c.run()
		c.end()
		c.judge(round)
	}
	return c.fine
}

// A chaosWorld is a server and what happens to it and to its clients.
type chaosWorld struct {
	*testing.T
	seed    uint64
	r       *rand.Rand
	memory  *chaosMemory
	workers *chaosWorkers
	server  tlsconn.Server
	hostile bool
	fine    bool // so far

	auth       tlsconn.ClientAuth
	clientCert *testpki.Cert
	cache      tls.ClientSessionCache
	conns      []*chaosConn
	clients    sync.WaitGroup
}

func newChaos(t *testing.T, seed uint64) *chaosWorld {
	r := rand.New(rand.NewPCG(seed, 7))
	pki := testpki.New(t)
	c := &chaosWorld{
		T: t, seed: seed, r: r, workers: &chaosWorkers{}, fine: true,
		cache:  tls.NewLRUClientSessionCache(8),
		memory: &chaosMemory{handmadeMemory: newHandmadeMemory(), r: r},
	}
	key := []testpki.KeyType{testpki.ECDSA, testpki.RSA, testpki.Ed25519}[r.IntN(3)]
	pair, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	c.auth = tlsconn.ClientAuth(r.IntN(3))
	c.clientCert = pki.Client("client")
	c.server = handmadeServer(t, c.memory, func(config *tlsconn.Config) {
		config.SingleUse = r.IntN(2) == 0
		config.Certificates, _ = tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: pair.TLS}})
		if r.IntN(3) > 0 {
			config.Workers = c.workers
		}
		config.ClientAuth = c.auth
		if c.auth != 0 {
			config.ClientCAs = clientCAs(t, pki)
		}
		config.ALPN = []string{"h2", "http/1.1"}
	})
	c.hostile = r.IntN(2) == 0
	return c
}

// chaosPayload is what each client says and wants back.
var chaosPayload = bytes.Repeat([]byte("0123456789abcdef"), 1500)

// connect starts a client with a configuration at random.
func (c *chaosWorld) connect() {
	r := c.r
	config := &tls.Config{
		ServerName: "www.example.test", InsecureSkipVerify: true, ClientSessionCache: c.cache,
		MaxVersion: []uint16{tls.VersionTLS12, tls.VersionTLS13}[r.IntN(2)], NextProtos: []string{"http/1.1"},
		DynamicRecordSizingDisabled: r.IntN(2) == 0,
	}
	if r.IntN(3) == 0 {
		config.CurvePreferences = []tls.CurveID{tls.CurveP521, tls.CurveP256} // HelloRetryRequest in part
	}
	if c.auth == tlsconn.RequireClientCert || c.auth != 0 && r.IntN(2) == 0 {
		config.Certificates = []tls.Certificate{c.clientCert.TLS}
	}
	cc := &chaosConn{end: newChaosEnd(), conn: c.server.NewConn(noWaker{})}
	c.conns = append(c.conns, cc)
	c.clients.Go(func() {
		err := cc.ask(config)
		cc.end.mu.Lock()
		cc.end.clientDone, cc.end.clientErr = true, err
		cc.end.mu.Unlock()
	})
}

// ask is what the client does.
func (cc *chaosConn) ask(config *tls.Config) error {
	client := tls.Client(cc.end, config)
	_, err := client.Write(chaosPayload)
	got := make([]byte, len(chaosPayload))
	if err == nil {
		_, err = io.ReadFull(client, got)
	}
	if err == nil && !bytes.Equal(got, chaosPayload) {
		err = errors.New("echo differs")
	}
	client.CloseWrite()
	return err
}

// run makes events happen until all connections are over, or wait for bytes that were cut off.
func (c *chaosWorld) run() {
	deadline := time.Now().Add(5 * time.Second)
	buf := make([]byte, 70000)
	for idle := 0; ; {
		if time.Now().After(deadline) {
			c.Errorf("seed %d: stuck", c.seed)
			c.fine = false
			return
		}
		alive, clean, moved := c.stepAll(buf)
		if alive == 0 || clean == 0 && idle > 300 {
			return // what was cut short may wait for ever
		}
		if c.stepOthers() {
			moved = true
		}
		if !moved {
			idle++
			runtime.Gosched()
			if idle%50 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
	}
}

// stepAll does something with some of the connections that are not over.
func (c *chaosWorld) stepAll(buf []byte) (alive, clean int, moved bool) {
	for _, cc := range c.conns {
		if cc.over {
			continue
		}
		alive++
		if !cc.dirty {
			clean++
		}
		if c.r.IntN(2) == 0 || cc.step(c.T, c.r, buf, c.hostile) {
			moved = true
		}
	}
	return alive, clean, moved
}

// stepOthers lets workers and peers get on, and sometimes closes the server.
func (c *chaosWorld) stepOthers() (moved bool) {
	if c.r.IntN(3) == 0 && len(c.workers.queue) > 0 {
		f := c.workers.queue[0]
		c.workers.queue = c.workers.queue[1:]
		f()
		moved = true
	}
	if c.r.IntN(3) == 0 && len(c.memory.questions) > 0 {
		c.memory.answerOne()
		moved = true
	}
	if c.r.IntN(100) == 0 {
		c.server.Close() // as engine.Renew does under handshakes that are under way
	}
	return moved
}

// end aborts the remaining connections, and waits for all clients.
func (c *chaosWorld) end() {
	for _, cc := range c.conns {
		cc.conn.Abort()
		cc.end.mu.Lock()
		cc.end.closed = true
		cc.end.cond.Broadcast()
		cc.end.mu.Unlock()
	}
	c.clients.Wait()
	for _, f := range c.workers.queue {
		f()
	}
	c.workers.queue = nil
	for len(c.memory.questions) > 0 {
		c.memory.answerOne()
	}
}

// judge looks at what became of the clients and of the sessions they reserved.
func (c *chaosWorld) judge(round int) {
	for i, cc := range c.conns {
		if !cc.dirty && cc.end.clientErr != nil {
			// A single-use session may be lost to another connection; nothing else may go wrong.
			c.Errorf("seed %d round %d conn %d: client: %v; server: %v (%v)", c.seed, round, i, cc.end.clientErr, cc.conn.Err(), cc.conn.Info())
			c.fine = false
		}
	}
	if c.memory.twice != 0 {
		c.Errorf("seed %d: %d reservations were let go of twice", c.seed, c.memory.twice)
		c.fine = false
	}
	if len(c.memory.held) != 0 {
		c.Errorf("seed %d: %d reservations are left", c.seed, len(c.memory.held))
		clear(c.memory.held)
		c.fine = false
	}
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
		out = cc.parked(r, out, hostile)
	default:
		if len(e.out) == 0 {
			p := make([]byte, 20000)
			k := 0
			if k, out = c.Read(out, p); k > 0 { // left by a parked handshake
				out = c.Write(out, p[:k])
				break
			}
			if len(out) > len(prefix) || c.State() != tlsconn.Connected &&
				c.State() != tlsconn.ExpectHandshakeBytes {
				break
			}
			if !e.clientDone {
				return false
			}
			out = c.EOF(out)
			break
		}
		out = cc.fed(r, buf, out, hostile)
	}
	if !bytes.HasPrefix(out, prefix) {
		t.Errorf("what was in out is gone")
	}
	e.in = append(e.in, out[len(prefix):]...)
	e.cond.Broadcast()
	return true
}

// fed feeds a part of the client's bytes, and answers what it reads.
func (cc *chaosConn) fed(r *rand.Rand, buf, out []byte, hostile bool) []byte {
	e, c := cc.end, cc.conn
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
		in = cc.damaged(r, in)
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
	return out
}

// damaged alters the next bytes, or aborts.
func (cc *chaosConn) damaged(r *rand.Rand, in []byte) []byte {
	n := len(in)
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
		cc.conn.Abort()
	}
	return in
}

// parked does something with a connection whose handshake waits.
func (cc *chaosConn) parked(r *rand.Rand, out []byte, hostile bool) []byte {
	e, c := cc.end, cc.conn
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
	return out
}
