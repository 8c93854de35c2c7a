package node

import (
	"net/netip"
	"slices"
	"testing"

	"reprise/config"
)

// A name that does not resolve keeps its addresses, and the others get new ones.
func TestNamesThatFailKeepTheirAddresses(t *testing.T) {
	gone := config.Address{Network: "udp", Host: "gone.invalid", Port: 7171} // RFC 6761 section 6.4
	there := config.Address{Network: "udp", Host: "127.0.0.9", Port: 7171}
	old := netip.MustParseAddrPort("127.0.0.5:7171")
	resolved := resolvedNames{gone: {old}}
	list, names, err := resolved.resolve([]config.Address{there, gone})
	want := []netip.AddrPort{old, netip.MustParseAddrPort("127.0.0.9:7171")}
	if err == nil || !slices.Equal(list, want) {
		t.Errorf("%v, %v; want %v and an error", list, err, want)
	}
	if names[old] != "gone.invalid:7171" {
		t.Errorf("%v", names)
	}
}
