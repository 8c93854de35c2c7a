package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"

	"reprise/tlsconn"

	"reprise/internal/testpki"
)

// Each benchmark runs beside plain crypto/tls as a server, with the same client
// over the same kind of link. Handshakes include the client's share of the
// work, which is the same for both; records do not.

func BenchmarkHandshake(b *testing.B) {
	for _, version := range versions {
		for _, resumed := range []bool{false, true} {
			for _, server := range append(engineNames(), "crypto/tls") {
				b.Run(fmt.Sprintf("version=%s/resumed=%t/server=%s", version.name, resumed, server), func(b *testing.B) {
					client := clientConfig()
					client.MaxVersion = version.id
					// The hybrid key exchange would add as much again to both
					// ends; X25519 is what most clients had until now.
					client.CurvePreferences = []tls.CurveID{tls.X25519}
					do := connHandshake(b, server)
					do(client) // gets a session
					b.ReportAllocs()
					for b.Loop() {
						if !resumed {
							client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
						}
						if got := do(client); got != resumed {
							b.Fatalf("resumed: got %t, want %t", got, resumed)
						}
					}
				})
			}
		}
	}
}

func engineNames() (names []string) {
	for _, e := range engines {
		names = append(names, e.name)
	}
	return names
}

// connHandshake returns a function that does a handshake with an engine's Conn.
func connHandshake(b *testing.B, name string) func(*tls.Config) (resumed bool) {
	at := slices.IndexFunc(engines, func(e engine) bool { return e.name == name })
	if at < 0 {
		return cryptoTLSHandshake(b)
	}
	e := engines[at]
	clock := newClock()
	sessions := newStore(clock)
	s := e.server(b, func(c *tlsconn.Config) { c.Sessions = forgetful{sessions}; c.Now = clock.Now })
	return func(config *tls.Config) bool {
		l := &link{conn: s.NewConn(nil), cut: whole}
		p := &pair{t: b, client: tls.Client(l, config), conn: l.conn, link: l}
		p.doHandshake()
		return p.conn.Info().Resumed()
	}
}

// forgetful keeps the newest session only, so that a benchmark does not measure
// the growth of its own store.
type forgetful struct{ *store }

func (f forgetful) Save(key tlsconn.Key, session tlsconn.Session) {
	clear(f.sessions)
	f.store.Save(key, session)
}

// cryptoTLSHandshake returns a function that does a handshake with a server as
// most Go programs have it: on a goroutine, with sealed tickets.
func cryptoTLSHandshake(b *testing.B) func(*tls.Config) (resumed bool) {
	config := &tls.Config{
		Certificates:                []tls.Certificate{certificate(b, testpki.ECDSA, "www.example.test")},
		DynamicRecordSizingDisabled: true,
	}
	return func(clientConfig *tls.Config) bool {
		clientEnd, serverEnd := newPipe()
		server, client := tls.Server(serverEnd, config), tls.Client(clientEnd, clientConfig)
		go echo(server)
		defer client.Close()
		var p [1]byte
		if _, err := client.Write([]byte("?")); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(client, p[:]); err != nil {
			b.Fatal(err)
		}
		return client.ConnectionState().DidResume
	}
}

func echo(conn *tls.Conn) {
	defer conn.Close()
	p := make([]byte, 1024)
	for {
		n, err := conn.Read(p)
		if err != nil {
			return
		}
		if _, err := conn.Write(p[:n]); err != nil {
			return
		}
	}
}

// BenchmarkRead decrypts records that were encrypted beforehand, and Write
// encrypts, so that the client's share is not measured.
func BenchmarkRead(b *testing.B) {
	const batch = 64 // records prepared at once, outside the measured time
	for _, version := range versions {
		for _, size := range []int{100, 16 << 10} {
			name := fmt.Sprintf("version=%s/size=%d/server=", version.name, size)
			config := clientConfig()
			config.MaxVersion = version.id
			for _, e := range engines {
				b.Run(name+e.name, func(b *testing.B) {
					p := newPair(b, e.server(b), config).doHandshake()
					read := recordReader(p.conn, make([]byte, 16<<10))
					measureRead(b, size, batch, p.client, &p.link.toServer, read)
				})
			}
			b.Run(name+"crypto/tls", func(b *testing.B) {
				client, server, script := scriptedTLS(b, config)
				buf := make([]byte, 16<<10)
				measureRead(b, size, batch, client, &script.sent, func(record []byte) {
					script.given = record
					if n, err := server.Read(buf); n != size || err != nil {
						b.Fatal(n, err)
					}
				})
			})
		}
	}
}

