package node

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"reprise/config"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/sessions/peering"
	"reprise/sessions/store"
)

// secrets returns the cluster's secrets: from files, or, so that the documented
// set-ups work as printed and are sealed all the same, the first listener's first
// private key, which the nodes of such a fleet share. The caller wipes them.
func secrets(files []string, offered offered) ([][]byte, error) {
	if len(files) == 0 {
		i := slices.IndexFunc(offered, func(f *tlsFiles) bool { return f != nil })
		if i < 0 {
			return nil, nil // nothing to seal, or a repeater with a key of its own
		}
		first := offered[i].offers[0]
		der, err := x509.MarshalPKCS8PrivateKey(first.read.TLS.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", first.KeyFile, err)
		}
		return [][]byte{der}, nil
	}
	var list [][]byte
	for _, file := range files {
		secret, err := config.ReadSecret(file)
		if err != nil {
			return nil, fmt.Errorf("cluster-secret-file %s: %w", file, err)
		}
		list = append(list, secret)
	}
	return list, nil
}

func wipe(secrets [][]byte) {
	for _, s := range secrets {
		clear(s)
	}
}

func datagramSecrets(raw [][]byte) (list []replicate.Secret, err error) {
	for _, b := range raw {
		s, err := replicate.NewSecret(b)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

var modes = map[config.ReplicationMode]replicate.Mode{
	config.ReplicateAuto: replicate.Auto, config.ReplicatePush: replicate.Push,
	config.ReplicateHomes: replicate.Homes, config.ReplicatePull: replicate.Pull,
}

// share connects the session memory with the other nodes and the stores.
func (n *Node) share(raw [][]byte) error {
	c := n.config
	if n.sessions == nil {
		return nil
	}
	for _, url := range c.SessionStores {
		st, err := store.Open(url, store.Options{
			Secrets: raw, LookupTimeout: c.Tuning.LookupTimeout, Rules: n.sessions,
			Log: func(line string) { slog.Warn(line) },
		})
		if err != nil {
			return fmt.Errorf("session-store: %w", err)
		}
		n.stores = append(n.stores, st)
		n.onClose(st.Close)
	}
	var peers sessions.Fleet
	if r := &c.Replication; len(r.Listen)+len(r.Peers) > 0 {
		if err := n.join(raw); err != nil {
			return err
		}
		peers = peering.New(n.poller, c.Tuning.LookupTimeout > 0)
	}
	stores := make([]sessions.Store, len(n.stores))
	for i, st := range n.stores {
		stores[i] = st
	}
	n.sessions.Connect(peers, stores...)
	return nil
}

const (
	// udpBuffer is asked of the kernel for each UDP socket, in each direction: thousands of
	// datagrams, so that a poller without a core for 100 ms loses none. The kernel has the last
	// word, and its net.core.rmem_max is what an operator can raise.
	udpBuffer = 4 << 20
	// ringLen is how many changes may wait to be sent: at 10,000 new sessions a second those of
	// 0.8 s, in which the poller, which works every 5 ms, has had no core.
	ringLen = 8192
)

// join makes this node one of a fleet.
func (n *Node) join(raw [][]byte) error {
	c := n.config
	secrets, err := datagramSecrets(raw)
	if err != nil {
		return err
	}
	r := &c.Replication
	network := replicate.Network{Interface: r.Interface, TTL: r.TTL, BufferLen: udpBuffer}
	if network.Listen, err = resolveUDP(r.Listen); err != nil {
		return fmt.Errorf("cache-udp-server: %w", err)
	}
	if n.in.sockets != nil {
		network.Inherit = n.in.datagrams(udpSocket)
	}
	var names map[netip.AddrPort]string
	resolved := make(resolvedNames)
	if network.Peers, names, err = resolved.resolve(r.Peers); err != nil {
		// A name may resolve later; the others need not wait for it.
		slog.Warn("cache-udp-node: a peer is left out until its name resolves", "error", err)
	}
	n.poller, err = replicate.NewPoller(
		replicate.PollerOptions{
			Network: network, Names: names, RingLen: ringLen,
			Logger: slog.Default(),
		},
		replicate.Options{
			ID: n.id, Secrets: secrets, Mode: modes[r.Mode],
			DatagramLen: r.DatagramSize, Heartbeat: r.Heartbeat, DeadAfter: r.DeadAfter,
			LookupTimeout: c.Tuning.LookupTimeout, MaxQuestions: maxLookups,
			SnapshotRate: r.JoinRate,
			Name:         c.Name, Context: contextsHash(c),
			HoldFor:  c.Tuning.HandshakeTimeout + 5*time.Second,
			Lifetime: n.sessions.Lifetime(), KnownFor: n.sessions.Lifetime() + time.Minute,
		}, peering.Memory(n.sessions))
	if err != nil {
		return err
	}
	n.onCloseErr(func() error {
		if n.in.estate != nil && n.served.Load() == 0 { // the node goes on in another process
			return n.poller.Retire()
		}
		return n.poller.Close()
	})
	if slices.ContainsFunc(r.Peers, isName) {
		go n.resolveAgain(r.Peers, resolved, network.Peers)
	}
	return nil
}

// isName reports whether an address has to be resolved.
func isName(a config.Address) bool {
	_, err := netip.ParseAddr(a.Host)
	return err != nil && a.Host != ""
}

// resolveEvery is how often the names of peers are looked up again.
const resolveEvery = 30 * time.Second

// resolveAgain follows the names of peers. current are the addresses in use.
func (n *Node) resolveAgain(peers []config.Address, resolved resolvedNames,
	current []netip.AddrPort,
) {
	ticker := time.NewTicker(resolveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-ticker.C:
			list, names, _ := resolved.resolve(peers)
			// or each look would begin with the heartbeats of a start
			if slices.Equal(list, current) {
				continue
			}
			current = list
			slog.Info("cache-udp-node: names of peers resolve to other addresses", "peers", list)
			n.poller.SetPeers(list, names)
		}
	}
}

// resolvedNames are the addresses that each configured one had when it last resolved.
type resolvedNames map[config.Address][]netip.AddrPort

// resolve makes the addresses of peers numeric, and returns their names where the configuration has
// names. A name that does not resolve now keeps its addresses, while others get new ones. The order
// is the same for the same addresses, whatever the resolver's.
func (r resolvedNames) resolve(
	addresses []config.Address) (list []netip.AddrPort, names map[netip.AddrPort]string,
	err error,
) {
	names = make(map[netip.AddrPort]string)
	for _, a := range addresses {
		resolved, oneErr := resolveUDP([]config.Address{a})
		if oneErr == nil {
			r[a] = resolved
		}
		err = errors.Join(err, oneErr)
		list = append(list, r[a]...)
		if isName(a) {
			for _, addr := range r[a] {
				names[addr] = fmt.Sprintf("%s:%d", a.Host, a.Port)
			}
		}
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return slices.Compact(list), names, err
}

// contextsHash is a hash of the session contexts of the listeners: nodes with different hashes
// share no sessions, or not all.
func contextsHash(c *config.Config) uint64 {
	var contexts []string
	for _, l := range c.Listeners {
		if l.TLS != nil {
			contexts = append(contexts, fmt.Sprintf("%q", l.TLS.SessionContext))
		}
	}
	slices.Sort(contexts)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(contexts), "\n")))
	return binary.BigEndian.Uint64(sum[:])
}

// resolveUDP makes addresses numeric; a name stands for all its addresses, no host for every
// interface. The addresses that resolve are returned even with an error.
func resolveUDP(addresses []config.Address) (list []netip.AddrPort, err error) {
	for _, a := range addresses {
		port := uint16(a.Port)
		switch ip, parseErr := netip.ParseAddr(a.Host); {
		case a.Host == "":
			list = append(list, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
		case parseErr == nil:
			list = append(list, netip.AddrPortFrom(ip.Unmap(), port))
		default:
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			ips, lookErr := net.DefaultResolver.LookupNetIP(ctx, "ip", a.Host)
			cancel()
			if lookErr != nil {
				err = errors.Join(err, fmt.Errorf("cannot resolve %q: %w", a.Host, lookErr))
			}
			for _, ip := range ips {
				list = append(list, netip.AddrPortFrom(ip.Unmap(), port))
			}
		}
	}
	return list, err
}
