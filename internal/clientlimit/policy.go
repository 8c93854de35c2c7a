package clientlimit

import (
	"net/netip"
	"time"
)

// A Rate is how often something may happen: PerSecond in the long run, Burst at once. The
// zero value is without limit.
type Rate struct{ PerSecond, Burst int }

// A Policy bounds what clients may take. The zero value limits nothing. It must not be changed once
// it is in use.
type Policy struct {
	Connections int // of a client at the same time, 0 is without limit
	Handshakes  Rate
	Requests    Rate
	// Prefix4 and Prefix6 are how many bits of an address tell clients apart: 0 stands for
	// 32 and 64, which are the most.
	Prefix4, Prefix6 int
	// Allow is exempt, also from Deny, whose clients are refused.
	Allow, Deny Networks
}

// Verdict says how a connection is treated.
type Verdict uint8

const (
	Admitted Verdict = iota
	Denied           // by the list
	TooMany          // connections of its client
)

// limits reports whether anything needs counting.
func (p *Policy) limits() bool {
	return p.Connections > 0 || p.Handshakes.PerSecond > 0 || p.Requests.PerSecond > 0
}

// Connect begins a connection of addr. If it is admitted, [Table.Disconnect] must be told
// of its end, with key.
func (p *Policy) Connect(t *Table, addr netip.Addr, now time.Time) (key Key, v Verdict) {
	switch {
	case !addr.IsValid(): // a unix socket's, whose permissions decide
		return 0, Admitted
	case p.Allow.Contains(addr):
		return 0, Admitted
	case p.Deny.Contains(addr):
		return 0, Denied
	case t == nil || !p.limits():
		return 0, Admitted
	}
	key = p.keyOf(addr)
	tracked, admitted := t.connect(key, p.Connections, now)
	switch {
	case !admitted:
		return 0, TooMany
	case !tracked:
		return 0, Admitted
	}
	return key, Admitted
}

// Handshake reports whether the client may make a full handshake now.
func (p *Policy) Handshake(t *Table, key Key, now time.Time) bool {
	return p.Handshakes.PerSecond == 0 || key == 0 ||
		t.take(key, handshakes, p.Handshakes, now) == 0
}

// Request returns how long the client has to wait until it may make a request, 0 if it
// may now.
func (p *Policy) Request(t *Table, key Key, now time.Time) time.Duration {
	if p.Requests.PerSecond == 0 || key == 0 {
		return 0
	}
	return t.take(key, requests, p.Requests, now)
}

// A Key stands for a client: the first 64 bits of an IPv6 address, or an IPv4 address behind 32
// bits that no client's IPv6 address begins with. 0 stands for a client that is not counted.
type Key uint64

const (
	key4    = 0xffffffff << 32 // ff00::/8 is multicast
	keyZero = 0xfffffffe << 32 // ::/64
)

func (p *Policy) keyOf(addr netip.Addr) Key {
	if addr = addr.Unmap(); addr.Is4() {
		b := addr.As4()
		v := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
		if p.Prefix4 > 0 {
			v &= ^uint64(0) << (32 - p.Prefix4) & (1<<32 - 1)
		}
		return Key(key4 | v)
	}
	b := addr.As16()
	var v uint64
	for _, octet := range b[:8] {
		v = v<<8 | uint64(octet)
	}
	if p.Prefix6 > 0 {
		v &= ^uint64(0) << (64 - p.Prefix6)
	}
	if v == 0 {
		return keyZero
	}
	return Key(v)
}
