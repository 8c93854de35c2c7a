package tls

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestStalledHandshakes: clients that stall in a handshake are cut off at the time-out, and
// meanwhile harm no other.
func TestStalledHandshakes(t *testing.T) {
	const stallers, timeout = 1000, 5 * time.Second
	s, pki := harness.EchoServer(t, testpki.ECDSA, "--handshake-timeout", timeout.String())
	hello := harness.ClientHello(t, &tls.Config{ServerName: "localhost"})
	begun := time.Now()
	conns := make([]net.Conn, stallers)
	for i := range conns {
		conns[i] = harness.DialRaw(t, s.Addr())
		// Some without a word, some within the record, some after a ClientHello.
		if _, err := conns[i].Write(hello[:i%3*len(hello)/2]); err != nil {
			t.Fatal(err)
		}
	}
	s.Await("all handshakes begin", func(d harness.Document) bool { return d.Engine.Flows.Open == stallers })
	for range 50 {
		harness.Visit(t, s.Addr(), harness.With(harness.ClientConfig(pki), harness.NoResumption))
	}
	if d := s.Document(); d.Engine.Flows.Closed["handshake_timeout"] > 0 {
		t.Errorf("50 handshakes beside %d that stall took %v, want less than %v", stallers, time.Since(begun), timeout)
	}
	for _, conn := range conns {
		io.Copy(io.Discard, conn)
	}
	if d := time.Since(begun); d < timeout {
		t.Errorf("cut off after %v, want at least %v", d, timeout)
	}
	s.AwaitIdle()
	if got := s.Document().Engine.Flows.Closed["handshake_timeout"]; got != stallers {
		t.Errorf("handshake_timeout: got %d, want %d", got, stallers)
	}
	if got := s.LogLen(); got != 1 {
		t.Errorf("%d lines logged, want only that it serves", got)
	}
}

// TestNotTLS: a client that does not speak TLS gets an alert and a proper end, and leaves only a
// count.
func TestNotTLS(t *testing.T) {
	const fatal, unexpectedMessage, recordOverflow, decodeError = 2, 10, 22, 50 // RFC 8446, Section 6
	hello := harness.ClientHello(t, &tls.Config{ServerName: "localhost"})
	s, pki := harness.EchoServer(t, testpki.ECDSA)
	for _, test := range []struct {
		name   string
		in     []byte
		end    bool // FIN after it
		alert  byte
		reason string
	}{
		{"plain HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), false, unexpectedMessage, "not_tls"},
		{"garbage", bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 5000), false, unexpectedMessage, "not_tls"},
		{"truncated ClientHello", hello[:len(hello)-1], true, decodeError, "truncated"},
		{"nothing", nil, true, decodeError, "truncated"},
		{"oversized record", append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 0xffff)...), false, recordOverflow, "oversized_record"},
	} {
		t.Run(test.name, func(t *testing.T) {
			const times = 10
			before, logged := s.Document(), s.LogLen()
			for range times {
				conn := harness.DialRaw(t, s.Addr())
				if _, err := conn.Write(test.in); err != nil {
					t.Fatal(err)
				}
				if test.end {
					conn.(*net.TCPConn).CloseWrite()
				}
				got, err := io.ReadAll(conn)
				if err != nil || len(got) != 7 || got[0] != 21 || got[5] != fatal || got[6] != test.alert {
					t.Fatalf("got % x, %v, want fatal alert %d and FIN", got, err, test.alert)
				}
				conn.Close()
			}
			s.AwaitIdle()
			after := s.Document()
			got := after.Engine.TLS.Failures[test.reason] - before.Engine.TLS.Failures[test.reason]
			if got != times {
				t.Errorf("failures %s: got %d, want %d", test.reason, got, times)
			}
			if got := after.Engine.Flows.Closed["handshake_failed"] - before.Engine.Flows.Closed["handshake_failed"]; got != times {
				t.Errorf("closed handshake_failed: got %d, want %d", got, times)
			}
			if got := s.LogLen(); got != logged {
				t.Errorf("%d lines logged for %d connections", got-logged, times)
			}
		})
	}
	wantUnharmed(t, s, pki)
}

// TestDamagedClientHello changes some bytes, or takes some away. In every case the connection must
// end, and the program must not be harmed.
func TestDamagedClientHello(t *testing.T) {
	s, pki := harness.EchoServer(t, testpki.ECDSA)
	hello := harness.ClientHello(t, &tls.Config{ServerName: "localhost"})
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	for i := range 500 {
		damaged := bytes.Clone(hello)
		for range 1 + random.IntN(8) {
			damaged[random.IntN(len(damaged))] = byte(random.Uint32())
		}
		if at := random.IntN(len(damaged)); random.IntN(4) == 0 {
			damaged = append(damaged[:at:at], damaged[min(len(damaged), at+random.IntN(16)):]...)
		}
		conn := harness.DialRaw(t, s.Addr())
		conn.Write(damaged)
		conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Fatalf("ClientHello %d: %v\n% x", i, err, damaged)
		}
		conn.Close()
	}
	wantUnharmed(t, s, pki)
	if got := s.LogLen(); got != 1 {
		t.Errorf("%d lines logged, want only that it serves", got)
	}
}

// TestDamagedRecord: data that does not authenticate ends the connection, and
// what came before it must not look complete to the backend.
func TestDamagedRecord(t *testing.T) {
	end := make(chan error, 1)
	pki := testpki.New(t)
	backend := nettest.Serve(t, func(conn net.Conn) {
		_, err := io.Copy(conn, conn)
		end <- err
	})
	s := harness.Start(t, harness.Listen(pki.Server(testpki.ECDSA, "localhost")), harness.To(backend.Addr))
	conn := harness.Connect(t, s.Addr(), harness.ClientConfig(pki))
	if err := harness.Ping(conn); err != nil {
		t.Fatal(err)
	}
	record := append([]byte{23, 3, 3, 0, 64}, make([]byte, 64)...)
	if _, err := conn.NetConn().Write(record); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || err == io.EOF {
		t.Errorf("the client got %d bytes, %v, want an alert", n, err)
	}
	if err := <-end; err == nil {
		t.Error("the backend saw a proper end")
	}
	if got := s.Document().Engine.Flows.Closed["bad_record"]; got != 1 {
		t.Errorf("closed bad_record: got %d, want 1", got)
	}
}

// wantUnharmed checks that s serves as if nothing had happened.
func wantUnharmed(t *testing.T, s *harness.Server, pki *testpki.PKI) {
	t.Helper()
	harness.Visit(t, s.Addr(), harness.ClientConfig(pki))
	s.AwaitIdle()
	if d := s.Document(); d.Engine.Flows.Panics > 0 || d.Engine.Flows.AcceptErrors > 0 {
		t.Error(fmt.Sprintf("%d panics, %d accept errors", d.Engine.Flows.Panics, d.Engine.Flows.AcceptErrors), s.Stderr())
	}
}
