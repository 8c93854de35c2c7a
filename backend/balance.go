package backend

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"net/netip"
)

// Balance is how a pool chooses among its usable nodes. Each kind respects weights.
type Balance uint8

const (
	// RoundRobin deals connections in turn, spreading those of a heavy node among the others', as
	// nginx does: weights 5, 1, 1 give a a b a c a a.
	RoundRobin Balance = iota
	// LeastConns takes the node with the fewest connections for its weight.
	LeastConns
	// Source always sends a source address to the same node (weighted rendezvous hashing), also at
	// other members of a fleet. If a node goes, only its own clients move. Connections without a
	// source address are dealt as by RoundRobin.
	Source
	// TwoChoices takes the better of two random nodes, by connections for its weight. With many
	// loops or fleet members it keeps them from all choosing the same seemingly idle node.
	TwoChoices
)

// choose returns the index of its choice in c.candidates, which must not be empty.
func (b Balance) choose(c *Cursor, source netip.Addr, at int64) int {
	switch {
	case b == LeastConns:
		return c.leastConns(at)
	case b == TwoChoices:
		return c.twoChoices(at)
	case b == Source && source.IsValid():
		return c.rendezvous(source, at)
	default:
		return c.roundRobin(at)
	}
}

// roundRobin is smooth weighted round robin: each node earns its weight, the richest is chosen and
// pays what all have earned.
func (c *Cursor) roundRobin(at int64) int {
	best, earned := 0, int64(0)
	var richest *place
	for i, n := range c.candidates {
		w := n.weight(at)
		earned += w
		own := c.place(n)
		if own.credit += w; richest == nil || own.credit > richest.credit {
			best, richest = i, own
		}
	}
	richest.credit -= earned
	return best
}

func (c *Cursor) leastConns(at int64) int {
	c.turn++
	best := int(c.turn % uint(len(c.candidates)))
	for i := range c.candidates {
		if c.lighter(i, best, at) {
			best = i
		}
	}
	return best
}

func (c *Cursor) twoChoices(at int64) int {
	if len(c.candidates) == 1 {
		return 0
	}
	i, j := rand.IntN(len(c.candidates)), rand.IntN(len(c.candidates)-1)
	if j >= i {
		j++
	}
	if c.lighter(j, i, at) {
		return j
	}
	return i
}

// lighter reports whether candidate i, with one connection more, would have fewer connections for
// its weight than candidate j.
func (c *Cursor) lighter(i, j int, at int64) bool {
	a, b := c.candidates[i], c.candidates[j]
	return (a.active.Load()+1)*b.weight(at) < (b.active.Load()+1)*a.weight(at)
}

// rendezvous gives each node a random number in (0, 1) that depends on the node and the source, and
// chooses the largest weight/-ln(number): a node wins by its share of the weights, and changing its
// weight moves only clients from or to it.
func (c *Cursor) rendezvous(source netip.Addr, at int64) int {
	b := source.As16() // ::ffff:192.0.2.1 and 192.0.2.1 are the same client
	h := mix(mix(binary.BigEndian.Uint64(b[:8])) ^ binary.BigEndian.Uint64(b[8:]))
	best, bestScore := 0, -1.0
	for i, n := range c.candidates {
		number := (float64(mix(h^n.seed)>>11) + 0.5) / (1 << 53)
		if score := float64(n.weight(at)) / -math.Log(number); score > bestScore {
			best, bestScore = i, score
		}
	}
	return best
}

// mix makes every bit depend on every other: the finalizer of MurmurHash3.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
