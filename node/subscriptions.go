package node

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"reprise/backend"
	"reprise/backend/subscription"
	"reprise/config"
)

const (
	// maxSubscribers bounds the backends that subscribe, and maxOfHost those of one host, each
	// including signed ones that left recently: one domain must not use up the others' places.
	maxSubscribers = 4096
	maxOfHost      = 512
	// expireEvery is how often silent subscribers are looked for.
	expireEvery = time.Second
	// refusalsEvery is how often refusals of one kind are logged.
	refusalsEvery = time.Minute
	// receiveAgain is the pause after a socket has failed.
	receiveAgain = 100 * time.Millisecond
	maxKeyFile   = 64 << 10
)

// subscriptions are the backends that announce themselves. Everything happens under mu, far from
// requests: the router gets a new map of hosts when hosts change, a pool a new list of members.
type subscriptions struct {
	n       *Node
	table   *subscription.Table
	sockets []*net.UDPConn
	stop    chan struct{}
	running sync.WaitGroup
	closing sync.Once

	mu     sync.Mutex
	hosts  map[string]*subscribedHost
	logged map[subscription.Refusal]time.Time
}

// A subscribedHost is the pool of a host.
type subscribedHost struct {
	pool
	nodes map[string]*backend.Node // by address
}

// openSubscriptions binds the configured addresses; start serves them.
func (n *Node) openSubscriptions() error {
	c := &n.config.Subscriptions
	if len(c.Servers) == 0 {
		return nil
	}
	n.own.Store(ownAddresses(n.config))
	o := subscription.Options{
		Tolerance: c.Tolerance, From: c.From, Sockets: c.Sockets, KeyTolerance: c.KeyTolerance,
		Members: maxSubscribers, HostMembers: maxOfHost,
		Own: func(network, address string) bool { return (*n.own.Load())(network, address) },
	}
	if c.Digest != "" {
		o.Digest = digests[c.Digest]
		o.Key = func(domain []byte) (crypto.PublicKey, error) { return readKey(c.KeyDir, domain) }
	}
	s := &subscriptions{
		n: n, table: subscription.New(o), stop: make(chan struct{}),
		hosts: make(map[string]*subscribedHost), logged: make(map[subscription.Refusal]time.Time),
	}
	n.subscriptions = s
	n.onClose(s.close)
	for _, a := range c.Servers {
		address, err := net.ResolveUDPAddr("udp", a.String())
		if err != nil {
			return fmt.Errorf("http-subscription-server: %w", err)
		}
		socket, err := n.in.packets(subscriptionSocket, a.String())
		if socket == nil && err == nil {
			socket, err = net.ListenUDP("udp", address)
		}
		if err != nil {
			return fmt.Errorf("http-subscription-server: cannot listen on %s: %w", a, err)
		}
		s.sockets = append(s.sockets, socket)
	}
	return nil
}

// ownAddresses returns a function that reports whether this process itself listens at an address.
func ownAddresses(c *config.Config) *func(network, address string) bool {
	list := append(slices.Clone(c.Admin), c.Stats)
	for _, a := range c.RouterStats {
		list = append(list, a)
	}
	for i := range c.Listeners {
		list = append(list, c.Listeners[i].Addr)
	}
	paths := make(map[string]bool)
	ports := make(map[uint16][]netip.Addr)
	for _, a := range list {
		switch network, address, err := resolve(a); {
		case a.IsZero() || err != nil: // an address that does not resolve cannot be bound either
		case network == "unix":
			paths[filepath.Clean(address)] = true
		default:
			if at, err := netip.ParseAddrPort(address); err == nil && !at.Addr().IsUnspecified() {
				ports[at.Port()] = append(ports[at.Port()], at.Addr().Unmap())
			} else if _, port, err := net.SplitHostPort(address); err == nil {
				if p, err := strconv.ParseUint(port, 10, 16); err == nil {
					ports[uint16(p)] = append(ports[uint16(p)], machineAddresses()...)
				}
			}
		}
	}
	is := func(network, address string) bool {
		if network == "unix" {
			return paths[filepath.Clean(address)]
		}
		at, err := netip.ParseAddrPort(address)
		return err == nil && slices.Contains(ports[at.Port()], at.Addr().Unmap())
	}
	return &is
}

