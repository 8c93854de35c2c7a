package tlsconn_test

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
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			client, _ := clientOf(version.id)
			p := newPair(t, e.server(t), client).doHandshake()
			p.client.Write([]byte("request"))
			p.client.CloseWrite()
			p.link.drive()
			if got := p.link.takePlaintext(); string(got) != "request" || p.conn.State() != tlsconn.PeerClosed {
				t.Fatalf("%s: got %q, state %v", version.name, got, p.conn.State())
			}
			if out := p.conn.Feed(nil, []byte("ignored")); len(out) > 0 {
				t.Errorf("%s: bytes after close_notify were answered", version.name)
			}
			if out := p.conn.EOF(nil); len(out) > 0 || p.conn.State() != tlsconn.PeerClosed ||
				p.conn.Err() != nil {
				t.Errorf("%s: the end after close_notify: got %v, %v", version.name, p.conn.State(), p.conn.Err())
			}
			p.link.toClient = p.conn.CloseNotify(p.conn.Write(p.link.toClient, []byte("late response")))
			if got, err := io.ReadAll(p.client); string(got) != "late response" || err != nil {
				t.Errorf("%s: client read %q, %v", version.name, got, err)
			}
		}
	})
}

func TestHalfCloseByTheServer(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			client, _ := clientOf(version.id)
			p := newPair(t, e.server(t), client).doHandshake()
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
	})
}

// An end of the stream without close_notify is reported as such, wherever it comes.
func TestTruncated(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for _, version := range versions {
			client, _ := clientOf(version.id)
			for _, rest := range []int{0, 1, 5, 20} {
				p := newPair(t, e.server(t), client).doHandshake()
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
	})
}

func TestPeerAlert(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		roots := tls.Config{ServerName: "www.example.test"} // trusts the machine's CAs, not the test's
		for _, version := range versions {
			client := roots.Clone()
			client.MaxVersion = version.id
			client.RootCAs = testpki.New(t).CA.Pool()
			wantFailure(t, newPair(t, e.server(t), client), tlsconn.ReasonPeerAlert)
		}
	})
}

// Renegotiation is off: a TLS 1.2 client that starts one has failed.
func TestRenegotiation(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		client, _ := clientOf(tls.VersionTLS12)
		p, seal := e.sealing(t)
		p.link.toServer = seal(22, clientHello(t, client)[5:])
		p.link.drive()
		if wantReason(t, p.conn, tlsconn.ReasonRenegotiation); len(p.link.toClient) == 0 {
			t.Error("no alert")
		}

		p, seal = e.sealing(t)
		p.link.toServer = seal(22, []byte{0, 0, 0, 0}) // HelloRequest, which only a server may send
		p.link.drive()
		if p.conn.State() != tlsconn.Failed || len(p.link.toClient) == 0 {
			t.Errorf("HelloRequest: state %v, %d bytes of alert", p.conn.State(), len(p.link.toClient))
		}
	})
}

// Records that carry nothing and warnings must not keep a loop busy for ever.
func TestUselessRecordsAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		for name, record := range map[string]struct {
			kind byte
			data []byte
		}{
			"empty records": {23, nil},
			"warnings":      {21, []byte{1, 90}},
		} {
			p, seal := e.sealing(t)
			for range 1000 {
				p.link.toServer = append(p.link.toServer, seal(record.kind, record.data)...)
			}
			p.link.cut = func(int) int { return 100 }
			p.link.drive()
			if wantReason(t, p.conn, tlsconn.ReasonTooMany); len(p.link.toServer) < 900*20 {
				t.Errorf("%s: %d bytes left, so hundreds were taken", name, len(p.link.toServer))
			}
		}
	})
}

// sealing returns a connected TLS 1.2 pair and a function that makes a record of
// any kind as the client would: by changing the kind of an application record
// before it is encrypted.
func (e engine) sealing(t *testing.T) (*pair, func(kind byte, data []byte) []byte) {
	client, _ := clientOf(tls.VersionTLS12)
	client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	var keys keyLog
	client.KeyLogWriter = &keys
	p := newPair(t, e.server(t), client).doHandshake()
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

// A server that is closed has left no goroutine behind.
func TestNoGoroutineIsLeft(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		nettest.LeakCheck(t)
		c := testConfig(t)
		s, err := e.new(c)
		if err != nil {
			t.Fatal(err)
		}
		client := clientConfig()
		for range 20 {
			newPair(t, s, client).doHandshake()
		}
		var parked []tlsconn.Conn
		for range 200 {
			conn := s.NewConn(nil)
			conn.Feed(nil, []byte{22})
			parked = append(parked, conn)
		}
		for i, conn := range parked {
			if i%2 == 0 {
				conn.Abort()
			} else {
				conn.EOF(nil)
			}
		}
		s.Close()
		late := s.NewConn(nil) // a server that is closed serves, but keeps nothing
		late.Feed(nil, []byte{22})
		late.Abort()
	})
}
