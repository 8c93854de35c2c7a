package harness

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// AwaitQuiet waits until nodes that were started quiet have introduced themselves, and sent
// the heartbeats of their start, which are up to 0.4 s apart.
func (f *Fleet) AwaitQuiet() {
	f.T.Helper()
	var last uint64
	changed := time.Now()
	nettest.Eventually(f.T, Patience, func() bool {
		var sent uint64
		for _, s := range f.Running() {
			sent += s.Shared().Replication.SentDatagrams
		}
		if sent != last {
			last, changed = sent, time.Now()
		}
		return time.Since(changed) > time.Second
	}, "nobody sends anything")
}

// WantShared makes a session at node 0 and resumes it at the others.
func (f *Fleet) WantShared(outcome string) {
	f.T.Helper()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config, w := OneSessionConfig(f.PKI, version)
		AskLine(f.T, f.TLS(0), config)
		config = Offering(config, w.Session)
		f.AwaitPushed()
		for i, s := range f.Nodes[1:] {
			before := s.Document()
			if !AskLine(f.T, f.TLS(i+1), config).DidResume {
				f.T.Errorf("%s: not resumed at node %d", tls.VersionName(version), i+1)
			}
			s.WantOutcomes(before, map[string]uint64{outcome: 1})
			f.AwaitPushed() // in TLS 1.3 there is another one now
		}
	}
}

// ForgetAt runs reprise forget.
func (f *Fleet) ForgetAt(i int, args ...string) nettest.Result {
	f.T.Helper()
	return nettest.Run(f.T, nettest.Command{
		Path: Program(f.T),
		Args: append([]string{"forget", "--admin", f.Nodes[i].Admin}, args...), Timeout: Patience,
	})
}

// PatientLookup is for tests of results, not of speed, on a machine that is busy with other things.
const PatientLookup = "--cache-lookup-timeout=2s"

// A Fleet is some nodes in front of one backend. Node i is at 127.0.0.(i+1), so
// that they differ by address and share their ports.
type Fleet struct {
	T        *testing.T
	Mode     string // of cache-replication; the default's if empty
	PKI      *testpki.PKI
	tlsPort  int
	UDPPort  int
	Nodes    []*Server // nil for one that does not run
	options  []string
	Cert     *testpki.Cert
	Listener string // options of the listener besides its address
	Secret   string // file with the cluster secret; if empty it follows from the certificate's key
	Backend  string
	Peer     func(i, j int) string // where i finds j, "" if it does not

	Successors bool // nodes are upgraded
}

// NewFleet prepares n nodes, of which none runs yet.
func NewFleet(t *testing.T, n int, mode string, options ...string) *Fleet {
	t.Helper()
	f := &Fleet{
		T: t, Mode: mode, PKI: testpki.New(t), tlsPort: nettest.FreePort(t),
		UDPPort: nettest.FreePort(t),
		Nodes:   make([]*Server, n), options: options, Backend: nettest.Serve(t, AnswerLine).Addr,
	}
	f.Cert = f.PKI.Server(testpki.ECDSA, "localhost", "other.example", "*.wild.example",
		"127.0.0.1")
	f.Listener = "cert=" + f.Cert.CertFile + ",key=" + f.Cert.KeyFile
	f.Peer = func(_, j int) string { return f.UDP(j) }
	return f
}

// StartFleet runs n nodes that know each other.
func StartFleet(t *testing.T, n int, mode string, options ...string) *Fleet {
	t.Helper()
	f := NewFleet(t, n, mode, options...)
	f.RunAll()
	return f
}

// SecretFile is the option that gives a node a secret by that name.
func (f *Fleet) SecretFile(name string) string {
	f.T.Helper()
	path := filepath.Join(f.T.TempDir(), name)
	if err := os.WriteFile(path, []byte(name+" secret of at least sixteen bytes\n"), 0o600); err != nil {
		f.T.Fatal(err)
	}
	return "--cluster-secret-file=" + path
}

// TLS is where node i listens for clients.
func (f *Fleet) TLS(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.tlsPort) }

// UDP is where node i listens for its peers.
func (f *Fleet) UDP(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.UDPPort) }

