package relay

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestKeepAliveWhileHandshakesFlood shows the purpose of key workers: while one loop is flooded
// with RSA handshakes, a connection that has done its own keeps being served. How long that takes
// is only shown: it depends on the machine.
func TestKeepAliveWhileHandshakesFlood(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
	}{
		{"key workers", nil},
		{"no key workers", []string{"--key-workers", "0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			const floods = 16
			requests := 200
			if harness.RaceEnabled {
				requests = 20
			}
			s, pki := harness.EchoServer(t, testpki.RSA, append(test.args, "--http-processes", "1")...)
			config := harness.With(harness.ClientConfig(pki), harness.NoResumption)
			kept := harness.Connect(t, s.Addr(), config)

			stop := make(chan struct{})
			var workers sync.WaitGroup
			var handshakes atomic.Int64
			for range floods {
				workers.Go(func() { flood(t, s.Addr(), config, stop, &handshakes) })
			}
			nettest.Eventually(t, harness.Patience, func() bool { return handshakes.Load() > floods }, "the flood rises")
			took := make([]time.Duration, 0, requests)
			before, begun := handshakes.Load(), time.Now()
			for range requests {
				sent := time.Now()
				if err := harness.Ping(kept); err != nil {
					t.Fatal(err)
				}
				took = append(took, time.Since(sent))
			}
			perSecond := float64(handshakes.Load()-before) / time.Since(begun).Seconds()
			close(stop)
			workers.Wait()
			slices.Sort(took)
			t.Logf("%s: p50 %v, p99 %v, beside %.0f RSA handshakes per second", test.name, took[requests/2], took[requests*99/100], perSecond)
			if handshakes.Load() == before {
				t.Error("no handshake completed meanwhile: there was no flood")
			}
		})
	}
}

// flood makes full handshakes until stop is closed.
func flood(t *testing.T, addr string, config *tls.Config, stop chan struct{}, done *atomic.Int64) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		conn, err := harness.Handshake(addr, config)
		if err != nil {
			t.Error(err)
			return
		}
		harness.TCP(conn).Close()
		done.Add(1)
	}
}

// TestIdleFlowsCostLittle: the memory of an idle connection decides how many a node can hold.
func TestIdleFlowsCostLittle(t *testing.T) {
	const bound = 3 << 10 // bytes of resident memory for each flow
	flows := idleFlows(t)
	pki := testpki.New(t)
	backend := nettest.Serve(t, nettest.Discard)
	s := harness.Start(t, "--tls-engine", "own", "--idle-timeout", "1h", harness.Listen(pki.Server(testpki.ECDSA, "localhost")),
		harness.To(backend.Addr))
	config := harness.With(harness.ClientConfig(pki), harness.NoResumption)
	harness.TCP(harness.Connect(t, s.Addr(), config)).Close()
	s.AwaitIdle()
	before := harness.RSS(t, s)

	// The TLS end of each is forgotten, its TCP end kept: that is all an idle
	// client amounts to.
	conns := make([]net.Conn, flows)
	t.Cleanup(func() {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
	})
	var workers sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(flows); i = next.Add(1) - 1 {
				conn, err := harness.Handshake(s.Addr(), config)
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = conn.NetConn()
			}
		})
	}
	workers.Wait()
	s.Await("all flows reach the backend", func(d harness.Document) bool {
		return backend.Accepted() > int64(flows) && d.Engine.Flows.Open == int64(flows) || t.Failed()
	})
	perFlow := func() int64 { return (harness.RSS(t, s) - before) / int64(flows) }
	t.Logf("%d idle flows cost %d bytes of resident memory each, with what their handshakes have left behind", flows, perFlow())
	if harness.RaceEnabled {
		return
	}
	// That depends on gc-percent and is gone after the next collection, which the runtime makes two
	// minutes after the last if none is forced.
	for range 2 { // pooled buffers survive one
		s.Get("/debug/pprof/heap?gc=1")
	}
	nettest.Eventually(t, harness.Patience, func() bool { return perFlow() <= bound }, "%d idle flows cost %d bytes each at most", flows, bound)
	t.Logf("%d bytes each without", perFlow())
}

// idleFlows is 9,000, or what the limit of descriptors allows: a flow takes one
// at each end of this process, and two in the one under test.
func idleFlows(t *testing.T) int {
	t.Helper()
	want := 9000
	if harness.RaceEnabled {
		want = 500
	}
	const elsewhere = 300
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if most := int(min(limit.Max, 1<<20)-elsewhere) / 2; most < want {
		t.Logf("the limit of %d descriptors allows %d flows", limit.Max, most)
		return most
	}
	return want
}
