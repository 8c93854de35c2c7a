package backend

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/cpu"

	"reprise/backend/tlsclient"
	"reprise/internal/metric"
)

// Protocol is what a node speaks.
type Protocol uint8

const (
	TCP Protocol = iota
	HTTP
	UWSGI
	H2C // HTTP/2 without TLS, by prior knowledge (RFC 9113, Section 3.3)
)

// maxWeight keeps the products of weights and connections far from overflow.
const maxWeight = 1 << 16

// A Spec is a node as it is configured.
type Spec struct {
	Name     string // for the log and statistics, and what Source hashes; empty: Address
	Network  string // "tcp" or "unix"
	Address  string // host:port, where host may be a DNS name, or a path
	Protocol Protocol
	TLS      bool // it is spoken to by TLS, as the pool's Options say
	Weight   int  // its share beside the other nodes; 0 is 1
	MaxConns int  // at once, over all loops; 0: no limit
	Backup   bool // used only while no other node can be
}

// What keeps a node from being picked, beside failures.
const (
	flagDown       = 1 << iota // active checks say so
	flagDraining               // an operator says so
	flagUnresolved             // its name has no address yet
)

// A Node is one backend server of a pool. All methods may be called from any
// goroutine.
type Node struct {
	spec  Spec
	pool  *Pool
	index int    // of its place in cursors
	seed  uint64 // its name, hashed
	host  string // the DNS name, if Address has one
	port  uint16

	removed context.Context // ends when the node is no member of its pool any more
	remove  context.CancelFunc

	graceEnd *time.Timer // tells those who wait that the grace is over

	// Read by every Pick, seldom written. Times are of pool.stamp, 0 is never.
	flags      atomic.Uint32
	failedAt   atomic.Int64 // the last failure, or attempt since; 0 while the node is well
	returnedAt atomic.Int64 // when its slow start began
	endpoints  atomic.Pointer[[]netip.AddrPort]
	share      atomic.Int64 // its weight beside the other nodes
	maxConns   atomic.Int64 // at once, 0: no limit
	backup     atomic.Bool  // used only while no other node can be
	tls        atomic.Pointer[tlsclient.Client]

	// Written with every connection, so not in the cache line of the above.
	_                    cpu.CacheLinePad
	active               atomic.Int64 // slots taken by Pick and not given back
	connects, failures   metric.Counter
	checks, checksFailed metric.Counter
	_                    cpu.CacheLinePad

	tlsTold, answersTold told
}

func newNode(p *Pool, s Spec, tls *tlsclient.Policy) (*Node, error) {
	s.Name, s.Weight = cmp.Or(s.Name, s.Address), cmp.Or(s.Weight, 1)
	n := &Node{spec: s, pool: p, seed: hashName(s.Name)}
	n.tune(&s)
	switch {
	case s.Weight < 1 || s.Weight > maxWeight:
		return nil, fmt.Errorf("backend %s: weight %d: write 1 to %d", s.Name, s.Weight, maxWeight)
	case s.MaxConns < 0:
		return nil, fmt.Errorf("backend %s: at most %d connections: write 0 (no limit) or more",
			s.Name, s.MaxConns)
	case s.Network == "unix" && s.Address != "":
		return n, n.setTLS(tls)
	case s.Network == "tcp":
		if err := n.parseAddress(); err != nil {
			return nil, err
		}
		return n, n.setTLS(tls)
	}
	return nil,
		fmt.Errorf(
			"backend %s: network %q, address %q: write tcp and HOST:PORT, or unix and a path",
			s.Name,
			s.Network, s.Address)
}

// tune sets what may change while the node serves.
func (n *Node) tune(s *Spec) {
	n.share.Store(int64(s.Weight))
	n.maxConns.Store(int64(s.MaxConns))
	n.backup.Store(s.Backup)
}

