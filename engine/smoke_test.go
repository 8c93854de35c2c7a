package engine

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

type memSessions struct {
	sync.Mutex
	m map[tlsconn.Key]tlsconn.Session
}

func (m *memSessions) Find(dst []byte, k tlsconn.Key, hold bool) (tlsconn.Session, tlsconn.Verdict) {
	m.Lock()
	defer m.Unlock()
	s, ok := m.m[k]
	if !ok {
		return s, tlsconn.Unknown
	}
	s.State = append(dst, s.State...)
	return s, tlsconn.Found
}
func (m *memSessions) Ask(*tlsconn.Lookup) bool { return false }
func (m *memSessions) Save(k tlsconn.Key, s tlsconn.Session) {
	m.Lock()
	defer m.Unlock()
	s.State = append([]byte(nil), s.State...)
	m.m[k] = s
}
func (m *memSessions) Release(tlsconn.Key, int64)           {}
func (m *memSessions) Spend(k tlsconn.Key, _ time.Duration) {}

func TestSmoke(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: cert.TLS}})
	if err != nil {
		t.Fatal(err)
	}
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	keys, _ := tlsconn.NewHandleKeys([]byte("0123456789abcdef"))
	store := &memSessions{m: map[tlsconn.Key]tlsconn.Session{}}
	pool, _ := backend.NewPool([]*backend.Node{{Network: "tcp", Address: ln.Addr().String()}}, time.Second)
	e, err := New(Options{Loops: 2, ReadSize: 65536, HighWatermark: 65536, LowWatermark: 16384, TurnBudget: 262144, AcceptBudget: 64, Backlog: 1024,
		MaxConnections: 10000, MaxHandshakes: 1000, MaxRetries: 3, HandshakeTimeout: 5 * time.Second, LookupTimeout: 5 * time.Millisecond, ConnectTimeout: time.Second,
		IdleTimeout: time.Minute, LingerTimeout: 2 * time.Second, NoDelay: true}, []Listener{{Network: "tcp", Address: "127.0.0.1:0", Backends: pool, TLS: func(now func() time.Time) (*tlsconn.Server, error) {
		return tlsconn.NewServer(tlsconn.Config{Certificates: certs, Sessions: store, Handles: keys, Lifetime: time.Minute, Now: now})
	}}})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	cc := tls.NewLRUClientSessionCache(10)
	for i := range 20 {
		c, err := tls.Dial("tcp", e.Addresses()[0], &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: cc})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			b := make([]byte, 1<<20)
			for range 20 {
				c.Write(b)
			}
			c.CloseWrite()
		}()
		n, err := io.Copy(io.Discard, c)
		if i < 3 || n != 20<<20 {
			t.Log(i, n, err, c.ConnectionState().DidResume)
		}
		c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	t.Log(e.Drain(ctx))
	t.Log(e.Close())
	t.Logf("%+v", e.Stats())
}
