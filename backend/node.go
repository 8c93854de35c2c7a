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

// Protocol is the protocol a node speaks.
type Protocol uint8

const (
	TCP Protocol = iota
	HTTP
	UWSGI
	H2C // HTTP/2 without TLS, by prior knowledge (RFC 9113, Section 3.3)
)

// maxWeight keeps the products of weights and connections far from overflow.
const maxWeight = 1 << 16

// A Spec is a node as configured.
type Spec struct {
	Name     string // for the log, statistics and Source's hash; empty: Address
	Network  string // "tcp" or "unix"
	Address  string // host:port, where host may be a DNS name, or a path
	Protocol Protocol
	TLS      bool // connections use TLS, by the pool's Options.TLS
	Weight   int  // its share relative to the other nodes; 0 is 1
	MaxConns int  // connections at once, over all loops; 0: no limit
	Backup   bool // used only while no other node is usable
}

// Reasons not to pick a node, besides failures.
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
	index int    // index of its place in cursors
	seed  uint64 // its name, hashed
	host  string // the DNS name, if Address has one
	port  uint16

	removed context.Context // ends when the node is no longer a member of its pool
	remove  context.CancelFunc

	graceEnd *time.Timer // wakes waiting flows when the grace is over

	// Read by every Pick, seldom written. Times are those of pool.stamp, 0 is never.
	flags      atomic.Uint32
	failedAt   atomic.Int64 // last failure, or last attempt after it; 0 while the node is up
	returnedAt atomic.Int64 // start of its slow start
	endpoints  atomic.Pointer[[]netip.AddrPort]
	share      atomic.Int64 // its weight relative to the other nodes
	maxConns   atomic.Int64 // connections at once, 0: no limit
	backup     atomic.Bool  // used only while no other node is usable
	tls        atomic.Pointer[tlsclient.Client]

	// Written with every connection, so kept out of the cache line above.
	_                    cpu.CacheLinePad
	active               atomic.Int64 // slots taken by Pick and not yet released
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

// tune sets the fields that may change while the node serves.
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

// Pool returns the pool that the node is or was a member of.
func (n *Node) Pool() *Pool { return n.pool }

// SetWeight changes the node's share relative to the others, limited to 1 to 65536.
func (n *Node) SetWeight(weight int) { n.share.Store(int64(min(max(weight, 1), maxWeight))) }

// Weight returns that share.
func (n *Node) Weight() int { return int(n.share.Load()) }

// Network returns "tcp" or "unix".
func (n *Node) Network() string { return n.spec.Network }

// Address returns host:port, or a path, where the node listens.
func (n *Node) Address() string { return n.spec.Address }

// Path returns where a node of network unix listens.
func (n *Node) Path() string { return n.spec.Address }

// Endpoint returns the address to connect to: the node's addresses in turn. It returns false while
// the node's name has not been resolved, and for a unix socket.
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

// Connected records an established connection: the node is up.
func (n *Node) Connected() {
	n.connects.Inc()
	n.Answered()
}

// Answered records that the node has served a request or connection: it is up.
func (n *Node) Answered() {
	if n.failedAt.Load() != 0 && n.failedAt.Swap(0) != 0 {
		n.returned()
	}
}

// Failed records that no connection could be established, or that the node broke one in a way that
// shows a fault of the node.
func (n *Node) Failed(now time.Time) {
	n.failures.Inc()
	n.failedAt.Store(n.pool.stamp(now))
	n.graceEnd.Reset(n.pool.Options().Grace)
	n.pool.wake() // waiting flows try a backup, or learn that no node is left
}

// SetDraining stops new connections to the node, or allows them again. Established ones go on.
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

// usable reports whether the node has no fault, or its grace is over.
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
	passed := max(at-returnedAt, 0) // a loop's clock may lag by one turn
	return w * (least + int64(float64(full-least)*float64(passed)/float64(slowStart)))
}
