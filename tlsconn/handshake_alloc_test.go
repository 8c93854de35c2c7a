//go:build !race

package tlsconn

import (
	"crypto/tls"
	"runtime"
	"runtime/debug"
	"testing"
)

// A resumed handshake costs the server few allocations, its client excluded.
func TestResumedHandshakesAllocateLittle(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, test := range []struct {
		name   string
		client *tls.Config
		want   uint64
	}{
		{"TLS 1.3", &tls.Config{MinVersion: version13, CurvePreferences: []tls.CurveID{tls.X25519}}, 20},
		{"TLS 1.2", &tls.Config{MaxVersion: version12}, 20},
	} {
		memory := &oneSession{}
		s := insideServer(t, memory, func(c *Config) { c.Tickets = 1 })
		test.client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		fewest := ^uint64(0)
		for round := range 10 {
			k := newTalk(s, test.client, []byte("a question"))
			got := countAllocations(k)
			if k.state.DidResume != (round > 0) {
				t.Fatalf("%s: resumed %t in round %d", test.name, k.state.DidResume, round)
			}
			if round > 0 {
				fewest = min(fewest, got)
			}
			k.conn.Abort()
		}
		t.Logf("%s: %d allocations, with the connection", test.name, fewest)
		if fewest > test.want {
			t.Errorf("%s: %d allocations, want %d at most", test.name, fewest, test.want)
		}
	}
}

// countAllocations drives a talk to its end and returns what the server's calls have
// allocated. The client stands still meanwhile.
func countAllocations(k *talk) (n uint64) {
	buf, out, in := make([]byte, 100), make([]byte, 0, 20000), make([]byte, 0, 20000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := k.conn.(*conn)
	k.conn = c.server.NewConn(k)
	runtime.ReadMemStats(&after)
	n = after.Mallocs - before.Mallocs
	for {
		k.mu.Lock()
		for !k.waiting && !k.done {
			k.changed.Wait()
		}
		in = append(in[:0], k.toServer...)
		k.toServer = k.toServer[:0]
		done := k.done
		k.mu.Unlock()
		runtime.ReadMemStats(&before)
		out = k.conn.Feed(out[:0], in)
		for {
			var got int
			if got, out = k.conn.Read(out, buf); got == 0 {
				break
			}
			out = k.conn.Write(out, buf[:got])
		}
		runtime.ReadMemStats(&after)
		n += after.Mallocs - before.Mallocs
		if done {
			return n
		}
		k.mu.Lock()
		k.toClient = append(k.toClient, out...)
		k.waiting = false
		k.changed.Broadcast()
		k.mu.Unlock()
	}
}

// oneSession keeps the session saved last, so that a memory's cost is not measured.
type oneSession struct {
	insideMemory
	key     Key
	session Session
}

func (o *oneSession) Find(dst []byte, key Key, _ NodeID, _ bool) (Session, Verdict) {
	if key != o.key {
		return Session{}, Unknown
	}
	s := o.session
	s.State = append(dst, s.State...)
	return s, Found
}

func (o *oneSession) Save(key Key, s Session) {
	s.State = append(o.session.State[:0], s.State...)
	o.key, o.session = key, s
}
