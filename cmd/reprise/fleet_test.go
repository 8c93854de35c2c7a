package main

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/sessions/store"
)

// The modes of cache-replication.
var fleetModes = []string{"push+pull", "pull", "push"}

// patientLookup is for tests of what is found, not of how fast, on a machine that
// is busy with other things.
const patientLookup = "--cache-lookup-timeout=2s"

// A fleet is some nodes in front of one backend. Node i is at 127.0.0.(i+1), so
// that they differ by address and share their ports.
type fleet struct {
	t        *testing.T
	mode     string
	pki      *testpki.PKI
	tlsPort  int
	udpPort  int
	nodes    []*server // nil for one that does not run
	options  []string
	listener string
	backend  string
	peer     func(i, j int) string // where i finds j, "" if it does not

	successors bool // nodes are upgraded
}

// newFleet prepares n nodes, of which none runs yet.
func newFleet(t *testing.T, n int, mode string, options ...string) *fleet {
	t.Helper()
	f := &fleet{
		t: t, mode: mode, pki: testpki.New(t), tlsPort: nettest.FreePort(t), udpPort: nettest.FreePort(t),
		nodes: make([]*server, n), options: options, backend: nettest.Serve(t, answerLine).Addr,
	}
	cert := f.pki.Server(testpki.ECDSA, "localhost", "other.example", "127.0.0.1")
	f.listener = "cert=" + cert.CertFile + ",key=" + cert.KeyFile
	f.peer = func(_, j int) string { return f.udp(j) }
	return f
}

// startFleet runs n nodes that know each other.
func startFleet(t *testing.T, n int, mode string, options ...string) *fleet {
	t.Helper()
	f := newFleet(t, n, mode, options...)
	f.runAll()
	return f
}

// secretFile is the option that gives a node a secret by that name.
func (f *fleet) secretFile(name string) string {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(name+" secret of at least sixteen bytes\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return "--cluster-secret-file=" + path
}

func (f *fleet) tls(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.tlsPort) }
func (f *fleet) udp(i int) string { return fmt.Sprintf("127.0.0.%d:%d", i+1, f.udpPort) }

// args are the options of node i.
func (f *fleet) args(i int) []string {
	args := []string{
		"--sslrouter2=addr=" + f.tls(i) + "," + f.listener, to(f.backend), "--sslrouter-session-context=foobar",
		"--cache-udp-server=" + f.udp(i), "--cache-replication=" + f.mode, "--http-processes=1",
	}
	for j := range f.nodes {
		if j == i {
			continue
		}
		if addr := f.peer(i, j); addr != "" {
			args = append(args, "--cache-udp-node="+addr)
		}
	}
	return append(args, f.options...)
}

// run starts node i, with more options than all have.
func (f *fleet) run(i int, more ...string) {
	f.t.Helper()
	f.nodes[i] = startCommand(f.t, nettest.Command{Path: program(f.t), Successors: f.successors}, append(f.args(i), more...)...)
}

func (f *fleet) runAll() {
	f.t.Helper()
	for i := range f.nodes {
		f.run(i)
	}
	f.awaitIntroduced()
}

// kill ends node i as a crash would.
func (f *fleet) kill(i int) {
	f.nodes[i].Kill()
	f.nodes[i] = nil
}

// running are the nodes that run.
func (f *fleet) running() (list []*server) {
	for _, s := range f.nodes {
		if s != nil {
			list = append(list, s)
		}
	}
	return list
}

// awaitIntroduced waits until each node that runs knows all the others, and has
// what they had before it.
func (f *fleet) awaitIntroduced() {
	f.t.Helper()
	for _, s := range f.running() {
		for _, other := range f.running() {
			if other == s {
				continue
			}
			id := other.shared().shortID(f.t)
			nettest.Eventually(f.t, patience, func() bool {
				r := s.shared().Replication
				p, ok := r.peer(id)
				return ok && p.Introduced == 1 && p.Alive == 1 && (f.mode == "pull" || r.Join == "done")
			}, "%s knows %s", s.addr(), other.addr())
		}
	}
}

// isLevel reports whether all nodes that run remember the same number of sessions.
func (f *fleet) isLevel() bool {
	list := f.running()
	items := list[0].document().Caches[0].Items
	for _, s := range list[1:] {
		if s.document().Caches[0].Items != items {
			return false
		}
	}
	return true
}

// awaitPushed waits until every session is everywhere, if that is the mode.
func (f *fleet) awaitPushed() {
	f.t.Helper()
	if f.mode != "pull" {
		nettest.Eventually(f.t, patience, f.isLevel, "all nodes have all sessions")
	}
}

