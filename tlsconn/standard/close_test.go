package standard

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"testing"

	"reprise/tlsconn"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

func TestHalfCloseByTheClient(t *testing.T) {
	for _, version := range versions {
		client, _ := clientOf(version.id)
		p := newPair(t, testServer(t), client).doHandshake()
		p.client.Write([]byte("request"))
		p.client.CloseWrite()
		p.link.drive()
		if got := p.link.takePlaintext(); string(got) != "request" || p.conn.State() != tlsconn.PeerClosed {
			t.Fatalf("%s: got %q, state %v", version.name, got, p.conn.State())
		}
		if out := p.conn.Feed(nil, []byte("ignored")); len(out) > 0 {
			t.Errorf("%s: bytes after close_notify were answered", version.name)
		}
		if out := p.conn.EOF(nil); len(out) > 0 || p.conn.State() != tlsconn.PeerClosed || p.conn.Err() != nil {
			t.Errorf("%s: the end after close_notify: got %v, %v", version.name, p.conn.State(), p.conn.Err())
		}
		p.link.toClient = p.conn.CloseNotify(p.conn.Write(p.link.toClient, []byte("late response")))
		if got, err := io.ReadAll(p.client); string(got) != "late response" || err != nil {
			t.Errorf("%s: client read %q, %v", version.name, got, err)
		}
	}
}

func TestHalfCloseByTheServer(t *testing.T) {
	for _, version := range versions {
		client, _ := clientOf(version.id)
		p := newPair(t, testServer(t), client).doHandshake()
		p.link.toClient = p.conn.CloseNotify(nil)
		if len(p.link.toClient) == 0 || p.conn.State() != tlsconn.Connected {
			t.Fatalf("%s: no close_notify, state %v", version.name, p.conn.State())
		}
		if out := p.conn.CloseNotify(nil); len(out) > 0 {
			t.Errorf("%s: a second close_notify", version.name)
		}
		if got, err := io.ReadAll(p.client); len(got) > 0 || err != nil {
			t.Errorf("%s: client read %q, %v", version.name, got, err)
		}
		p.send([]byte("still here"))
		if got := p.link.takePlaintext(); string(got) != "still here" {
			t.Errorf("%s: server read %q (%v)", version.name, got, p.conn.Err())
		}
	}
}

// The end of the stream without close_notify is told as what it is, wherever it
// comes.
func TestTruncated(t *testing.T) {
	for _, version := range versions {
		client, _ := clientOf(version.id)
		for _, rest := range []int{0, 1, 5, 20} {
			p := newPair(t, testServer(t), client).doHandshake()
			p.client.Write([]byte("the last words of the client"))
			p.link.toServer = p.link.toServer[:rest]
			p.link.eof = true
			p.link.drive()
			wantReason(t, p.conn, tlsconn.ReasonTruncated)
			if got := p.link.takePlaintext(); len(got) > 0 {
				t.Errorf("%s: %d bytes of a record were read as %q", version.name, rest, got)
			}
		}
	}
}

func TestPeerAlert(t *testing.T) {
	roots := tls.Config{ServerName: "www.example.test"} // trusts the machine's CAs, not the test's
	for _, version := range versions {
		client := roots.Clone()
		client.MaxVersion = version.id
		client.RootCAs = testpki.New(t).CA.Pool()
		wantFailure(t, newPair(t, testServer(t), client), tlsconn.ReasonPeerAlert)
	}
}

// Renegotiation is off: a TLS 1.2 client that starts one has failed.
func TestRenegotiation(t *testing.T) {
	for name, message := range map[string][]byte{
		"HelloRequest": {0, 0, 0, 0}, // which only a server may send
		"ClientHello":  clientHello(t, clientConfig())[5:],
	} {
		p, seal := sealing(t)
		p.link.toServer = seal(22, message)
		p.link.drive()
		if wantReason(t, p.conn, tlsconn.ReasonRenegotiation); len(p.link.toClient) == 0 {
			t.Errorf("%s: no alert", name)
		}
	}
}

// Records that carry nothing and warnings must not keep a loop busy for ever.
func TestUselessRecordsAreBounded(t *testing.T) {
	for name, record := range map[string]struct {
		kind byte
		data []byte
	}{
		"empty records": {23, nil},
		"warnings":      {21, []byte{1, 90}},
	} {
		p, seal := sealing(t)
		for range 1000 {
			p.link.toServer = append(p.link.toServer, seal(record.kind, record.data)...)
		}
		p.link.cut = func(int) int { return 100 }
		p.link.drive()
		if wantReason(t, p.conn, tlsconn.ReasonUnexpected); len(p.link.toServer) < 900*20 {
			t.Errorf("%s: %d bytes left, so hundreds were taken", name, len(p.link.toServer))
		}
	}
}

// sealing returns a connected TLS 1.2 pair and a function that makes a record of
// any kind as the client would: by changing the kind of an application record
// before it is encrypted.
func sealing(t *testing.T) (*pair, func(kind byte, data []byte) []byte) {
	client, _ := clientOf(tls.VersionTLS12)
	client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	var keys keyLog
	client.KeyLogWriter = &keys
	p := newPair(t, testServer(t), client).doHandshake()
	seq := uint64(2)                              // after Finished and the byte of doHandshake
	keys.serverRandom = p.link.firstFlight[11:43] // record and message header, version
	aead := keys.clientAEAD(t)
	return p, func(kind byte, data []byte) []byte {
		nonce := binary.BigEndian.AppendUint64(append([]byte(nil), keys.salt...), seq)
		additional := binary.BigEndian.AppendUint64(nil, seq)
		additional = append(additional, kind, 3, 3, byte(len(data)>>8), byte(len(data)))
		seq++
		record := []byte{kind, 3, 3, 0, 0}
		record = append(record, nonce[4:]...)
		record = aead.Seal(record, nonce, data, additional)
		binary.BigEndian.PutUint16(record[3:], uint16(len(record)-5))
		return record
	}
}

// A handshake leaves no goroutine behind but the bounded idle coroutines, and a
// closed server none.
func TestNoGoroutineIsLeft(t *testing.T) {
	nettest.LeakCheck(t)
	c := testConfig(t)
	made, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s := made.(*Server)
	client := clientConfig()
	for range 20 {
		newPair(t, s, client).doHandshake()
	}
	if len(s.idle) != 1 {
		t.Errorf("%d idle coroutines after one handshake at a time, want 1", len(s.idle))
	}
	var parked []*Conn
	for range 3 * maxIdleCoroutines {
		conn := s.NewConn(nil).(*Conn)
		conn.Feed(nil, []byte{22})
		parked = append(parked, conn)
	}
	for i, conn := range parked {
		if i%2 == 0 {
			conn.Abort()
		} else {
			conn.EOF(nil)
		}
		if conn.co != nil {
			t.Fatal("a connection that failed keeps its coroutine")
		}
	}
	if len(s.idle) != maxIdleCoroutines {
		t.Errorf("%d idle coroutines after a burst, want %d", len(s.idle), maxIdleCoroutines)
	}
	s.Close()
	late := s.NewConn(nil) // a server that is closed serves, but keeps nothing
	late.Feed(nil, []byte{22})
	late.Abort()
}
