package record

import "reprise/tlsconn/primitive"

// A Type is the content type of a record.
type Type uint8

// The types of RFC 8446, Section 5.1.
const (
	ChangeCipherSpec Type = 20
	Alert            Type = 21
	Handshake        Type = 22
	ApplicationData  Type = 23
)

// Bounds in bytes.
const (
	HeaderLen = 5
	MaxPlain  = 1 << 14         // of plaintext in a record
	Max12     = MaxPlain + 2048 // of a fragment in TLS 1.2 (RFC 5246, Section 6.2.3)
	Max13     = MaxPlain + 256  // of a fragment in TLS 1.3 (RFC 8446, Section 5.2)
)

// explicitLen is the length of the part of AES-GCM's nonce that the record carries in TLS 1.2 (RFC
// 5288, Section 3).
const explicitLen = 8

// A Fault says why a record is refused; its comment names the alert.
type Fault uint8

// The faults of records.
const (
	None       Fault = iota
	Overflow         // too long: record_overflow
	BadMAC           // does not open: bad_record_mac
	Unexpected       // of a type not allowed there, or empty: unexpected_message
)

// String returns the name of the alert.
func (f Fault) String() string {
	switch f {
	case None:
		return "none"
	case Overflow:
		return "record_overflow"
	case BadMAC:
		return "bad_record_mac"
	}
	return "unexpected_message"
}

// Scratch keeps nonce and additional data off the heap, since arguments of an interface escape to
// it. One is enough for one goroutine.
type Scratch struct {
	nonce [primitive.NonceLen]byte
	ad    [13]byte
}
