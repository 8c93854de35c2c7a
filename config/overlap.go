package config

import (
	"net/netip"
	"path/filepath"
)

// listensAt returns every address that this process listens on, with its option.
func (b *builder) listensAt() []pendingAddress {
	var all []pendingAddress
	for _, l := range b.listeners {
		all = append(all, pendingAddress{l.Addr, l.from})
	}
	c := &b.config
	all = append(all, pendingAddress{c.Stats, b.written("stats")})
	all = append(all, b.admins...)
	for _, r := range Routers {
		if a, ok := c.RouterStats[r.String()]; ok {
			all = append(all, pendingAddress{a, b.written(r.String() + "-stats")})
		}
	}
	for _, list := range [][]pendingAddress{
		b.udpServers, b.repeaters, b.sockets, b.subscriptionServers,
	} {
		all = append(all, list...)
	}
	return all
}

// checkAddresses reports addresses that cannot be bound together, and listeners that would relay to
// themselves.
func (b *builder) checkAddresses() {
	var taken []pendingAddress
	for _, a := range b.listensAt() {
		for _, first := range taken {
			if !a.overlaps(first.Address) {
				continue
			}
			if a.Address == first.Address {
				b.fail(a.from.errorf("%v is taken by %s at %s: choose another address",
					a, first.from.option.name, first.from.source))
			} else {
				b.fail(a.from.errorf(
					"%v overlaps %v of %s at %s: choose another port, or write one of the two",
					a, first, first.from.option.name, first.from.source))
			}
			break
		}
		taken = append(taken, a)
	}
	for _, l := range b.listeners {
		if b.config.PoolOf(l.Router).has(l.Addr) {
			b.fail(l.from.errorf("%v is also in %v-to: it would relay to itself", l.Addr, l.Router))
		}
		for _, p := range b.config.NamedPools {
			if p.Router == l.Router && p.has(l.Addr) {
				b.fail(l.from.errorf("%v is also in pool %s: it would relay to itself", l.Addr,
					p.Name))
			}
		}
	}
}

// overlaps reports whether the kernel refuses to bind listening sockets to both addresses, as far
// as that is known without resolving names.
func (a Address) overlaps(other Address) bool {
	switch {
	case a.Network != other.Network || a.IsZero():
		return false
	case a.Network == "unix":
		return filepath.Clean(a.Path) == filepath.Clean(other.Path)
	case a.Port != other.Port || a.Port == 0: // the kernel chooses different ones for 0
		return false
	}
	ip4, ip6 := a.families()
	other4, other6 := other.families()
	return a.Host == other.Host || ip4.overlaps(other4) || ip6.overlaps(other6)
}

// addressSet holds the addresses of a family that a socket listens to: none, one, or all.
type addressSet struct {
	all bool
	one netip.Addr // the zero Addr: none, unless all
}

func (s addressSet) overlaps(t addressSet) bool {
	empty := netip.Addr{}
	return s.all && (t.all || t.one != empty) || t.all && s.one != empty || s.one != empty &&
		s.one == t.one
}

// families returns the IPv4 and IPv6 addresses that a socket at a listens to: none of either for a
// name.
func (a Address) families() (ip4, ip6 addressSet) {
	host := a.Host
	if host == "localhost" { // of its addresses this one is preferred
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	switch {
	case host == "", a.Network == "udp" && err == nil && ip == netip.IPv6Unspecified():
		return addressSet{all: true}, addressSet{all: true}
	case err != nil:
		return ip4, ip6
	case ip.Is4():
		return addressSet{all: ip.IsUnspecified(), one: ip}, ip6
	default:
		return ip4, addressSet{all: ip.IsUnspecified(), one: ip}
	}
}
