package engine

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// restCounter counts how often connections are told to rest.
type restCounter struct {
	tlsconn.Server
	rests atomic.Int64
}

type restingConn struct {
	tlsconn.Conn
	server *restCounter
}

func (s *restCounter) NewConn(w tlsconn.Waker) tlsconn.Conn {
	return &restingConn{s.Server.NewConn(w), s}
}

func (c *restingConn) Rest() {
	c.server.rests.Add(1)
	c.Conn.Rest()
}

// A connection that has been idle for a second rests, once, until there is traffic again, which it
// serves as before; whatever its listener relays.
func TestIdleConnectionsRest(t *testing.T) {
	certs, err := tlsconn.NewCertificates(
		[]tlsconn.Certificate{{TLS: testpki.New(t).Server(testpki.ECDSA, "localhost").TLS}})
	if err != nil {
		t.Fatal(err)
	}
	counter := new(restCounter)
	e, err := New(oneLoop(), []Listener{{
		Network: "tcp", Address: "127.0.0.1:0", IdleTimeout: time.Minute,
		Pools: newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr),
		TLS: func(now func() time.Time) (tlsconn.Server, error) {
			counter.Server, err = tlsconn.New(tlsconn.Config{Certificates: certs, Now: now})
			return counter, err
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.Start()
	t.Cleanup(func() { e.Close() })
	c := dial(t, e.Addresses()[0])
	for round := range int64(2) {
		start := time.Now()
		for range 10 {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if got := counter.rests.Load(); got != round && time.Since(start) < time.Second {
			t.Errorf("round %d: told to rest %d times while busy", round, got-round)
		}
		nettest.Eventually(t, 10*time.Second, func() bool { return counter.rests.Load() == round+1 }, "an idle connection rests")
	}
	if got := timersSet(e); got != 1 {
		t.Errorf("%d timers are set for one flow", got)
	}
}

// timersSet counts the timers of the engine's only loop.
func timersSet(e *Engine) int {
	answer := make(chan int, 1)
	l := e.loops[0]
	l.reactor.Post(func(any) { answer <- l.reactor.TimersLen() }, nil)
	return <-answer
}
