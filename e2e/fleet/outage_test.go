package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A chronicle is a list of durations.
type chronicle []time.Duration

func (c chronicle) quantile(q float64) time.Duration {
	slices.Sort(c)
	return c[min(int(q*float64(len(c))), len(c)-1)]
}

func (c chronicle) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, max %v", c.quantile(0.5), c.quantile(0.99), c.quantile(1))
}

// pinging uses an established connection until stop is called, which returns how
// long the answers took.
func pinging(t *testing.T, addr string, config *tls.Config) (stop func() chronicle) {
	t.Helper()
	conn := harness.Connect(t, addr, config)
	ctx, cancel := context.WithCancel(context.Background())
	var (
		took   chronicle
		worker sync.WaitGroup
	)
	worker.Go(func() {
		for ctx.Err() == nil || len(took) == 0 {
			begun := time.Now()
			if err := harness.Ping(conn); err != nil {
				t.Errorf("the established connection: %v", err)
				return
			}
			took = append(took, time.Since(begun))
			time.Sleep(time.Millisecond) // this is the client, not the test
		}
	})
	return sync.OnceValue(func() chronicle { // the test may fail meanwhile
		cancel()
		worker.Wait()
		return took
	})
}

// tooLong is more than any handshake may take that waits for others in vain: far above what it does
// take, and far below any timer that would have ended it.
const tooLong = time.Second

// TestPeersUnreachable: handshakes wait for silent peers no longer than configured, and established
// flows not at all.
func TestPeersUnreachable(t *testing.T) {
	const budget = 20 * time.Millisecond
	offers := 100
	if harness.RaceEnabled {
		offers = 20
	}
	for _, test := range []struct {
		name    string
		silence func(*harness.Fleet)
		asked   bool // a peer is asked, which does not answer
	}{
		{"stopped", func(f *harness.Fleet) { f.Nodes[1].Signal(syscall.SIGSTOP) }, true},
		{"dead", func(f *harness.Fleet) { f.Kill(1) }, true},
		{"never there", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := harness.NewFleet(t, 2, "pull", "--cache-lookup-timeout", budget.String(), "--cache-udp-dead-after=1h")
			f.Backend = nettest.Serve(t, nettest.Echo).Addr
			if test.silence == nil {
				f.Peer = func(_, _ int) string { return f.UDP(7) }
			}
			f.Run(0)
			f.Run(1)
			if test.silence != nil {
				f.AwaitIntroduced()
			}
			config, w := harness.OneSessionConfig(f.PKI, tls.VersionTLS13)
			harness.Visit(t, f.TLS(1), config)
			config = harness.Offering(config, w.Session)
			fresh := harness.With(config, harness.NoResumption)
			full, keptBefore := shakeBeside(t, f.TLS(0), fresh, fresh, offers)
			if test.silence != nil {
				test.silence(f)
			}
			before := f.Nodes[0].Shared()
			waited, keptAfter := shakeBeside(t, f.TLS(0), config, fresh, offers)
			after := f.Nodes[0].Shared()

			t.Logf("full handshakes:      %v; beside them an established flow: %v", full, keptBefore)
			t.Logf("waiting %v in vain: %v; beside them an established flow: %v", budget, waited, keptAfter)
			wantShort(t, waited, keptAfter)
			got := harness.Since(after.Engine.TLS.Outcomes, before.Engine.TLS.Outcomes)
			if got["late"]+got["unknown"] != uint64(offers) {
				t.Errorf("outcomes %v, want %d late or unknown", got, offers)
			}
			asked := after.Replication.Lookups.Asked - before.Replication.Lookups.Asked
			if test.asked && asked != uint64(offers) || !test.asked && asked != 0 {
				t.Errorf("%d questions for %d sessions", asked, offers)
			}
			f.Nodes[0].AwaitLookups(0)
			if test.name == "stopped" {
				f.Nodes[1].Signal(syscall.SIGCONT)
				nettest.Eventually(t, harness.Patience, func() bool {
					state, err := harness.TryVisit(f.TLS(0), config)
					return err == nil && state.DidResume
				}, "the node that was stopped answers again")
			}
		})
	}
}

// wantShort: neither handshakes nor answers beside them wait for long.
func wantShort(t *testing.T, waited, kept chronicle) {
	if longest := waited.quantile(1); longest > tooLong {
		t.Errorf("a handshake took %v", longest)
	}
	if longest := kept.quantile(0.99); longest > tooLong {
		t.Errorf("1 %% of the answers on an established flow took %v", longest)
	}
}

// shakeBeside makes handshakes, none of which resumes, and returns how long they took, and how long
// answers on an established flow took.
func shakeBeside(t *testing.T, addr string, config, fresh *tls.Config, offers int) (took,
	kept chronicle,
) {
	stop := pinging(t, addr, fresh)
	defer stop()
	for range offers {
		begun := time.Now()
		conn, err := harness.Handshake(addr, config)
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begun))
		if conn.ConnectionState().DidResume {
			t.Error("resumed a session of a node that is not there")
		}
		if err := harness.Ping(conn); err != nil {
			t.Error(err)
		}
		harness.TCP(conn).Close()
	}
	return took, stop()
}

