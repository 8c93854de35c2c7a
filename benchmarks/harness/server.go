package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"reprise/benchmarks/load"
	"reprise/benchmarks/peers"
)

// setup is a case's deviation from the common server: one worker, an ECDSA certificate, X25519, the
// common backend.
type setup struct {
	rsa      bool
	p256     bool // all use P-256, for servers without another group
	allCores bool
	h2       bool // HTTP/2 through to a backend that speaks it
	http2    bool // HTTP/2 to the server, which asks its backend by HTTP/1.1
	h2c      bool // HTTP/2 to the server, and to the backend, both parsed

	mlkem       bool   // clients offer X25519MLKEM768, which OpenSSL 3.0 does not know, and X25519
	clientCert  bool   // clients send a certificate, which servers verify
	byID        bool   // clients resume by session ID
	replication string // Reprise's cache-replication, "" is the default

	sessions int  // that are to be told by a node of ours, so that caches need the room
	apart    bool // each node has a network namespace of its own
	spare    bool // there is a node more that the others know, and that is not started
}

func (s setup) speaksH2() bool { return s.h2 || s.http2 || s.h2c }

// group is the group of servers with OpenSSL's groups.
func (s setup) group() (openssl string, id tls.CurveID) {
	if s.p256 {
		return "P-256", tls.CurveP256
	}
	return "X25519", tls.X25519
}

// offered are the groups that clients offer.
func (s *server) offered() []tls.CurveID {
	_, group := s.setup.group()
	if s.setup.mlkem {
		return []tls.CurveID{tls.X25519MLKEM768, group}
	}
	return []tls.CurveID{group}
}

// agreedGroup is the group to be agreed on.
func (s *server) agreedGroup() tls.CurveID {
	_, group := s.setup.group()
	if s.setup.mlkem && !s.peer.OpenSSL {
		return tls.X25519MLKEM768
	}
	return group
}

// moreSessions is the room in a cache for those of the clients that are measured.
const moreSessions = 200_000

// server is a running peer, as one node or several.
type server struct {
	peer   peers.Peer
	setup  setup
	client *tls.Certificate // of clients
	addrs  []string         // of the nodes
	stats  []string         // Reprise: of the nodes
	nodes  []*process
	dirs   []string

	members []string        // Reprise: where nodes hear each other, that which is not started too
	filler  string          // Reprise: where a node of ours may hear them
	spare   *peers.Settings // of the node that is not started
	spaces  *namespaces     // of the nodes, if each has its own
	backend *process        // that can be reached from there
}

