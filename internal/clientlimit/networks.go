package clientlimit

import (
	"net/netip"
	"slices"
	"sort"
)

// Networks are a set of addresses; a look-up takes logarithmic time. The zero value is empty.
type Networks struct{ ranges []addressRange }

// An addressRange includes both its ends. Ranges are in order and do not touch.
type addressRange struct{ first, last netip.Addr }

// NewNetworks returns the set of all addresses in networks, which have no zone.
func NewNetworks(networks []netip.Prefix) Networks {
	all := make([]addressRange, len(networks))
	for i, p := range networks {
		all[i] = addressRange{p.Masked().Addr(), lastOf(p)}
	}
	slices.SortFunc(all, func(a, b addressRange) int { return a.first.Compare(b.first) })
	var merged []addressRange
	for _, r := range all {
		if n := len(merged); n > 0 && r.first.Compare(merged[n-1].last) <= 0 {
			if r.last.Compare(merged[n-1].last) > 0 {
				merged[n-1].last = r.last
			}
			continue
		}
		merged = append(merged, r)
	}
	return Networks{merged}
}

// lastOf returns the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}

// Contains reports whether addr is in the set.
func (n Networks) Contains(addr netip.Addr) bool {
	if len(n.ranges) == 0 {
		return false
	}
	addr = addr.Unmap().WithZone("")
	i := sort.Search(len(n.ranges), func(i int) bool { return n.ranges[i].last.Compare(addr) >= 0 })
	return i < len(n.ranges) && n.ranges[i].first.Compare(addr) <= 0
}