// A storeServer is what can stand behind session-store.
type storeServer struct {
	name, scheme string
	start        func(t *testing.T, addr string) *nettest.Process
}

var storeServers = []storeServer{
	{"redis", "redis://", func(t *testing.T, addr string) *nettest.Process {
		nettest.Need(t, "redis-server")
		_, port, _ := net.SplitHostPort(addr)
		return nettest.Start(t, nettest.Command{
			Path: "redis-server", Args: []string{"--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""},
		}, nettest.Prints("Ready to accept connections"))
	}},
	{"memcached", "memcached://", func(t *testing.T, addr string) *nettest.Process {
		nettest.Need(t, "memcached")
		_, port, _ := net.SplitHostPort(addr)
		return nettest.Start(t, nettest.Command{
			Path: "memcached", Args: []string{"-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", "0"},
		}, nettest.Accepts(addr))
	}},
}

// A wiretap relays to a server and keeps a copy of all bytes.
type wiretap struct {
	*nettest.Backend
	mu   sync.Mutex
	kept []byte
}

func (w *wiretap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, p...)
	return len(p), nil
}

func (w *wiretap) contains(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.kept, b)
}

func tap(t *testing.T, addr string) *wiretap {
	w := new(wiretap)
	w.Backend = nettest.Serve(t, func(client net.Conn) {
		server, err := nettest.Dial(addr)
		if err != nil {
			return
		}
		go func() {
			io.Copy(client, io.TeeReader(server, w))
			client.Close()
		}()
		io.Copy(server, io.TeeReader(client, w))
		server.Close()
	})
	return w
}

// TestSessionStore: nodes that do not know each other share sessions by a store,
// which learns nothing and may hang or die.
func TestSessionStore(t *testing.T) {
	for _, kind := range storeServers {
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			t.Run(kind.name+"/"+sig.String(), func(t *testing.T) { testStore(t, kind, sig) })
		}
	}
}

func testStore(t *testing.T, kind storeServer, sig syscall.Signal) {
	storeAddr := nettest.FreeAddr(t)
	process := kind.start(t, storeAddr)
	w := tap(t, storeAddr)
	f := harness.NewFleet(t, 2, "pull")
	secret := f.SecretFile("store")
	for i := range f.Nodes {
		f.Nodes[i] = harness.Start(t, "--sslrouter2=addr="+f.TLS(i)+","+f.Listener, harness.To(f.Backend), "--sslrouter-session-context=foobar",
			"--session-store="+kind.scheme+w.Addr, secret, "--cache-lookup-timeout=250ms")
	}
	harness.ForEachVersion(t, func(t *testing.T, version uint16) { shareByStore(t, f, w, version) })

	// From here on nothing new reaches the store.
	process.Signal(syscall.SIGSTOP)
	defer process.Signal(syscall.SIGCONT) // or it could not end
	if sig == syscall.SIGKILL {
		process.Kill()
	}
	config, kept := harness.OneSessionConfig(f.PKI, tls.VersionTLS13)
	harness.AskLine(t, f.TLS(0), config)
	config = harness.Offering(config, kept.Session)
	var took chronicle
	ask := func() { // it is served, whatever the store does
		begun := time.Now()
		harness.AskLine(t, f.TLS(1), config)
		took = append(took, time.Since(begun))
	}
	nettest.Eventually(t, harness.Patience, func() bool {
		ask()
		return f.Nodes[1].Shared().Store1.Opened > 0
	}, "the store is left alone")
	for range 20 { // and now at once
		ask()
	}
	t.Logf("%d connections, with handshake: %v", len(took), took)
	if longest := took.quantile(1); longest > tooLong {
		t.Errorf("a connection took %v", longest)
	}
	if refused := f.Nodes[1].Shared().Store1.GetRefused["breaker_open"]; refused == 0 {
		t.Error("no look-up was spared")
	}
}

// shareByStore makes a session at node 0 and resumes it at node 1.
func shareByStore(t *testing.T, f *harness.Fleet, w *wiretap, version uint16) {
	config, kept := harness.OneSessionConfig(f.PKI, version)
	sets := f.Nodes[0].Shared().Store1.Sets
	harness.AskLine(t, f.TLS(0), config)
	nettest.Eventually(t, harness.Patience, func() bool {
		s := f.Nodes[0].Shared().Store1
		return s.Sets > sets && s.WriteQueue == 0
	}, "the session is written")
	secret := secretOf(t, kept.Session)
	config = harness.Offering(config, kept.Session)
	// Stores are written asynchronously: this one may lag.
	before := f.Nodes[1].Document()
	nettest.Eventually(t, harness.Patience,
		func() bool { return harness.AskLine(t, f.TLS(1), config).DidResume }, "the session resumes elsewhere")
	if got := harness.Since(f.Nodes[1].Document().Engine.TLS.Outcomes,
		before.Engine.TLS.Outcomes); got["resumed_store"] != 1 {
		t.Errorf("outcomes %v, want one resumed_store", got)
	}
	for begin := range len(secret) - 16 {
		if w.contains(secret[begin : begin+16]) {
			t.Fatal("the secret of a session went to the store in clear")
		}
	}
}
