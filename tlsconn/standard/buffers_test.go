package standard

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"runtime"
	"testing"
)

// A failure here means that crypto/tls has changed: buffers.go has turned
// itself off, and idle flows cost 20 KiB more.
func TestOffsetsAreKnown(t *testing.T) {
	if !offsets.known {
		t.Fatal("crypto/tls.Conn has no fields rawInput, hand (bytes.Buffer) and input (bytes.Reader) any more")
	}
	if c := reflect.TypeFor[tls.Conn](); offsets.rawInput >= c.Size() || offsets.input >= c.Size() || offsets.hand >= c.Size() {
		t.Errorf("offsets %d, %d and %d in a structure of %d bytes", offsets.rawInput, offsets.input, offsets.hand, c.Size())
	}
}

func TestOffsetsOfAnotherCryptoTLS(t *testing.T) {
	//lint:ignore U1000 only looked at through reflect
	type promoted struct {
		rawInput, hand bytes.Buffer
		input          bytes.Reader
	}
	for name, conn := range map[string]any{
		"field is gone":          struct{ rawInput, hand bytes.Buffer }{},
		"field has another type": struct{ rawInput, input, hand []byte }{},
		"field is promoted":      struct{ promoted }{},
	} {
		if findOffsets(reflect.TypeOf(conn)).known {
			t.Errorf("%s: buffers.go would use an offset all the same", name)
		}
	}
}

// heldLen returns the bytes of buffers that crypto/tls holds for c.
func (c *Conn) heldLen() int { return c.rawInput().Cap() + c.hand().Cap() + cap(c.in) }

func TestIdleConnHoldsNoBuffers(t *testing.T) {
	for _, version := range versions {
		t.Run(version.name, func(t *testing.T) {
			client := clientConfig()
			client.MaxVersion = version.id
			p := newPair(t, testServer(t), client).doHandshake()
			if got := p.conn.heldLen(); got != 0 {
				t.Errorf("after the handshake: %d bytes held", got)
			}
			p.exchange(bytes.Repeat([]byte("r"), 64<<10), []byte("ok"))
			if got := p.conn.heldLen(); got != 0 {
				t.Errorf("after 64 KiB: %d bytes held", got)
			}
			if got := len(p.conn.server.spares); got != 1 {
				t.Errorf("server keeps %d arrays, want 1 for one connection", got)
			}
		})
	}
}

func TestIncompleteRecordHoldsItsOwnLengthOnly(t *testing.T) {
	p := newPair(t, testServer(t), nil).doHandshake()
	p.client.Write(bytes.Repeat([]byte("r"), 16<<10))
	rest := p.link.toServer[600:]
	p.link.toServer = p.link.toServer[:600]
	p.link.drive()
	if got := p.conn.heldLen(); got < 600 || got > maxRemainder {
		t.Errorf("600 bytes of a record: %d bytes held", got)
	}
	p.link.toServer = rest
	p.link.drive()
	if got := p.link.takePlaintext(); len(got) != 16<<10 {
		t.Errorf("server read %d bytes (%v), want %d", len(got), p.conn.Err(), 16<<10)
	}
	if got := p.conn.heldLen(); got != 0 {
		t.Errorf("after the whole record: %d bytes held", got)
	}
}

func TestEndedConnHoldsNoBuffers(t *testing.T) {
	for name, end := range map[string]func(*pair){
		"failed":  func(p *pair) { p.conn.EOF(nil) },
		"aborted": func(p *pair) { p.conn.Abort() },
		"closed":  func(p *pair) { p.link.toServer = nil; p.client.Close(); p.link.drive() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, testServer(t), nil).doHandshake()
			if name != "closed" {
				p.client.Write(bytes.Repeat([]byte("r"), 16<<10))
				p.link.toServer = p.link.toServer[:8<<10]
				p.link.drive()
				if p.conn.heldLen() < 8<<10 {
					t.Fatal("nothing is held in mid-record")
				}
			}
			end(p)
			if got := p.conn.heldLen(); got != 0 {
				t.Errorf("%d bytes held in state %v", got, p.conn.State())
			}
		})
	}
}

// Many connections in mid-record have their own arrays; the server keeps a
// bounded number of them afterwards.
func TestSparesAreBounded(t *testing.T) {
	s := testServer(t)
	var pairs []*pair
	for range 2 * maxSpares {
		p := newPair(t, s, nil).doHandshake()
		p.client.Write(bytes.Repeat([]byte("r"), 16<<10))
		p.link.cut = func(n int) int { return n / 2 }
		pairs = append(pairs, p)
	}
	for _, p := range pairs {
		half := p.link.toServer[len(p.link.toServer)/2:]
		p.link.toServer = p.link.toServer[:len(p.link.toServer)/2]
		p.link.drive()
		p.link.toServer = half
	}
	for _, p := range pairs {
		p.link.drive()
		if got := p.link.takePlaintext(); len(got) != 16<<10 {
			t.Fatalf("server read %d bytes (%v), want %d", len(got), p.conn.Err(), 16<<10)
		}
	}
	if got := len(s.spares); got != maxSpares {
		t.Errorf("server keeps %d arrays, want %d", got, maxSpares)
	}
}

// BenchmarkIdleMemory reports what a connection costs on the heap.
func BenchmarkIdleMemory(b *testing.B) {
	for _, version := range versions {
		for _, after := range []string{"handshake", "record"} {
			b.Run("version="+version.name+"/after="+after, func(b *testing.B) {
				s := testServer(b)
				client := clientConfig()
				client.MaxVersion = version.id
				client.ClientSessionCache = nil
				const conns = 5000
				var total float64
				for b.Loop() {
					keep := make([]*Conn, 0, conns)
					before := liveHeap()
					for range conns {
						p := newIdlePair(b, s, client)
						if after == "record" {
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
			})
		}
	}
}

// newIdlePair is a pair that leaves nothing behind but its Conn.
func newIdlePair(b *testing.B, s *Server, client *tls.Config) *pair {
	l := &link{conn: s.NewConn(nil).(*Conn), cut: whole}
	p := &pair{t: b, client: tls.Client(l, client), conn: l.conn, link: l}
	return p.doHandshake()
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
