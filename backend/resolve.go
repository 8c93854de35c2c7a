package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Lookup returns the addresses of a DNS name, as net.Resolver's LookupNetIP does for network
// "ip". It must return soon after ctx ends.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

const (
	maxEndpoints  = 64 // of one name; further ones are ignored
	lookupTimeout = 5 * time.Second
)

// Resolve finds the addresses of all nodes that are configured by name. The error is a line for an
// operator about the first name that could not be resolved; the other names are resolved all the
// same.
func (p *Pool) Resolve(ctx context.Context, lookup Lookup) error {
	var first error
	for _, n := range p.named() {
		if err := n.resolveFirst(ctx, lookup); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// resolveFirst is resolve for a node that is not yet used. The error is a line for an operator.
func (n *Node) resolveFirst(ctx context.Context, lookup Lookup) error {
	if _, err := n.resolve(ctx, lookup); err != nil {
		return fmt.Errorf("backend %s: %w: write a name that resolves or a numeric address",
			n.Name(), err)
	}
	return nil
}

// StartResolving looks the names up again at an interval (0: 30 s) until stop is called. If a
// look-up fails, the last good addresses stay. A change does not affect established connections.
func (p *Pool) StartResolving(every time.Duration, lookup Lookup) (stop func()) {
	return p.watch(cmp.Or(every, 30*time.Second), func(n *Node) func(context.Context) {
		if n.host == "" {
			return nil
		}
		failing := false
		return func(ctx context.Context) {
			limited, cancel := context.WithTimeout(ctx, lookupTimeout)
			defer cancel()
			changed, err := n.resolve(limited, lookup)
			switch {
			case ctx.Err() != nil: // stopped
				return
			case err != nil && !failing:
				slog.Warn("cannot resolve a backend again: its last addresses stay", "backend",
					n.Name(), "error", err)
			case changed:
				slog.Info("backend has new addresses", "backend", n.Name(), "addresses",
					*n.endpoints.Load())
			}
			failing = err != nil
		}
	})
}

func (p *Pool) named() (nodes []*Node) {
	for _, n := range p.Nodes() {
		if n.host != "" {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// resolve replaces the node's addresses and reports whether they have changed.
func (n *Node) resolve(ctx context.Context, lookup Lookup) (changed bool, err error) {
	found, err := lookup(ctx, n.host)
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		err = errors.New(strings.TrimSpace(dns.Err)) // the rest repeats host and server
	}
	endpoints := n.endpointsOf(found)
	if err == nil && len(endpoints) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		return false, fmt.Errorf("cannot resolve %q: %w", n.host, err)
	}
	if old := n.endpoints.Load(); old != nil && slices.Equal(*old, endpoints) {
		return false, nil
	}
	n.endpoints.Store(&endpoints) // before the flag is cleared: a usable node has an address
	n.flags.And(^uint32(flagUnresolved))
	n.pool.wake()
	return true, nil
}

// endpointsOf returns addresses in an order independent of the answer's. If a name has both kinds,
// only IPv4 addresses are used, as net.ResolveTCPAddr does: connections to a server that listens on
// only one of them ("localhost") would otherwise fail every other time.
func (n *Node) endpointsOf(found []netip.Addr) (list []netip.AddrPort) {
	for _, ip := range found {
		if ip.IsValid() {
			list = append(list, netip.AddrPortFrom(ip.Unmap(), n.port))
		}
	}
	isIPv4 := func(a netip.AddrPort) bool { return a.Addr().Is4() }
	if slices.ContainsFunc(list, isIPv4) {
		list = slices.DeleteFunc(list, func(a netip.AddrPort) bool { return !isIPv4(a) })
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	list = slices.Compact(list)
	return list[:min(len(list), maxEndpoints)]
}