func (n *Node) parseAddress() error {
	host, portName, err := net.SplitHostPort(n.spec.Address)
	if err != nil {
		return fmt.Errorf("backend %s: address %q: write HOST:PORT", n.spec.Name, n.spec.Address)
	}
	port, err := strconv.ParseUint(portName, 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("backend %s: port %q: write 1 to 65535", n.spec.Name, portName)
	}
	host = cmp.Or(host, "127.0.0.1") // ":9000" is this machine
	n.port, n.spec.Address = uint16(port), net.JoinHostPort(host, portName)
	ip, err := netip.ParseAddr(host)
	if err != nil {
		n.host = host
		n.flags.Store(flagUnresolved)
		return nil
	}
	n.endpoints.Store(&[]netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), n.port)})
	return nil
}

func hashName(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// Name returns the node's name for logs and statistics.
func (n *Node) Name() string { return n.spec.Name }

// Protocol returns what the node speaks.
func (n *Node) Protocol() Protocol { return n.spec.Protocol }

// Pool returns the pool that the node is of, or was.
func (n *Node) Pool() *Pool { return n.pool }

// SetWeight changes the node's share beside the others; it is held to 1 to 65536.
func (n *Node) SetWeight(weight int) { n.share.Store(int64(min(max(weight, 1), maxWeight))) }

// Weight returns that share.
func (n *Node) Weight() int { return int(n.share.Load()) }

// Network returns "tcp" or "unix".
func (n *Node) Network() string { return n.spec.Network }

// Address returns host:port, or a path, where the node listens.
func (n *Node) Address() string { return n.spec.Address }

// Path returns where a node of network unix listens.
func (n *Node) Path() string { return n.spec.Address }

// Endpoint returns where to connect to: the node's addresses in turn. It
// returns false while the node's name has not been resolved, and for a unix socket.
func (n *Node) Endpoint(c *Cursor) (netip.AddrPort, bool) {
	list := n.endpoints.Load()
	if list == nil {
		return netip.AddrPort{}, false
	}
	c.enter(n.pool)
	place := c.place(n)
	place.endpoint++
	return (*list)[(place.endpoint-1)%uint(len(*list))], true
}

// Connected notes that a connection was established: the node is well.
func (n *Node) Connected() {
	n.connects.Inc()
	n.Answered()
}

// Answered notes that the node has served somebody: it is well.
func (n *Node) Answered() {
	if n.failedAt.Load() != 0 && n.failedAt.Swap(0) != 0 {
		n.returned()
	}
}

// Failed notes that no connection could be established, or that the node broke
// one in a way that tells it is not well.
func (n *Node) Failed(now time.Time) {
	n.failures.Inc()
	n.failedAt.Store(n.pool.stamp(now))
	n.graceEnd.Reset(n.pool.Options().Grace)
	n.pool.wake() // to a backup, or to be told that nothing is left
}

// SetDraining makes an end of new connections, or begins with them again. Those
// established go on.
func (n *Node) SetDraining(on bool) { n.setFlag(flagDraining, on) }

// setFlag sets or clears a flag and reports whether that changed it.
func (n *Node) setFlag(flag uint32, on bool) (changed bool) {
	if on {
		changed = n.flags.Or(flag)&flag == 0
	} else {
		changed = n.flags.And(^flag)&flag != 0
	}
	if changed && !on {
		n.returned()
	} else if changed {
		n.pool.wake()
	}
	return changed
}

// returned begins the slow start of a node that may be picked again.
func (n *Node) returned() {
	n.returnedAt.Store(n.pool.stamp(time.Now()))
	n.pool.wake()
}

// usable reports whether nothing is known against the node, or its grace is over.
func (n *Node) usable(at int64) bool {
	if n.flags.Load() != 0 {
		return false
	}
	failedAt := n.failedAt.Load()
	return failedAt == 0 || at-failedAt >= int64(n.pool.Options().Grace)
}

// weight returns the node's weight in percent, less during its slow start.
func (n *Node) weight(at int64) int64 {
	const full, least = 100, 10
	w, slowStart := n.share.Load(), int64(n.pool.Options().SlowStart)
	returnedAt := n.returnedAt.Load()
	if slowStart == 0 || returnedAt == 0 || at-returnedAt >= slowStart {
		return w * full
	}
	passed := max(at-returnedAt, 0) // a loop's clock may be a turn behind
	return w * (least + int64(float64(full-least)*float64(passed)/float64(slowStart)))
}
