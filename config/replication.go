package config

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"reprise/config/values"
)

// pendingAddress is an address and its setting.
type pendingAddress struct {
	Address
	from setting
}

const (
	udpForms  = "write host:port, :port or [v6]:port"
	peerForms = "write host:port or [v6]:port"
	syncNote  = "a node fetches what it lacks from a live peer by itself"
)

// noteSync warns about cache-sync, or sync in cache2.
func noteSync(b *builder) { b.warnf(b.now, "sync has no effect: %s", syncNote) }

// collect makes the set function of an option that adds an address.
func collect(parse func(string) (Address, error),
	list func(*builder) *[]pendingAddress,
) func(*builder, string) error {
	return func(b *builder, value string) error {
		a, err := parse(value)
		if err == nil {
			l := list(b)
			*l = append(*l, pendingAddress{a, b.now})
		}
		return err
	}
}

// parseList reads addresses separated by semicolons.
func parseList(s string, parse func(string) (Address, error)) ([]Address, error) {
	var list []Address
	for item := range strings.SplitSeq(s, ";") {
		a, err := parse(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// parseUDP reads an address or group to listen on.
func parseUDP(s string) (Address, error) {
	a, err := parseDatagram(s, udpForms)
	if err == nil && a.isMulticast() && a.Port == 0 {
		return Address{}, errors.New("port 0: write the port of the group, which all nodes share")
	}
	return a, err
}

// parsePeer reads an address or group to send to.
func parsePeer(s string) (Address, error) {
	a, err := parseDatagram(s, peerForms)
	if err != nil {
		return Address{}, err
	}
	if ip, err := netip.ParseAddr(a.Host); a.Host == "" || err == nil && ip.IsUnspecified() {
		return Address{}, errors.New("no host to send to: " + peerForms)
	}
	if a.Port == 0 {
		return Address{}, errors.New("port 0: write the port that the node listens on")
	}
	return a, nil
}

// parseRepeater reads an address to repeat on. A group needs no repeater, which would only send its
// own datagrams back.
func parseRepeater(s string) (Address, error) {
	a, err := parseDatagram(s, udpForms)
	if err == nil && a.isMulticast() {
		return Address{}, errors.New("a multicast group: write an address of this machine")
	}
	return a, err
}

func parseDatagram(s, forms string) (Address, error) {
	if strings.HasPrefix(s, "/") {
		return Address{}, errors.New("a unix socket, but nodes speak UDP: " + forms)
	}
	a, err := parseInternet("udp", s, forms)
	if strings.Contains(a.Host, "%") {
		return Address{},
			errors.New("a link-local address: give nodes addresses without a zone, such " +
				"as unique local ones (fd00::/8)")
	}
	return a, err
}

func (a Address) isMulticast() bool {
	ip, err := netip.ParseAddr(a.Host)
	return err == nil && ip.IsMulticast()
}

// resolveReplication gives the session cache its addresses, and reports settings that contradict
// each other or have no effect.
func (b *builder) resolveReplication() {
	r := &b.config.Replication
	if r.DeadAfter <= r.Heartbeat {
		b.fail(b.blame("cache-udp-dead-after", "cache-udp-heartbeat").errorf(
			"cache-udp-dead-after %s is not above cache-udp-heartbeat %s: raise it",
			values.FormatDuration(r.DeadAfter), values.FormatDuration(r.Heartbeat)))
	}
	for _, c := range b.config.Caches {
		own := b.cacheUDP[c.Name]
		if c.Name == b.config.SessionCache {
			b.resolvePeers(c.Name, own)
		} else if len(own.listen)+len(own.peers) > 0 {
			b.warnf(b.cacheFrom[c.Name], "node and udp have no effect: "+
				"only the cache of the TLS sessions is replicated, which this is not")
		}
	}
	b.resolveRepeaters()
	b.warnInVain()
}

// resolvePeers finds the addresses of the session cache, given its name and its own addresses, and
// leaves only those in force in udpServers and udpNodes.
func (b *builder) resolvePeers(cache string, own cacheAddresses) {
	if len(own.listen) > 0 {
		b.warnUnused("no effect: cache "+cache+" has udp of its own", "cache-udp-server")
		b.udpServers = pendingOf(own.listen, b.cacheFrom[cache])
	}
	if len(own.peers) > 0 {
		b.warnUnused("no effect: cache "+cache+" has node of its own", "cache-udp-node")
		b.udpNodes = pendingOf(own.peers, b.cacheFrom[cache])
	}
	// All nodes may have the same list, which includes themselves.
	b.udpNodes = slices.DeleteFunc(b.udpNodes, func(peer pendingAddress) bool {
		return !peer.isMulticast() && slices.ContainsFunc(b.udpServers,
			func(own pendingAddress) bool { return own.Address == peer.Address })
	})
	r := &b.config.Replication
	r.Listen, r.Peers = addressesOf(b.udpServers), addressesOf(b.udpNodes)
	for i, peer := range b.udpNodes {
		if slices.Contains(r.Peers[:i], peer.Address) {
			b.fail(peer.from.errorf("%v stands twice among the nodes: remove one", peer))
		}
	}
}

// resolveRepeaters checks that a repeater can authenticate its nodes.
func (b *builder) resolveRepeaters() {
	b.config.Repeaters = addressesOf(b.repeaters)
	if b.config.RepeaterSecretFile == "" && len(b.repeaters) > 0 &&
		b.written("cluster-secret-file").option == nil {
		b.fail(b.repeaters[0].from.errorf("no secret to recognise its nodes by: add " +
			"udprepeater-secret-file = FILE"))
	}
}

// warnInVain warns about options that have no effect because of others.
func (b *builder) warnInVain() {
	c := &b.config
	listen, peers := c.Replication.Listen, c.Replication.Peers
	if c.SessionCache == "" || len(b.tlsListeners()) == 0 {
		b.warnUnused("no effect: this process keeps no TLS sessions", "cache-udp-server",
			"cache-udp-node", "session-store")
		return
	}
	replicated := len(listen)+len(peers) > 0
	if !replicated {
		b.warnUnused("no effect without cache-udp-server and cache-udp-node", "cache-replication",
			"cache-udp-interface", "cache-udp-ttl", "cache-udp-datagram", "cache-udp-heartbeat",
			"cache-udp-dead-after", "cache-join-rate")
	} else if !slices.ContainsFunc(slices.Concat(listen, peers), Address.isMulticast) {
		b.warnUnused("no effect: no address is a multicast group", "cache-udp-interface",
			"cache-udp-ttl")
	}
	if replicated && len(peers) == 0 {
		b.warnf(b.udpServers[0].from,
			"this node tells the others nothing: add cache-udp-node = ADDR")
	}
	if mode := c.Replication.Mode; replicated &&
		(mode == ReplicatePull || mode == ReplicateHomes) &&
		c.Tuning.LookupTimeout == 0 {
		b.warnf(b.written("cache-replication"), "no session comes from other nodes with "+
			"cache-lookup-timeout 0: raise it")
	}
	if len(peers)+len(c.Repeaters) == 0 {
		b.warnUnused("no effect without cache-udp-node or udprepeater", "udprepeater-secret-file")
	}
	switch shared := replicated || len(c.SessionStores) > 0; {
	case shared:
		b.checkDerivedSecret()
		b.warnOfContexts()
	case len(c.Repeaters) == 0:
		if len(c.ACME.Names) == 0 { // it seals tickets, and what is stored
			b.warnUnused("no effect: sessions are not shared", "cluster-secret-file")
		}
	}
}

// makeSecret says how to get a secret.
const makeSecret = "make one with `reprise secret > FILE`, give it to all nodes, and add " +
	"cluster-secret-file = FILE"

// checkDerivedSecret refuses to share sessions under a secret that is derived from a key where the
// holder of that key could then pose as a client with any certificate, or read what a store keeps.
// Elsewhere it warns: certificates are renewed, copied to other machines and backed up, and each of
// these ends the secret or gives it away.
func (b *builder) checkDerivedSecret() {
	c := &b.config
	if len(c.ClusterSecretFiles) > 0 || b.failed["cluster-secret-file"] {
		return
	}
	if len(c.SessionStores) > 0 {
		b.fail(b.written("session-store").errorf("sessions in a store need a secret that is not a "+
			"server's key: %s", makeSecret))
		return
	}
	for _, l := range b.tlsListeners() {
		if l.TLS.ClientCA != "" {
			b.fail(l.from.errorf(
				"sessions of clients with certificates are shared with other nodes, "+
					"which needs a secret that is not a server's key: %s", makeSecret))
			return
		}
	}
	for _, name := range b.names {
		if name.Policy.ClientCA != "" {
			b.fail(name.from.errorf(
				"sessions of clients with certificates are shared with other nodes, "+
					"which needs a secret that is not a server's key: %s", makeSecret))
			return
		}
	}
	first := b.tlsListeners()[0]
	if len(first.TLS.Certs) == 0 {
		return // refused elsewhere: there is no key
	}
	b.warnf(first.from, "without cluster-secret-file the secret of the fleet is derived from %s: "+
		"all nodes must have that key, a renewed one included, "+
		"and anyone who has it can act as a node: %s", first.TLS.Certs[0].KeyFile, makeSecret)
}

// warnOfContexts warns of listeners whose sessions other nodes can resume only if they listen on
// the same address.
func (b *builder) warnOfContexts() {
	for _, l := range b.tlsListeners() {
		ip, err := netip.ParseAddr(l.Addr.Host)
		everywhere := l.Addr.Network != "unix" && l.Addr.Host == "" || err == nil &&
			ip.IsUnspecified()
		if l.TLS.SessionContext == "" && b.contexts[l.Router] == "" && !everywhere {
			b.warnf(l.from,
				"%v: its sessions are resumed only at nodes that listen on the same address, "+
					"because its session context is made of that: "+
					"write %s-session-context = NAME, the same at all nodes", l.Addr,
				contextOption[l.Router])
		}
	}
}

// contextOption names the family in the option that sets the context of its listeners.
var contextOption = map[Router]string{HTTPRouter: "https", SSLRouter: "sslrouter"}

// warnUnused warns about those of the options that have another value than their default.
func (b *builder) warnUnused(why string, names ...string) {
	for _, name := range names {
		if s := b.written(name); s.option != nil && s.value != s.option.byDefault {
			b.warnf(s, "%s", why)
		}
	}
}

func addressesOf(pending []pendingAddress) []Address {
	var list []Address
	for _, p := range pending {
		list = append(list, p.Address)
	}
	return list
}

func pendingOf(list []Address, from setting) []pendingAddress {
	var pending []pendingAddress
	for _, a := range list {
		pending = append(pending, pendingAddress{a, from})
	}
	return pending
}
