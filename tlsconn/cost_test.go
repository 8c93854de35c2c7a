package tlsconn_test

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"reprise/internal/memconn"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// BenchmarkServer measures what a handshake costs the server, the client excluded:
// the time in which the server has the processor. Both servers have the same
// client, one handshake after the other, in one run.
func BenchmarkServer(b *testing.B) {
	for _, c := range []struct {
		name    string
		version uint16
		groups  []tls.CurveID
		resumed bool
	}{
		{"full13", tls.VersionTLS13, []tls.CurveID{tls.X25519}, false},
		{"full13-mlkem", tls.VersionTLS13, []tls.CurveID{tls.X25519MLKEM768}, false},
		{"resumed13", tls.VersionTLS13, []tls.CurveID{tls.X25519}, true},
		{"full12", tls.VersionTLS12, []tls.CurveID{tls.X25519, tls.CurveP256}, false},
		{"resumed12", tls.VersionTLS12, []tls.CurveID{tls.X25519, tls.CurveP256}, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			client := &tls.Config{
				ServerName: "www.example.test", InsecureSkipVerify: true, MaxVersion: c.version, CurvePreferences: c.groups,
			}
			pair, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}, Key: testpki.ECDSA})
			if err != nil {
				b.Fatal(err)
			}
			own, std := newOwn(b, pair.TLS), newStandard(pair.TLS)
			var spent [2]time.Duration
			caches := [2]tls.ClientSessionCache{
				tls.NewLRUClientSessionCache(1),
				tls.NewLRUClientSessionCache(1),
			}
			for i := range 2 {
				client.ClientSessionCache = caches[i]
				handshake(b, client, [2]func() meteredServer{own, std}[i](), false)
			}
			for b.Loop() {
				for i, next := range [2]func() meteredServer{own, std} {
					if !c.resumed {
						client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
					} else {
						client.ClientSessionCache = caches[i]
					}
					spent[i] += handshake(b, client, next(), c.resumed)
				}
			}
			n := float64(b.N)
			b.ReportMetric(float64(spent[0])/n/1000, "own-us")
			b.ReportMetric(float64(spent[1])/n/1000, "crypto/tls-us")
			b.ReportMetric(float64(spent[0])/float64(spent[1]), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A meteredServer takes the client's bytes and returns its answers.
type meteredServer interface {
	feed(in []byte) (out []byte)
	spent() time.Duration
	end()
}

// handshake does one, with a byte each way, and returns the server's time.
func handshake(b *testing.B, config *tls.Config, s meteredServer, resumed bool) time.Duration {
	wire := &benchWire{server: s}
	client := tls.Client(wire, config)
	if _, err := client.Write([]byte("?")); err != nil {
		b.Fatal(err)
	}
	var p [1]byte
	if _, err := io.ReadFull(client, p[:]); err != nil {
		b.Fatal(err)
	}
	if got := client.ConnectionState().DidResume; got != resumed {
		b.Fatalf("resumed: got %t, want %t", got, resumed)
	}
	s.end()
	return s.spent()
}

type benchWire struct {
	memconn.Rest
	server        meteredServer
	sent, arrived []byte
}

func (w *benchWire) Write(p []byte) (int, error) {
	w.sent = append(w.sent, p...)
	return len(p),
		nil
}

func (w *benchWire) Read(p []byte) (int, error) {
	for len(w.arrived) == 0 {
		in := w.sent
		w.sent = nil
		if w.arrived = w.server.feed(in); len(w.arrived) == 0 && len(in) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, w.arrived)
	w.arrived = w.arrived[n:]
	return n, nil
}

// ownServer drives a Conn.
type ownServer struct {
	conn tlsconn.Conn
	buf  []byte
	out  []byte
	time time.Duration
}

func newOwn(b *testing.B, cert tls.Certificate) func() meteredServer {
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: cert}})
	if err != nil {
		b.Fatal(err)
	}
	keys, err := tlsconn.NewHandleKeys([]byte("secret of a benchmark, long"))
	if err != nil {
		b.Fatal(err)
	}
	server, err := tlsconn.New(tlsconn.Config{
		Certificates: certs, Sessions: &lastSession{}, Handles: keys, Lifetime: time.Hour, Now: time.Now,
		Tickets: 1,
	})
	if err != nil {
		b.Fatal(err)
	}
	buf, out := make([]byte, 20000), make([]byte, 0, 20000)
	return func() meteredServer {
		start := time.Now()
		s := &ownServer{conn: server.NewConn(nil), buf: buf, out: out}
		s.time = time.Since(start)
		return s
	}
}