// balance runs a balancer that knows nothing of TLS: connections go to the nodes
// in turn.
func (f *fleet) balance(nodes ...int) *nettest.Backend {
	var turn atomic.Int64
	return nettest.Serve(f.t, func(client net.Conn) {
		defer client.Close()
		f.awaitPushed()
		node, err := nettest.Dial(f.tls(nodes[int(turn.Add(1)-1)%len(nodes)]))
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

// outcomes adds up how sessions fared at all nodes that run.
func (f *fleet) outcomes() map[string]uint64 {
	f.t.Helper()
	sum := map[string]uint64{}
	for _, s := range f.running() {
		for outcome, n := range s.document().Engine.TLS.Outcomes {
			sum[outcome] += n
		}
	}
	return sum
}

// since subtracts counters.
func since(now, before map[string]uint64) map[string]uint64 {
	d := map[string]uint64{}
	for name, n := range now {
		if n -= before[name]; n > 0 {
			d[name] = n
		}
	}
	return d
}

// shared is what the stats server tells of sharing besides.
type shared struct {
	document
	Replication replication
	Lookups     sessions.Stats
	Store1      store.Stats
}

type replication struct{ replicate.Stats }

func (s *server) shared() (d shared) {
	s.t.Helper()
	s.decode(&d)
	return d
}

// shortID is by which other nodes speak of this one.
func (d shared) shortID(t *testing.T) string {
	t.Helper()
	id, err := hex.DecodeString(d.Replication.ID)
	if err != nil || len(id) != len(replicate.ID{}) {
		t.Fatalf("id of a node: %q, %v", d.Replication.ID, err)
	}
	return replicate.ID(id).Short().String()
}

func (r *replication) peer(id string) (replicate.PeerStats, bool) {
	for _, p := range r.Peers {
		if p.ID == id {
			return p, true
		}
	}
	return replicate.PeerStats{}, false
}

// TestFleetResumes is what all of this is for: a session made at one node resumes
// at the others, for every client, also when its maker is dead, and at a node
// that has just started.
func TestFleetResumes(t *testing.T) {
	for _, mode := range fleetModes {
		t.Run(mode, func(t *testing.T) {
			f := startFleet(t, 3, mode, patientLookup)
			forEachVersion(t, func(t *testing.T, version uint16) {
				for _, v := range visitors {
					t.Run(v.name, func(t *testing.T) { f.visitEverywhere(t, v, version) })
				}
			})
			t.Run("after deaths", f.survive)
		})
	}
}

// visitEverywhere lets a visitor meet another node each time it connects.
func (f *fleet) visitEverywhere(t *testing.T, v visitor, version uint16) {
	balancer := f.balance(0, 1, 2)
	elsewhere := "resumed_pushed"
	if f.mode == "pull" {
		elsewhere = "resumed_pulled"
	}
	for range 3 { // some visitors connect only twice
		before := f.outcomes()
		accepted := balancer.Accepted()
		v.visit(t, balancer.Addr, f.pki, version)
		got := since(f.outcomes(), before)
		if v.idOnly && version == tls.VersionTLS12 {
			continue // it got its answers: that is all it can get
		}
		visited := uint64(balancer.Accepted() - accepted)
		if got["new_client"] != 1 || got[elsewhere] == 0 || got[elsewhere]+got["resumed_local"] != visited-1 {
			t.Errorf("%d connections: %v, want all but one resumed, some of them %s", visited, got, elsewhere)
		}
	}
}

// survive makes sessions at node 0, kills it, and restarts node 1.
func (f *fleet) survive(t *testing.T) {
	type holder struct {
		version uint16
		config  *tls.Config
		file    string // for openssl
	}
	var holders []holder
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config, w := walletConfig(f.pki, version)
		askLine(t, f.tls(0), config)
		h := holder{version, offering(config, w.session), t.TempDir() + "/session.pem"}
		openSSL(t, f.tls(0), f.pki, version, "-sess_out", h.file, "New")
		holders = append(holders, h)
	}
	wantAll := func(i int) {
		t.Helper()
		for _, h := range holders {
			if state := askLine(t, f.tls(i), h.config); !state.DidResume {
				t.Errorf("node %d: Go, %s: not resumed", i, tls.VersionName(h.version))
			}
			openSSL(t, f.tls(i), f.pki, h.version, "-sess_in", h.file, "Reused")
		}
	}
	f.awaitPushed()
	if f.mode == "pull" { // a session that nobody else has asked for dies with its node
		wantAll(1)
		wantAll(2)
	}
	f.kill(0)
	wantAll(1)
	wantAll(2)
	f.kill(1)
	f.run(1)
	f.awaitIntroduced()
	wantAll(1)
}

// askLine is visit for a backend that answers a line.
func askLine(t *testing.T, addr string, config *tls.Config) tls.ConnectionState {
	t.Helper()
	state, err := tryAskLine(addr, config)
	if err != nil {
		t.Fatalf("%s: %v", addr, err)
	}
	return state
}

// tryAskLine asks, and reads to the end.
func tryAskLine(addr string, config *tls.Config) (tls.ConnectionState, error) {
	conn, err := handshake(addr, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer tcp(conn).Close()
	if _, err := io.WriteString(conn, "ping\n"); err != nil {
		return tls.ConnectionState{}, err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && string(answer) != "ping\n" {
		err = fmt.Errorf("got %q", answer)
	}
	return conn.ConnectionState(), err
}

// openSSL makes one connection with openssl s_client, which must say that it is
// New or Reused.
func openSSL(t *testing.T, addr string, pki *testpki.PKI, version uint16, memory, file, want string) {
	t.Helper()
	nettest.Need(t, "openssl")
	r := nettest.Run(t, nettest.Command{
		Path: "openssl",
		Args: []string{
			"s_client", "-connect", addr, "-servername", "localhost", "-CAfile", pki.CAFile, "-verify_return_error",
			map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}[version], "-ign_eof", memory, file,
		},
		Stdin: strings.NewReader("ping\n"),
	})
	if r.ExitCode != 0 || !strings.Contains(r.Stdout, want+", TLSv1.") || !strings.Contains(r.Stdout, "ping\n") {
		t.Fatalf("%s: exit code %d, want 0, %q and the answer in:\n%s%s", addr, r.ExitCode, want, r.Stdout, r.Stderr)
	}
}