// Args are the options of node i.
func (f *Fleet) Args(i int) []string {
	args := []string{
		"--sslrouter2=addr=" + f.TLS(i) + "," + f.Listener, To(f.Backend),
		"--sslrouter-session-context=foobar",
		"--cache-udp-server=" + f.UDP(i), "--http-processes=1",
	}
	if f.Mode != "" {
		args = append(args, "--cache-replication="+f.Mode)
	}
	if f.Secret != "" {
		args = append(args, "--cluster-secret-file="+f.Secret)
	}
	for j := range f.Nodes {
		if j == i {
			continue
		}
		if addr := f.Peer(i, j); addr != "" {
			args = append(args, "--cache-udp-node="+addr)
		}
	}
	return append(args, f.options...)
}

// Run starts node i, with more options than all have.
func (f *Fleet) Run(i int, more ...string) {
	f.T.Helper()
	f.Nodes[i] = StartCommand(f.T, nettest.Command{Path: Program(f.T), Successors: f.Successors},
		append(f.Args(i), more...)...)
}

// RunAll starts all nodes and waits until they know each other.
func (f *Fleet) RunAll() {
	f.T.Helper()
	for i := range f.Nodes {
		f.Run(i)
	}
	f.AwaitIntroduced()
}

// Restart ends node i properly and starts it again.
func (f *Fleet) Restart(i int) {
	f.T.Helper()
	f.Nodes[i].Stop()
	f.Run(i)
}

// Kill ends node i as a crash would.
func (f *Fleet) Kill(i int) {
	f.Nodes[i].Kill()
	f.Nodes[i] = nil
}

// Running are the nodes that run.
func (f *Fleet) Running() (list []*Server) {
	for _, s := range f.Nodes {
		if s != nil {
			list = append(list, s)
		}
	}
	return list
}

// AwaitIntroduced waits until each running node hears all its configured peers, and has the
// sessions that they had before it.
func (f *Fleet) AwaitIntroduced() {
	f.T.Helper()
	for i, s := range f.Nodes {
		for j, other := range f.Nodes {
			if s == nil || other == nil || i == j || f.Peer(i, j) == "" {
				continue
			}
			id := other.Shared().ShortID()
			nettest.Eventually(f.T, Patience, func() bool {
				r := s.Shared().Replication
				p, ok := r.peer(id)
				return ok && p.Introduced == 1 && p.Alive == 1 &&
					(r.Mode == "pull" || r.Join == "done")
			}, "node %d hears node %d", i, j)
		}
	}
}

// isLevel reports whether all nodes that run remember the same number of sessions.
func (f *Fleet) isLevel() bool {
	list := f.Running()
	items := list[0].Document().Caches[0].Items
	for _, s := range list[1:] {
		if s.Document().Caches[0].Items != items {
			return false
		}
	}
	return true
}

// AwaitPushed waits until every session is everywhere, if that is the mode.
func (f *Fleet) AwaitPushed() {
	f.T.Helper()
	if f.Mode != "pull" {
		nettest.Eventually(f.T, Patience, f.isLevel, "all nodes have all sessions")
	}
}

// Balance runs a balancer that knows nothing of TLS: connections go to the nodes
// in turn.
func (f *Fleet) Balance(nodes ...int) *nettest.Backend {
	var turn atomic.Int64
	return nettest.Serve(f.T, func(client net.Conn) {
		defer client.Close()
		f.AwaitPushed()
		node, err := nettest.Dial(f.TLS(nodes[int(turn.Add(1)-1)%len(nodes)]))
		if err != nil {
			return // the client says so
		}
		defer node.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(client, node)
			client.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(node, client)
		node.(*net.TCPConn).CloseWrite()
		<-done
	})
}

// Outcomes adds up the outcomes at all running nodes.
func (f *Fleet) Outcomes() map[string]uint64 {
	f.T.Helper()
	sum := map[string]uint64{}
	for _, s := range f.Running() {
		for outcome, n := range s.Document().Engine.TLS.Outcomes {
			sum[outcome] += n
		}
	}
	return sum
}

// Since subtracts counters.
func Since(now, before map[string]uint64) map[string]uint64 {
	d := map[string]uint64{}
	for name, n := range now {
		if n -= before[name]; n > 0 {
			d[name] = n
		}
	}
	return d
}
