package fleet

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// A network lies between the nodes of a fleet and does to datagrams what it is
// told. Each node sees every other at an address of the network's own: what i
// sends to the one that stands for j arrives at j from the one that stands for i.
type network struct {
	f     *fleet
	ports [][]*net.UDPConn // [i][j] stands for j, as i sees it

	mu     sync.Mutex // guards what follows
	policy func(captured) bool
	kept   []captured // everything, in order
	held   []captured // what holdBack kept from its receiver
}

// A captured datagram.
type captured struct {
	from, to int
	datagram []byte
}

// newNetwork puts a network between the nodes, none of which may run yet.
func newNetwork(f *fleet) *network {
	f.t.Helper()
	n := &network{f: f, ports: make([][]*net.UDPConn, len(f.nodes))}
	for i := range f.nodes {
		n.ports[i] = make([]*net.UDPConn, len(f.nodes))
		for j := range f.nodes {
			if j == i {
				continue
			}
			conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				f.t.Fatal(err)
			}
			_ = conn.SetReadBuffer(4 << 20) // or what the kernel allows
			n.ports[i][j] = conn
		}
	}
	f.peer = func(i, j int) string { return n.ports[i][j].LocalAddr().String() }
	var carriers sync.WaitGroup
	for i := range f.nodes {
		for j := range f.nodes {
			if j != i {
				carriers.Go(func() { n.carry(i, j) })
			}
		}
	}
	f.t.Cleanup(func() {
		for _, row := range n.ports {
			for _, conn := range row {
				if conn != nil {
					conn.Close()
				}
			}
		}
		carriers.Wait()
	})
	return n
}

// carry brings what i sends to j.
func (n *network) carry(i, j int) {
	buf := make([]byte, 64<<10)
	for {
		size, _, err := n.ports[i][j].ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		c := captured{i, j, bytes.Clone(buf[:size])}
		n.mu.Lock()
		n.kept = append(n.kept, c)
		deliver := n.policy == nil || n.policy(c)
		n.mu.Unlock()
		if deliver {
			n.inject(c)
		}
	}
}

// inject makes a datagram arrive as if it came from its sender.
func (n *network) inject(c captured) {
	// An error means that the receiver does not run.
	_, _ = n.ports[c.to][c.from].WriteToUDPAddrPort(c.datagram, netip.MustParseAddrPort(n.f.udp(c.to)))
}

// setPolicy says which datagrams are delivered; nil means all.
func (n *network) setPolicy(policy func(captured) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.policy = policy
}

// holdBack is a policy: nothing is delivered, but kept for later.
func (n *network) holdBack(c captured) bool {
	n.held = append(n.held, c)
	return false
}

// deliverHeld delivers what was held back, in order.
func (n *network) deliverHeld() {
	n.mu.Lock()
	held := n.held
	n.held = nil
	n.mu.Unlock()
	for _, c := range held {
		n.inject(c)
	}
}

// captured returns what has passed so far.
func (n *network) captured() []captured {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.kept)
}

// heldLen is how many datagrams are held back.
func (n *network) heldLen() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.held)
}

// takeHeld returns what was held back, which will not be delivered.
func (n *network) takeHeld() []captured {
	n.mu.Lock()
	defer n.mu.Unlock()
	held := n.held
	n.held = nil
	return held
}
