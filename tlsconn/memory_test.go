//go:build !race

package tlsconn

import (
	"crypto/tls"
	"runtime"
	"testing"

	"reprise/tlsconn/record"
)

// heapOf returns the bytes of the heap that each of n connections holds.
func heapOf(n int, make func(i int) Conn) int {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	conns := [2000]Conn{}
	before := heap()
	for i := range n {
		conns[i] = make(i)
	}
	after := heap()
	for _, c := range conns[:n] {
		c.Abort()
	}
	return int(after-before) / n
}

// What a client makes a connection hold, it must have paid for.
func TestMemoryOfConnections(t *testing.T) {
	for _, version := range []struct {
		name   string
		client *tls.Config
	}{
		{"TLS 1.3", &tls.Config{MinVersion: version13}},
		{"TLS 1.2", &tls.Config{MaxVersion: version12}},
	} {
		s := insideServer(t, nil)
		hello := firstFlight(t, s, version.client)
		idle := heapOf(300, func(int) Conn { return connectedConn(t, s, version.client, true) })
		busy := heapOf(300, func(int) Conn { return connectedConn(t, s, version.client, false) })
		out := make([]byte, 0, 8000)
		inFlight := heapOf(1000, func(int) Conn {
			c := s.NewConn(nil)
			out = c.Feed(out[:0], hello)
			return c
		})
		half := heapOf(500, func(int) Conn {
			c := s.NewConn(nil)
			c.Feed(nil, append([]byte{22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb}, make([]byte, 8<<10)...))
			return c
		})
		halfInTwo := heapOf(500, func(int) Conn {
			c := s.NewConn(nil)
			c.Feed(nil, append([]byte{22, 3, 1, 0x20, 0, 1, 0, 0x3f, 0xfb}, make([]byte, 8<<10-4)...))
			c.Feed(nil, append([]byte{22, 3, 1, 0x20, 0}, make([]byte, 8<<10-1)...))
			return c
		})
		t.Logf("%s: %d bytes idle, %d before it rests, %d in a handshake, %d and %d with half a ClientHello",
			version.name, idle, busy, inFlight, half, halfInTwo)
		if idle > 1<<10 {
			t.Errorf("%s: an idle connection holds %d bytes", version.name, idle)
		}
		if inFlight > 3<<10 {
			t.Errorf("%s: a handshake in flight holds %d bytes", version.name, inFlight)
		}
		if half > 20<<10 || halfInTwo > 20<<10 {
			t.Errorf("%s: half a ClientHello holds %d or %d bytes", version.name, half, halfInTwo)
		}
	}
}

// firstFlight returns a client's hello.
func firstFlight(t *testing.T, s Server, config *tls.Config) []byte {
	t.Helper()
	k := newTalk(s, config, []byte("?"))
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.waiting {
		k.changed.Wait()
	}
	hello := k.toServer
	k.closed = true // its client ends
	k.changed.Broadcast()
	return hello
}

// connectedConn returns a connection that has moved data, and rests.
func connectedConn(t *testing.T, s Server, config *tls.Config, rest bool) Conn {
	t.Helper()
	k := newTalk(s, config, []byte("a question"))
	buf := make([]byte, 100)
	for k.conn.State() < Connected || !k.answered() {
		k.step(1<<20, buf)
	}
	if rest {
		k.conn.Rest()
	}
	k.mu.Lock()
	k.closed = true
	k.changed.Broadcast()
	k.mu.Unlock()
	k.conn.(*conn).waker = nil // the client is not what is measured
	return k.conn
}

// answered reports whether the client has its awaited answer.
func (k *talk) answered() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.done
}

// A message after the handshake is bounded by what one can be, before it is
// gathered.
func TestHalfMessageIsBounded(t *testing.T) {
	s := insideServer(t, nil)
	for _, test := range []struct {
		len  int
		want State
	}{{maxPostHandshake - messageHeaderLen, Connected}, {maxPostHandshake, Failed}, {
		1 << 23,
		Failed,
	}} {
		c := at(s, expectData13)
		message := []byte{msgKeyUpdate, byte(test.len >> 16), byte(test.len >> 8), byte(test.len)}
		message = append(message, make([]byte, min(test.len, 1000))...)
		rec := append([]byte{byte(record.Handshake), 3, 3, byte(len(message) >> 8), byte(len(message))},
			message...)
		c.Feed(nil, rec)
		c.Read(nil, make([]byte, 100))
		if c.state != test.want && !(test.want == Connected &&
			len(message) == test.len+messageHeaderLen) {
			t.Errorf("half a message of %d bytes: %v, want %v", test.len, c.state, test.want)
		}
		if cap(c.message) > 2*maxPostHandshake {
			t.Errorf("half a message of %d bytes holds %d", test.len, cap(c.message))
		}
		c.Abort()
	}
}