// machineAddresses are those of this machine's interfaces.
func machineAddresses() (list []netip.Addr) {
	interfaces, _ := net.InterfaceAddrs() // on an error none are known
	for _, i := range interfaces {
		if p, err := netip.ParsePrefix(i.String()); err == nil {
			list = append(list, p.Addr().Unmap())
		}
	}
	return list
}

var digests = map[string]crypto.Hash{
	"sha1": crypto.SHA1, "sha256": crypto.SHA256,
	"sha384": crypto.SHA384, "sha512": crypto.SHA512,
}

// readKey reads the public key of a domain, anew for each packet: keys change while the node runs.
func readKey(dir string, domain []byte) (crypto.PublicKey, error) {
	file, err := os.Open(filepath.Join(dir, subscription.KeyFile(domain)))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data := make([]byte, maxKeyFile)
	size, err := file.Read(data)
	if err != nil {
		return nil, err
	}
	return subscription.ParseKey(data[:size])
}

func (s *subscriptions) start() {
	for _, socket := range s.sockets {
		slog.Info("backends may subscribe", "at", socket.LocalAddr())
		s.running.Go(func() { s.receive(socket) })
	}
	s.running.Go(s.expire)
}

// close ends all, also before start. Pools stay as they are: flows may still use them.
func (s *subscriptions) close() { s.closing.Do(s.end) }

func (s *subscriptions) end() {
	close(s.stop)
	for _, socket := range s.sockets {
		_ = socket.Close()
	}
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hosts {
		h.SetChecks(nil)
	}
}

func (s *subscriptions) receive(socket *net.UDPConn) {
	buffer := make([]byte, subscription.MaxLen+1)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select { // the error may recur at once
			case <-s.stop:
				return
			case <-time.After(receiveAgain):
			}
			continue
		}
		s.mu.Lock()
		changes, why := s.table.Receive(time.Now(), from, buffer[:n])
		s.apply(changes)
		if why != subscription.Accepted {
			s.logRefusal(why, from.Addr())
		}
		s.mu.Unlock()
	}
}

func (s *subscriptions) expire() {
	ticker := time.NewTicker(expireEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-ticker.C:
			s.mu.Lock()
			s.apply(s.table.Expire(now))
			s.mu.Unlock()
		}
	}
}

// pause leaves packets in the sockets, for this process or the next, until resume.
func (s *subscriptions) pause() { s.setDeadline(time.Unix(1, 0)) }

func (s *subscriptions) resume() { s.setDeadline(time.Time{}) }

func (s *subscriptions) setDeadline(t time.Time) {
	for _, socket := range s.sockets {
		_ = socket.SetReadDeadline(t) // it fails only for a closed socket
	}
}

// known returns the state that a successor needs.
func (s *subscriptions) known() []subscription.Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.Known(time.Now())
}

// succeed takes the state of the process before, which is passed old. It is called before start.
func (s *subscriptions) succeed(list []subscription.Known, passed time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(s.table.Take(list, passed, time.Now()))
}

// logRefusal tells an operator why a backend does not appear, without letting any sender fill the
// log.
func (s *subscriptions) logRefusal(why subscription.Refusal, from netip.Addr) {
	if now := time.Now(); now.Sub(s.logged[why]) >= refusalsEvery {
		s.logged[why] = now
		slog.Warn("subscription refused; more of this kind are only counted for a minute", "why",
			why, "from", from)
	}
}

