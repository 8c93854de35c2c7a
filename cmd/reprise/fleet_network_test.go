package main

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A network lies between the nodes of a fleet and does to datagrams what it is
// told. Each node sees every other at an address of the network's own: what i
// sends to the one that stands for j arrives at j from the one that stands for i.
type network struct {
	f     *fleet
	ports [][]*net.UDPConn // [i][j] stands for j, as i sees it

	loss atomic.Bool // a fifth each is dropped, duplicated, delayed past others
	pass atomic.Int64

	mu   sync.Mutex // guards what follows
	kept []captured // nil unless capture has been called
	keep bool
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
	random := rand.New(rand.NewPCG(uint64(i), uint64(j))) // each run loses the same shares
	fifth := func() bool { return n.loss.Load() && random.IntN(5) == 0 }
	buf := make([]byte, 64<<10)
	for {
		size, _, err := n.ports[i][j].ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		n.note(captured{i, j, buf[:size]})
		if fifth() {
			continue
		}
		if fifth() {
			n.inject(i, j, buf[:size])
		}
		if fifth() {
			late := bytes.Clone(buf[:size])
			time.AfterFunc(time.Duration(1+random.IntN(3))*time.Millisecond, func() { n.inject(i, j, late) })
			continue
		}
		n.inject(i, j, buf[:size])
	}
}

// inject makes a datagram arrive at j as if it came from i.
func (n *network) inject(i, j int, datagram []byte) {
	n.pass.Add(1)
	// An error means that j does not run.
	_, _ = n.ports[j][i].WriteToUDPAddrPort(datagram, netip.MustParseAddrPort(n.f.udp(j)))
}

// capture begins to keep a copy of everything.
func (n *network) capture() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keep, n.kept = true, nil
}

func (n *network) note(c captured) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.keep {
		c.datagram = bytes.Clone(c.datagram)
		n.kept = append(n.kept, c)
	}
}

// captured returns what has been captured so far.
func (n *network) captured() []captured {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kept
}
