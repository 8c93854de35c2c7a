package harness

import (
	"github.com/pires/go-proxyproto"
)

// ClientIP is the address of clients in these tests, so that no proxy is taken for one.
const ClientIP = "127.0.0.77"

// Tlv returns the value of a type.
func Tlv(tlvs []proxyproto.TLV, typ proxyproto.PP2Type) string {
	for _, v := range tlvs {
		if v.Type == typ {
			return string(v.Value)
		}
	}
	return ""
}