// apply carries out changes of the table. mu is held.
func (s *subscriptions) apply(changes []subscription.Change) {
	renamed := false
	for _, c := range changes {
		switch c.Kind {
		case subscription.Joined:
			renamed = s.join(c.Member) || renamed
		case subscription.Reweighted:
			if node := s.node(c.Member); node != nil {
				node.SetWeight(c.Member.Weight)
			}
		default:
			renamed = s.leave(c.Member) || renamed
		}
		slog.Info("backend "+c.Kind.String(), "host", c.Member.Host, "backend", c.Member.Address,
			"weight", c.Member.Weight)
	}
	if renamed {
		s.tell(s.n.now().routers[config.HTTPRouter])
	}
}

// node returns the backend of a member, nil if it could not be made one.
func (s *subscriptions) node(m subscription.Member) *backend.Node {
	if h := s.hosts[m.Host]; h != nil {
		return h.nodes[m.Address]
	}
	return nil
}

// tell gives a router the pools of the hosts. mu is held.
func (s *subscriptions) tell(r *backend.Router) {
	byHost := make(map[string]*backend.Pool, len(s.hosts))
	for name, h := range s.hosts {
		byHost[name] = h.Pool
	}
	r.SetSubscribed(byHost)
}

// join adds a backend and reports whether its host is new.
func (s *subscriptions) join(m subscription.Member) (isNew bool) {
	c := s.n.now().config.PoolOf(config.HTTPRouter)
	h := s.hosts[m.Host]
	if isNew = h == nil; isNew {
		o := s.n.poolOptions("subscribed/"+m.Host, c)
		o.Changing = true
		made, err := backend.NewPool(nil, o)
		if err != nil {
			slog.Error("no pool for a subscription", "host", m.Host, "error", err)
			return false
		}
		h = &subscribedHost{
			pool:  pool{Pool: made, router: config.HTTPRouter, config: c},
			nodes: make(map[string]*backend.Node),
		}
	}
	spec := backend.Spec{
		Network: m.Network, Address: m.Address, Protocol: backend.UWSGI, Weight: m.Weight,
		MaxConns: c.MaxConns, Backup: m.Backup,
	}
	if m.HTTP {
		spec.Protocol = backend.HTTP
	}
	node, err := h.Add(spec)
	if err != nil {
		slog.Error("a subscription cannot be used", "host", m.Host, "error", err)
		return false // a host needs a backend: the previous route stays
	}
	h.nodes[m.Address] = node
	if isNew {
		h.check()
		s.hosts[m.Host] = h
	}
	return isNew
}

// leave removes the backend of a member, if there is one, and reports whether its host has gone
// with it.
func (s *subscriptions) leave(m subscription.Member) (gone bool) {
	node := s.node(m)
	if node == nil {
		return false
	}
	h := s.hosts[m.Host]
	h.Remove(node)
	delete(h.nodes, m.Address)
	if len(h.nodes) > 0 {
		return false
	}
	delete(s.hosts, m.Host)
	h.Close()
	s.running.Go(func() { h.SetChecks(nil) }) // it waits for checks in progress
	return true
}

// take puts another configuration in force.
func (s *subscriptions) take(now *service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n.own.Store(ownAddresses(now.config))
	c := now.config.PoolOf(config.HTTPRouter)
	for name, h := range s.hosts {
		o := s.n.poolOptions("subscribed/"+name, c)
		o.Changing = true
		h.SetOptions(o)
		checked := h.config.Check == c.Check && h.config.SendProxy == c.SendProxy
		if h.config = c; !checked {
			h.check()
		}
	}
	s.tell(now.routers[config.HTTPRouter])
	s.n.service.Store(now) // under mu, so that new subscribers reach the router in force
}

// pools returns the pools of the hosts, by their names.
func (s *subscriptions) pools() (list []*pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		list = append(list, &s.hosts[name].pool)
	}
	return list
}

// A subscriptionRow is a host as uWSGI's http-stats shows it.
type subscriptionRow struct {
	Key   string              `json:"key"`
	Nodes []backend.NodeStats `json:"nodes"`
}

func (s *subscriptions) rows() []subscriptionRow {
	rows := []subscriptionRow{}
	for _, p := range s.pools() {
		rows = append(rows, subscriptionRow{p.name()[len("subscribed/"):], p.Stats().Nodes})
	}
	return rows
}
