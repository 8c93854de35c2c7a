package proxy_test

import (
	"fmt"
	"net/netip"

	"reprise/backend/proxy"
)

// A node reads the header of the proxy in front, and writes it for a backend.
func Example() {
	received := []byte("PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\r\n" + "\x16\x03\x01...")

	_, n, err := proxy.Parse(received[:20])
	fmt.Println("too short:", n, err)

	h, n, err := proxy.Parse(received)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("client:", h.Source)
	fmt.Printf("then: %q\n", received[n:])

	h.Destination = netip.MustParseAddrPort("192.0.2.2:443")
	fmt.Printf("to the backend: %q\n", proxy.AppendV1(nil, &h))
	// Output:
	// too short: 0 <nil>
	// client: 203.0.113.7:54321
	// then: "\x16\x03\x01..."
	// to the backend: "PROXY TCP4 203.0.113.7 192.0.2.2 54321 443\r\n"
}