func (s *ownServer) feed(in []byte) []byte {
	start := time.Now()
	out := s.conn.Feed(s.out[:0], in)
	for {
		n, o := s.conn.Read(out, s.buf)
		out = o
		if n == 0 {
			break
		}
		out = s.conn.Write(out, s.buf[:n])
	}
	s.time += time.Since(start)
	return append([]byte(nil), out...)
}

func (s *ownServer) spent() time.Duration { return s.time }
func (s *ownServer) end()                 { s.conn.Abort() }

// lastSession keeps one session, so that a memory's cost is not measured.
type lastSession struct {
	key     tlsconn.Key
	session tlsconn.Session
}

func (l *lastSession) Find(dst []byte, key tlsconn.Key, _ tlsconn.NodeID, _ bool) (tlsconn.Session,
	tlsconn.Verdict,
) {
	if key != l.key {
		return tlsconn.Session{}, tlsconn.Unknown
	}
	s := l.session
	s.State = append(dst, s.State...)
	return s, tlsconn.Found
}
func (l *lastSession) Ask(*tlsconn.Lookup) bool { return false }
func (l *lastSession) Save(key tlsconn.Key, s tlsconn.Session) {
	s.State = append(l.session.State[:0], s.State...)
	l.key, l.session = key, s
}
func (l *lastSession) Release(tlsconn.Key, tlsconn.NodeID, uint64) {}
func (l *lastSession) Spend(tlsconn.Key, tlsconn.NodeID, uint64, time.Duration) bool {
	return true
}

// stdServer runs crypto/tls as most programs have it, on a goroutine, which works
// only between being given input and asking for more.
type stdServer struct {
	memconn.Rest
	in, out chan []byte
	pending []byte
	answer  []byte
	started bool
	conn    *tls.Conn
	time    time.Duration
}

func newStandard(cert tls.Certificate) func() meteredServer {
	config := &tls.Config{Certificates: []tls.Certificate{cert}, DynamicRecordSizingDisabled: true}
	return func() meteredServer {
		start := time.Now()
		s := &stdServer{in: make(chan []byte), out: make(chan []byte)}
		s.conn = tls.Server(s, config)
		s.time = time.Since(start)
		return s
	}
}

func (s *stdServer) run() {
	p := make([]byte, 1024)
	for {
		n, err := s.conn.Read(p)
		if err != nil {
			return
		}
		if _, err := s.conn.Write(p[:n]); err != nil {
			return
		}
	}
}

func (s *stdServer) feed(in []byte) []byte {
	start := time.Now()
	if !s.started {
		s.started = true
		s.pending = in
		go s.run()
	} else {
		s.in <- in
	}
	out := <-s.out
	s.time += time.Since(start)
	return out
}

func (s *stdServer) spent() time.Duration { return s.time }
func (s *stdServer) end()                 { close(s.in) }

func (s *stdServer) Read(p []byte) (int, error) {
	for len(s.pending) == 0 {
		s.out <- s.answer
		s.answer = nil
		in, ok := <-s.in
		if !ok {
			return 0, io.EOF
		}
		s.pending = in
	}
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

func (s *stdServer) Write(p []byte) (int, error) {
	s.answer = append(s.answer, p...)
	return len(p), nil
}
