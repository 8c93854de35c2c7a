package engine

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// Of the handshakes that one round of epoll brings, most wait for the next rounds, so that
// established flows have their turn in between; and none is forgotten.
func TestHandshakesTakeTurns(t *testing.T) {
	e, l := unstartedLoop(t, 100) // this test is its poller
	const n = 30
	hello := clientHello(t)
	var clients []net.Conn
	for range n {
		c, err := net.Dial("tcp", e.Addresses()[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(hello); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	round := func() (more bool) { return oneRound(t, l) }
	before := turnTime
	turnTime = time.Minute // accepts all at once, however busy the machine is
	round()
	turnTime = before
	round() // the first events
	if got := l.turns.steps.len(); got < n/2 {
		t.Errorf("%d of %d handshakes wait for another round, want most of them", got, n)
	}
	rounds := 0
	for round() && rounds < 10*n {
		rounds++
	}
	if rounds < 3 {
		t.Errorf("they took %d rounds", rounds)
	}
	for i, c := range clients {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Errorf("client %d got no answer: %v", i, err)
		}
	}
}

// clientHello returns a client's first message.
func clientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _ = tls.Client(theirs, &tls.Config{ServerName: "localhost"}).Handshake() }()
	hello := make([]byte, 16<<10)
	n, err := ours.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// oneRound has a loop that does not run make a round without waiting, and reports whether there is
// more to do.
func oneRound(t *testing.T, l *loop) (more bool) {
	t.Helper()
	more, err := l.reactor.Round(false)
	if err != nil {
		t.Fatal(err)
	}
	return more
}
