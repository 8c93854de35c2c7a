package backend

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"reprise/backend/tlsclient"
)

// TLS returns the maker of TLS connections to the node; nil if the node is spoken to without TLS. A
// Change with another policy replaces it: established connections keep the old one, and the
// sessions made under that are dropped.
func (n *Node) TLS() *tlsclient.Client { return n.tls.Load() }

// setTLS gives a new node the client for its pool's policy.
func (n *Node) setTLS(policy *tlsclient.Policy) error {
	if !n.spec.TLS {
		return nil
	}
	if policy == nil {
		return fmt.Errorf("backend %s: its pool has no TLS settings", n.Name())
	}
	c, err := policy.New(n.hostname())
	if err != nil {
		return fmt.Errorf("backend %s: %w", n.Name(), err)
	}
	n.tls.Store(c)
	return nil
}

// hostname returns the host of the node's address, as it is written.
func (n *Node) hostname() string {
	if n.host != "" || n.spec.Network == "unix" {
		return n.host
	}
	at, _ := netip.ParseAddrPort(n.spec.Address) // parseAddress has accepted it
	return at.Addr().Unmap().String()
}

// tlsStats returns nil for a pool without TLS.
func (p *Pool) tlsStats() *tlsclient.Counts {
	if p.Options().TLS == nil {
		return nil
	}
	return &p.tls
}

// Secured notes a TLS handshake with the node.
func (n *Node) Secured(resumed bool) { n.pool.tls.Done(resumed) }

// SecuredOnLoop counts a handshake step for which no worker was free.
func (n *Node) SecuredOnLoop() { n.pool.tls.OnLoop.Inc() }

// NotSecured counts a failed TLS handshake with the node and logs it. The caller reports the failed
// connection by Failed.
func (n *Node) NotSecured(err error, now time.Time) {
	why := tlsclient.ReasonOf(err)
	n.pool.tls.Failures.Inc(why)
	times, isDue := n.tlsTold.due(why.String(), now)
	if !isDue {
		return
	}
	name := ""
	if c := n.TLS(); c != nil {
		name = c.Name()
	}
	slog.Warn("no TLS with a backend", "backend", n.Name(), "pool", n.pool.Options().Name, "name",
		name, "reason", why.String(), "error", err, "times", times)
}
