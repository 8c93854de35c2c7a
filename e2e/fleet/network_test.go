package fleet

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"reprise/e2e/harness"
)

// A network lies between the nodes of a fleet and treats datagrams by its policy. Each node sees
// every other at an address of the network's own: what i sends to the one that stands for j arrives
// at j from the one that stands for i.
type network struct {
	f     *harness.Fleet
	ports [][]*net.UDPConn // [i][j] stands for j, as i sees it

	lossy  atomic.Bool  // a fifth each is dropped, duplicated, delayed past others
	passed atomic.Int64 // datagrams delivered

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
func newNetwork(f *harness.Fleet) *network {
	f.T.Helper()
	n := &network{f: f, ports: make([][]*net.UDPConn, len(f.Nodes))}
	for i := range f.Nodes {
		n.ports[i] = make([]*net.UDPConn, len(f.Nodes))
		for j := range f.Nodes {
			if j == i {
				continue
			}
			conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				f.T.Fatal(err)
			}
			_ = conn.SetReadBuffer(4 << 20) // or what the kernel allows
			n.ports[i][j] = conn
		}
	}
	f.Peer = func(i, j int) string { return n.ports[i][j].LocalAddr().String() }
	var carriers sync.WaitGroup
	for i := range f.Nodes {
		for j := range f.Nodes {
			if j != i {
				carriers.Go(func() { n.carry(i, j) })
			}
		}
	}
	f.T.Cleanup(func() {
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
	random := rand.New(rand.NewPCG(uint64(i), uint64(j))) // each run loses the same shares
	fifth := func() bool { return n.lossy.Load() && random.IntN(5) == 0 }
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
		if !deliver || fifth() {
			continue
		}
		if fifth() {
			n.inject(c)
		}
		if fifth() {
			time.AfterFunc(time.Duration(1+random.IntN(3))*time.Millisecond, func() { n.inject(c) })
			continue
		}
		n.inject(c)
	}
}

// inject makes a datagram arrive as if it came from its sender.
func (n *network) inject(c captured) {
	n.passed.Add(1)
	// An error means that the receiver does not run.
	_, _ = n.ports[c.to][c.from].WriteToUDPAddrPort(c.datagram, netip.MustParseAddrPort(n.f.UDP(c.to)))
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

// deliverHeld delivers the datagrams held back, in order.
func (n *network) deliverHeld() {
	n.mu.Lock()
	held := n.held
	n.held = nil
	n.mu.Unlock()
	for _, c := range held {
		n.inject(c)
	}
}

// captured returns the datagrams that have passed so far.
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

// takeHeld returns the datagrams held back, which will not be delivered.
func (n *network) takeHeld() []captured {
	n.mu.Lock()
	defer n.mu.Unlock()
	held := n.held
	n.held = nil
	return held
}
