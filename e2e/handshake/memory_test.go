package handshake

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// growth is how much more memory a process has per connection when grow has made
// its connections.
func (n *node) growth(t *testing.T, connections int, grow func()) int64 {
	t.Helper()
	before, err := nettest.RSS(n.Pid())
	if err != nil {
		t.Fatal(err)
	}
	grow()
	after, err := nettest.RSS(n.Pid())
	if err != nil {
		t.Fatal(err)
	}
	return (after - before) / int64(connections)
}

// TestHalfMessagesHoldLittle: clients that begin a message and do not end it hold
// little memory, however long they say it is.
func TestHalfMessagesHoldLittle(t *testing.T) {
	const connections, limit = 500, 20 << 10
	// One in a record that is not complete, one in many that are.
	short := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3}, make([]byte, 8000)...)
	long := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xf0, 3, 3}, make([]byte, 0x4000-6)...)
	for range 2 {
		long = append(append(long, 22, 3, 3, 0x40, 0), make([]byte, 0x4000)...)
	}
	for _, test := range []struct {
		name  string
		begun []byte
	}{{"half a ClientHello", short}, {"three quarters of one of 64 KB", long}} {
		t.Run(test.name, func(t *testing.T) {
			n := start(t, testpki.ECDSA, "")
			n.warm(t)
			got := n.growth(t, connections, func() {
				for range connections {
					_, _ = n.dial(t).Write(test.begun) // it may have been refused already
				}
				time.Sleep(500 * time.Millisecond) // until what was sent has been read
			})
			t.Logf("%s holds %d bytes", test.name, got)
			if got > limit {
				t.Errorf("%s holds %d bytes, want %d at most", test.name, got, limit)
			}
		})
	}

	// After its handshake a TLS 1.3 client sends only KeyUpdate messages, of five bytes; a longer
	// message is an error that need not be read to its end.
	t.Run("most of a message after the handshake", func(t *testing.T) {
		n := start(t, testpki.ECDSA, "")
		n.warm(t)
		clients := make([]*rawClient, connections)
		idle := n.growth(t, connections, func() {
			for i := range clients {
				clients[i] = n.connectRaw(t)
			}
		})
		got := n.growth(t, connections, func() {
			content := append([]byte{24, 0, 0xff, 0xf0}, make([]byte, 16000)...)
			for _, c := range clients {
				records := c.appendRecord(nil, typeHandshake, content...)
				records = c.appendRecord(records, typeHandshake, content[4:]...)
				records = c.appendRecord(records, typeHandshake, content[4:]...)
				_, _ = c.Write(records) // it may have been refused already
			}
			time.Sleep(500 * time.Millisecond) // until what was sent has been read
		})
		t.Logf("an idle connection holds %d bytes, most of a message %d more", idle, got)
		if got > limit {
			t.Errorf("most of a message holds %d bytes, want %d at most", got, limit)
		}
	})
}

// warm makes connections, so that one-time allocations are done.
func (n *node) warm(t *testing.T) {
	t.Helper()
	for range 100 {
		raw, err := nettest.Dial(n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(raw, n.config(tls.VersionTLS13))
		if err := harness.Ping(conn); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}

// TestKeyUpdateFlood: updating keys costs a client 27 bytes and the server two key
// schedules. Data in between does not make thousands of them legitimate.
func TestKeyUpdateFlood(t *testing.T) {
	n := start(t, testpki.ECDSA, "")
	c := n.connectRaw(t)
	const updates, between = 20_000, 15
	ended := make(chan struct{})
	go func() { // the echo's answers must not be what stops it
		defer close(ended)
		_, _ = io.Copy(io.Discard, c)
	}()
	for sent := 0; sent < updates; sent += between {
		var records []byte
		for range between {
			// KeyUpdate, update_not_requested
			records = c.appendRecord(records, typeHandshake, 24, 0, 0, 1, 0)
			c.next()
		}
		records = c.appendRecord(records, typeData, 'x')
		if _, err := c.Write(records); err != nil {
			break
		}
	}
	select {
	case <-ended: // refused
	case <-time.After(2 * time.Second):
		t.Errorf("%d key updates with a byte of data after each %d were accepted", updates, between)
	}
	if err := harness.Ping(n.connect(t, n.config(tls.VersionTLS13))); err != nil {
		t.Error(err)
	}
}
