package engine

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"reprise/backend"
	"reprise/internal/clientlimit"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
	"reprise/tlsconn"
)

// A heldConn waits for admission, or for something else.
type heldConn struct {
	tlsconn.Conn
	state tlsconn.State
}

func (c *heldConn) State() tlsconn.State { return c.state }

// heldFlow is a flow whose full handshake waits on l since a tick.
func heldFlow(l *loop, q *flowRing, since uint64) *flow {
	f := &flow{
		loop: l, phase: handshaking, admission: waiting,
		tls: &heldConn{state: tlsconn.AwaitAdmission},
	}
	q.push(f, since)
	l.count.Flows.FullWaiting.Inc()
	return f
}

// Waiting handshakes are served in order as long as that is in time, then the newest first; ECDSA
// before RSA, of which few are signed at a time.
func TestOrderOfAdmission(t *testing.T) {
	const ecdsa, rsa = 10, 1000
	for _, test := range []struct {
		name    string
		tick    uint64
		signing int
		want    []int // ECDSA from 0 on, RSA from 100 on
	}{
		{"in time", ecdsa + patient, 0, []int{0, 1, 2, 100, 101}},
		{"late", rsa + patient + 100, 0, []int{2, 1, 0, 101, 100}},
		{"too many signatures", ecdsa + patient, maxSigning, []int{0, 1, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &loop{tick: test.tick}
			l.full.signing = test.signing
			number := make(map[*flow]int)
			for i := range 3 {
				number[heldFlow(l, &l.full.fast, ecdsa)] = i
			}
			for i := range 2 {
				number[heldFlow(l, &l.full.slow, rsa)] = 100 + i
			}
			heldFlow(l, &l.full.fast, ecdsa).phase = gone
			heldFlow(l, &l.full.slow, rsa).tls.(*heldConn).state = tlsconn.Failed
			var got []int
			for f := l.nextWaiting(); f != nil; f = l.nextWaiting() {
				got = append(got, number[f])
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if n := l.count.Flows.FullWaiting.Load(); n != int64(l.full.fast.len+l.full.slow.len) {
				t.Errorf("%d are counted", n)
			}
		})
	}
}

// Ended handshakes do not occupy room for long.
func TestRingOfWaitingFlows(t *testing.T) {
	l, q := new(loop), new(flowRing)
	var kept []*flow
	for i := range 1000 {
		if f := heldFlow(l, q, uint64(i)); i%10 == 3 {
			kept = append(kept, f)
		} else {
			f.phase = gone
		}
		if i == 500 {
			for range 100 {
				if f := q.popOldest(); f.waits() {
					kept = kept[1:]
				}
			}
		}
	}
	if got := q.sweep(); got != 900-len(kept) || q.len != len(kept) {
		t.Errorf("%d were removed, %d are left, want %d and %d", got, q.len, 900-len(kept), len(kept))
	}
	for i, f := range kept {
		if q.popOldest() != f {
			t.Fatalf("%d is another one", i)
		}
	}
}

// A late loop reads all hellos before it makes a full handshake, and then makes them all. At
// the bound of handshakes the oldest that waits goes, and no other.
func TestLateLoopReadsHellosFirst(t *testing.T) {
	before := turnTime
	turnTime = time.Minute // accepts all at once
	defer func() { turnTime = before }()
	e, l := unstartedLoop(t, 30) // this test is its poller
	hello := clientHello(t)
	var clients []net.Conn
	connect := func(n int) {
		for range n {
			c := leavingClient(t, e.Addresses()[0])
			t.Cleanup(func() { c.Close() })
			if _, err := c.Write(hello); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
	}
	round := func() (more bool) { return oneRound(t, l) }
	connect(30)
	round() // accepts
	round() // the first events
	nettest.Eventually(t, time.Minute,
		func() bool { return time.Since(l.reactor.Epoch()) > (busyAfter+2)*tick }, "a wait since the start is a long one")
	for steps := &l.turns.steps; steps.len() > 0; {
		for _, f := range steps.list[steps.head:] {
			f.since = 0 // it looks as if they had waited for long
		}
		l.takeSteps()
	}
	if got := l.count.Flows.FullWaiting.Load(); got < 27 {
		t.Errorf("%d full handshakes wait, want most of 30", got)
	}
	connect(3)
	round()
	if evicted, dropped := l.count.Flows.Closed.Load(causeHandshakeEvicted),
		l.count.Flows.Closed.Load(causeOverload); evicted != 0 || dropped != 3 {
		t.Errorf("%d handshakes were evicted, %d dropped that waited, want 0 and 3", evicted, dropped)
	}
	for round() {
	}
	answered := 0
	for _, c := range clients {
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadFull(c, make([]byte, 5)); err == nil {
			answered++
		}
	}
	if answered != 30 || l.count.Flows.FullWaiting.Load() != 0 {
		t.Errorf("%d are answered, %d still wait, want 30 and none", answered, l.count.Flows.FullWaiting.Load())
	}
}

// unstartedLoop is the loop of an engine that does not run, with a bound of handshakes.
func unstartedLoop(t *testing.T, handshakes int) (*Engine, *loop) {
	certs, err := tlsconn.NewCertificates(
		[]tlsconn.Certificate{{TLS: testpki.New(t).Server(testpki.ECDSA, "localhost").TLS}})
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions()
	o.Loops, o.AcceptBudget, o.MaxHandshakes = 1, 100, handshakes
	e, err := New(o, []Listener{{
		Network: "tcp", Address: "127.0.0.1:0", Pools: newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr),
		TLS: func(now func() time.Time) (tlsconn.Server, error) {
			return tlsconn.New(tlsconn.Config{Certificates: certs, Now: now})
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e, e.loops[0]
}

// Limits change while the engine runs, and counting continues from what clients have.
func TestLimitsChange(t *testing.T) {
	table, err := clientlimit.NewTable(100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Close)
	o := testOptions()
	o.Clients, o.Limits = table, &clientlimit.Policy{Connections: 1}
	ln := plainListener("a", "127.0.0.1:0")
	ln.Pools = newRouter(t, backend.TCP, nettest.Serve(t, nettest.Echo).Addr)
	e := startListeners(t, o, ln)
	served := func(want bool) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", e.Addresses()[0])
		if err == nil {
			t.Cleanup(func() { c.Close() })
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			_, _ = io.WriteString(c, "x")
			_, err = io.ReadFull(c, make([]byte, 1))
		}
		if (err == nil) != want {
			t.Errorf("served: %v, want %v", err, want)
		}
		return c
	}
	served(true)
	served(false)
	o.Limits = &clientlimit.Policy{Connections: 2}
	changed(t, e, o, ln)
	second := served(true)
	served(false)
	if second != nil {
		second.Close()
	}
	nettest.Eventually(t, time.Minute, func() bool { return e.Stats().Flows.Open.Load() == 1 }, "the second ends")
	o.Limits = nil
	changed(t, e, o, ln)
	served(true)
	served(true)
	s := e.Stats()
	if s.Flows.Closed.Counts()["client_connections"] != 2 || s.Clients.Clients != 1 {
		t.Errorf("got %v, %+v", s.Flows.Closed.Counts(), s.Clients)
	}
}