// recordReader feeds c one record and reads it, as a loop would.
func recordReader(c tlsconn.Conn, buf []byte) func(record []byte) {
	return func(record []byte) {
		c.Feed(nil, record)
		for {
			if n, _ := c.Read(nil, buf); n == 0 {
				return
			}
		}
	}
}

// measureRead lets client write records of size bytes, which appear in sent,
// and measures read.
func measureRead(b *testing.B, size, batch int, client *tls.Conn, sent *[]byte,
	read func(record []byte),
) {
	plaintext := make([]byte, size)
	var records [][]byte
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if len(records) == 0 {
			b.StopTimer()
			for range batch {
				*sent = nil
				if _, err := client.Write(plaintext); err != nil {
					b.Fatal(err)
				}
				records = append(records, *sent)
			}
			*sent = nil
			b.StartTimer()
		}
		read(records[0])
		records = records[1:]
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, version := range versions {
		for _, size := range []int{100, 16 << 10} {
			name := fmt.Sprintf("version=%s/size=%d/server=", version.name, size)
			config := clientConfig()
			config.MaxVersion = version.id
			plaintext := make([]byte, size)
			measure := func(b *testing.B, write func()) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					write()
				}
			}
			for _, e := range engines {
				b.Run(name+e.name, func(b *testing.B) {
					p := newPair(b, e.server(b), config).doHandshake()
					out := make([]byte, 0, 32<<10)
					measure(b, func() { out = p.conn.Write(out[:0], plaintext) })
				})
			}
			b.Run(name+"crypto/tls", func(b *testing.B) {
				_, server, script := scriptedTLS(b, config)
				measure(b, func() {
					script.sent = script.sent[:0]
					if _, err := server.Write(plaintext); err != nil {
						b.Fatal(err)
					}
				})
			})
		}
	}
}

// scriptedTLS returns both ends of a plain crypto/tls connection whose
// handshake is over, and which from then on reads from and writes to script.
func scriptedTLS(b *testing.B, clientConfig *tls.Config) (client, server *tls.Conn, s *script) {
	clientEnd, serverEnd := newPipe()
	s = &script{pipe: serverEnd}
	server = tls.Server(s, &tls.Config{
		Certificates:                []tls.Certificate{certificate(b, testpki.ECDSA, "www.example.test")},
		DynamicRecordSizingDisabled: true,
	})
	client = tls.Client(&clientScript{pipe: clientEnd, script: s}, clientConfig)
	done := make(chan error)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	s.live = true
	return client, server, s
}

// BenchmarkRequest is a small request and response on a connection kept alive.
func BenchmarkRequest(b *testing.B) {
	for _, version := range versions {
		for _, e := range engines {
			config := clientConfig()
			config.MaxVersion = version.id
			b.Run("version="+version.name+"/server="+e.name, func(b *testing.B) {
				p := newPair(b, e.server(b), config).doHandshake()
				request, response := bytes.Repeat([]byte("q"), 100), bytes.Repeat([]byte("a"), 200)
				buf, out := make([]byte, 16<<10), make([]byte, 0, 16<<10)
				read := recordReader(p.conn, buf)
				measureRead(b, len(request), 64, p.client, &p.link.toServer, func(record []byte) {
					read(record)
					out = p.conn.Write(out[:0], response)
				})
			})
		}
	}
}

// BenchmarkIdleMemory reports what a connection costs on the heap.
func BenchmarkIdleMemory(b *testing.B) {
	for _, version := range versions {
		for _, after := range []string{"handshake", "record"} {
			for _, e := range engines {
				b.Run("version="+version.name+"/after="+after+"/server="+e.name, func(b *testing.B) {
					client := clientConfig()
					client.MaxVersion, client.ClientSessionCache = version.id, nil
					measureIdle(b, e.server(b), client, after == "record")
				})
			}
		}
	}
}

func measureIdle(b *testing.B, s tlsconn.Server, client *tls.Config, record bool) {
	const conns = 5000
	var total float64
	for b.Loop() {
		keep := make([]tlsconn.Conn, 0, conns)
		before := liveHeap()
		for range conns {
			// A pair that leaves nothing behind but its Conn.
			l := &link{conn: s.NewConn(nil), cut: whole}
			p := (&pair{t: b, client: tls.Client(l, client), conn: l.conn, link: l}).doHandshake()
			if record {
				p.exchange(make([]byte, 16<<10), []byte("ok"))
			}
			keep = append(keep, p.conn)
		}
		total += float64(liveHeap()-before) / conns
		for _, c := range keep {
			c.Abort()
		}
	}
	b.ReportMetric(total/float64(b.N), "B/conn")
	b.ReportMetric(0, "ns/op")
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
