package load_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"reprise/benchmarks/load"
)

// stalling echoes, and once, at the request with that number, waits before it does.
func stalling(at int64, stall time.Duration) func(net.Conn) {
	var seen atomic.Int64
	return func(conn net.Conn) {
		buf := make([]byte, 64)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if seen.Add(1) == at {
				time.Sleep(stall) // the stall to be measured, not synchronisation
			}
			if _, err := conn.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}

// A stall of half a second at 200 requests a second delays a hundred of them. A closed loop sees
// one.
func TestCoordinatedOmission(t *testing.T) {
	const stall, long = 500 * time.Millisecond, 100 * time.Millisecond
	measure := func(o load.Options) load.Result {
		o.Addrs, o.TLS, o.Bytes, o.Conns = []string{serve(t, true, stalling(20, stall)).addr}, true, 8, 1
		return run(t, o)
	}
	open := measure(load.Options{Mode: load.OpenLoop, Rate: 200, Ops: 200})
	closed := measure(load.Options{Mode: load.KeepAlive, Ops: 200})
	for name, r := range map[string]load.Result{"open": open, "closed": closed} {
		if r.Ops != 200 || r.Errors != 0 || r.Latency.Max() < stall {
			t.Errorf("%s loop: got %d operations, %d errors (%s), at most %v, want 200, 0, at least %v", name, r.Ops, r.Errors, r.FirstError, r.Latency.Max(), stall)
		}
	}
	// 80 of the 200 were due in the first 400 ms of the stall: 40 %.
	if got := open.Latency.Quantile(0.65); got < long {
		t.Errorf("open loop: the upper 35 %% of latencies begin at %v, want at least %v", got, long)
	}
	if got := closed.Latency.Quantile(0.65); got >= long {
		t.Errorf("closed loop: got %v, want less than %v: the stall is not visible to it", got, long)
	}
	if open.Late.Count() != 200 {
		t.Errorf("got the lateness of %d operations, want 200", open.Late.Count())
	}
}

// Each connection has a lane of its own: operations due on one that stalls are not taken over by
// the others.
func TestNeglectedConnection(t *testing.T) {
	const stall, long = 400 * time.Millisecond, 100 * time.Millisecond
	s := serve(t, true, stalling(1, stall))
	r := run(t, load.Options{
		Addrs: []string{s.addr}, TLS: true, Mode: load.OpenLoop, Bytes: 8,
		Conns: 4, Rate: 100, Ops: 40,
	})
	// One request in 40 ms is due on each: 8 of the stalled one's 10 in the first 300 ms. A shared
	// lane would have one.
	if got := r.Latency.Quantile(0.85); r.Ops != 40 || r.Errors != 0 || got < long {
		t.Errorf("got %d operations, %d errors (%s), the upper 15 %% from %v, want 40, 0, at least %v", r.Ops, r.Errors, r.FirstError, got, long)
	}
}

// Operations that are due and cannot be sent count.
func TestUnsent(t *testing.T) {
	s := serve(t, true, func(conn net.Conn) {
		_,
			_ = conn.Read(make([]byte, 1))
		time.Sleep(time.Second)
	})
	r := run(t, load.Options{
		Addrs: []string{s.addr}, TLS: true, Mode: load.OpenLoop, Bytes: 8, Conns: 1, Rate: 1000,
		Duration: 100 * time.Millisecond, Timeout: 100 * time.Millisecond,
	})
	if r.Ops != 0 || r.Errors != 100 || r.ErrorKinds["unsent"] == 0 || r.ErrorKinds["timeout"] == 0 {
		t.Errorf("got %d operations and %d errors %v, want 0 and 100, timed out and unsent", r.Ops, r.Errors, r.ErrorKinds)
	}
}
