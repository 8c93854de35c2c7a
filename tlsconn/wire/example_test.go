package wire_test

import (
	"fmt"

	"reprise/tlsconn/wire"
)

// A server answers a ClientHello that it cannot parse with the fault's alert.
func ExampleClientHello_Parse() {
	var h wire.ClientHello
	fmt.Println(h.Parse([]byte{wire.TypeClientHello, 0, 0, 1, 3}))
	// Output: decode_error
}

func ExampleAppendKeyUpdate() {
	msg := wire.AppendKeyUpdate(nil, true)
	requested, fault := wire.ParseKeyUpdate(msg)
	fmt.Printf("%x %v %v\n", msg, requested, fault)
	// Output: 1800000101 true none
}