// start runs n nodes of p and returns once each has completed a handshake.
func (b *bench) start(p peers.Peer, u setup, n int) (_ *server, err error) {
	s := &server{peer: p, setup: u, client: &b.client.TLS}
	defer func() {
		if err != nil {
			s.stop()
			err = fmt.Errorf("%s: %w", p.Name, err)
		}
	}()
	all, err := b.settingsOf(s, n)
	if err != nil {
		return nil, err
	}
	if u.spare {
		s.spare = &all[n]
	}
	for _, settings := range all[:n] {
		if err := b.startNode(s, settings); err != nil {
			return nil, err
		}
	}
	for i, node := range s.nodes {
		if err := node.await(func() error { return s.shakeHands(i) }); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// settingsOf are those of n nodes, and of one to spare.
func (b *bench) settingsOf(s *server, n int) (all []peers.Settings, err error) {
	if s.setup.spare {
		n++
	}
	for range n {
		one, err := b.settings(s.peer, s.setup, n)
		if err != nil {
			return nil, err
		}
		s.dirs = append(s.dirs, one.Dir)
		all = append(all, one)
	}
	if s.filler, err = freeAddr(); err != nil {
		return nil, err
	}
	if s.setup.apart {
		if err := b.moveApart(s, all); err != nil {
			return nil, err
		}
	}
	for i := range all {
		s.members = append(s.members, all[i].Node)
		for j := range all {
			if i != j {
				all[i].OtherNodes = append(all[i].OtherNodes, all[j].Node)
			}
		}
	}
	return all, nil
}

// settings are those of one node among n, in a directory made for it.
func (b *bench) settings(p peers.Peer, u setup, n int) (s peers.Settings, err error) {
	s = peers.Settings{Backend: b.backend, Workers: 1, Reprise: b.reprise, Plain: b.plain}
	s.Group, _ = u.group()
	s.Replication, s.ByID = u.replication, u.byID
	if u.clientCert {
		s.ClientCA = b.clientCA
	}
	cert := b.ecdsa
	if u.rsa {
		cert = b.rsa
	}
	s.Cert, s.Key, s.PEM = cert.CertFile, cert.KeyFile, cert.PEMFile
	if u.allCores {
		s.Workers = len(b.cpus)
	}
	if u.speaksH2() {
		s.ALPN = "h2"
	}
	if s.H2C = u.h2c; u.h2 || u.h2c {
		s.Backend = b.backendH2
	}
	if p.Name == "reprise-openssl" {
		s.Reprise = b.openssl
	}
	if s.Dir, err = os.MkdirTemp(b.dir, p.Name+"-"); err != nil {
		return s, err
	}
	addrs := []*string{&s.Addr, &s.Stats}
	if u.sessions > 0 {
		s.Sessions = u.sessions + moreSessions
	}
	if n > 1 || u.sessions > 0 {
		addrs = append(addrs, &s.Node)
		s.TicketKey, s.TicketKeyText = b.ticketKey, b.ticketKeyText
	}
	for _, addr := range addrs {
		if *addr, err = freeAddr(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (b *bench) startNode(s *server, settings peers.Settings) error {
	command, err := s.peer.Prepare(settings)
	if err != nil {
		return err
	}
	cpus := b.serverCPUs
	if s.setup.allCores {
		cpus = b.cpus
	}
	args := command.Args
	if s.spaces != nil {
		args = append(s.spaces.enter(len(s.nodes)), args...)
	}
	if b.realtime { // which they must not inherit
		args = append([]string{"chrt", "-o", "0"}, args...)
	}
	node, err := spawn(cpus, args, command.Env, settings.Dir)
	if err != nil {
		return err
	}
	s.nodes = append(s.nodes, node)
	s.addrs = append(s.addrs, settings.Addr)
	s.stats = append(s.stats, settings.Stats)
	return nil
}

// shakeHands checks that node i serves its case.
func (s *server) shakeHands(i int) error {
	config := &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
		CurvePreferences: s.offered(),
	}
	if s.setup.clientCert {
		config.Certificates = []tls.Certificate{*s.client}
	}
	if s.setup.speaksH2() {
		config.NextProtos = []string{"h2"}
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Second}, "tcp", s.addrs[i], config)
	if err != nil {
		return err
	}
	defer conn.Close()
	state := conn.ConnectionState()
	if state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || s.setup.speaksH2() &&
		state.NegotiatedProtocol != "h2" {
		return fmt.Errorf("got %s and protocol %q", tls.CipherSuiteName(state.CipherSuite),
			cmp.Or(state.NegotiatedProtocol, "none"))
	}
	return nil
}

// meter measures what all nodes use.
func (s *server) meter() (*load.Meter, error) {
	var pids []int
	for _, node := range s.nodes {
		pids = append(pids, node.pid())
	}
	return load.NewMeter(pids...)
}

func (s *server) stop() {
	for _, node := range s.nodes {
		node.stop()
	}
	if s.backend != nil {
		s.backend.stop()
	}
	if s.spaces != nil {
		s.spaces.close()
	}
	for _, dir := range s.dirs {
		_ = os.RemoveAll(dir)
	}
}

// startBackends runs the backends: our own, and nginx for HTTP/2.
func (b *bench) startBackends() (err error) {
	if b.backend, err = freeAddr(); err != nil {
		return err
	}
	if b.backendH2, err = freeAddr(); err != nil {
		return err
	}
	own, err := b.startBackend(b.backend)
	if err != nil {
		return err
	}
	b.processes = append(b.processes, own)
	dir := filepath.Join(b.dir, "h2")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	command, err := peers.BackendH2().Prepare(peers.Settings{Dir: dir, Addr: b.backendH2})
	if err != nil {
		b.backendH2 = ""
		b.absent(fmt.Errorf("HTTP/2 is not measured: %w", err))
		return nil
	}
	h2, err := spawn(b.loadCPUs, command.Args, command.Env, dir)
	if err != nil {
		return err
	}
	b.processes = append(b.processes, h2)
	return h2.await(func() error { return accepts(b.backendH2) })
}

// startBackend runs our own.
func (b *bench) startBackend(addr string) (*process, error) {
	p, err := spawn(b.loadCPUs, []string{filepath.Join(b.dir, "backend"), "-listen", addr}, nil, b.dir)
	if err != nil {
		return nil, err
	}
	if err := p.await(func() error { return accepts(addr) }); err != nil {
		p.stop()
		return nil, fmt.Errorf("backend: %w", err)
	}
	return p, nil
}

func accepts(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}
