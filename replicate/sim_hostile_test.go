package replicate

import "net/netip"

var elsewhere = netip.MustParseAddrPort("192.0.2.66:6666")
