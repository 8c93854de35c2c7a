package standard

import (
	"testing"
	"time"

	"reprise/internal/testpki"
	"reprise/tlsconn"
)

func testServer(t *testing.T) *Server {
	t.Helper()
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"www.example.test"}})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := tlsconn.NewCertificates([]tlsconn.Certificate{{TLS: cert.TLS}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(tlsconn.Config{Certificates: certs, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.(*Server)
}

// A handshake gives its coroutine back, and a burst leaves a bounded number of
// them.
func TestCoroutinesAreBounded(t *testing.T) {
	s := testServer(t)
	for range 20 {
		c := s.NewConn(nil).(*Conn)
		c.Feed(nil, []byte{22})
		c.Abort()
	}
	if len(s.idle) != 1 {
		t.Errorf("%d idle coroutines after one handshake at a time, want 1", len(s.idle))
	}
	var parked []*Conn
	for range 3 * maxIdleCoroutines {
		c := s.NewConn(nil).(*Conn)
		c.Feed(nil, []byte{22})
		parked = append(parked, c)
	}
	for i, c := range parked {
		if i%2 == 0 {
			c.Abort()
		} else {
			c.EOF(nil)
		}
		if c.co != nil {
			t.Fatal("a connection that failed keeps its coroutine")
		}
	}
	if len(s.idle) != maxIdleCoroutines {
		t.Errorf("%d idle coroutines after a burst, want %d", len(s.idle), maxIdleCoroutines)
	}
}
