package node

import (
	"reprise/backend"
	"reprise/config"
	"reprise/stats"
)

// observeRouters starts the statistics servers of single routers. Their documents
// are those of uWSGI's http-stats and rawrouter-stats.
func (n *Node) observeRouters() error {
	for _, r := range config.Routers {
		address, ok := n.config.RouterStats[r.String()]
		if !ok {
			continue
		}
		registry := stats.NewRegistry(n.program.Version)
		registry.Register("active_sessions", func() any { open, _ := n.routed(r); return open })
		registry.Register(r.String(), func() any { _, addresses := n.routed(r); return addresses })
		registry.Register("static_nodes", func() any {
			nodes := []backend.NodeStats{}
			for _, p := range n.now().pools {
				if p.router == r {
					nodes = append(nodes, p.Stats().Nodes...)
				}
			}
			return nodes
		})
		if r == config.HTTPRouter && n.subscriptions != nil {
			registry.Register("subscriptions", func() any { return n.subscriptions.rows() })
		}
		registry.Register("cheap", func() any { return 0 })
		s, err := stats.ListenJSON(address.String(), registry,
			stats.JSONOptions{Start: n.shown(r.String()+"-stats", address.String())})
		if err != nil {
			return err
		}
		n.routerStats = append(n.routerStats, s)
		n.onClose(func() { shutDown(s) })
	}
	return nil
}

// shown says how a server of statistics begins.
func (n *Node) shown(kind, address string) stats.Start {
	s := n.in.start(kind, address)
	s.SocketFile = setSocketFile(&n.config.SocketFile)
	return s
}

// routed returns how many clients a router serves now, and where it listens.
func (n *Node) routed(r config.Router) (open int64, addresses []string) {
	addresses = []string{}
	for _, l := range n.engine.Stats().Listeners {
		if l.Router == r.String() || l.Router == "https" && r == config.HTTPRouter {
			open += l.Open
			addresses = append(addresses, l.Address)
		}
	}
	return open, addresses
}
