package wire

// A Fault is the reason why a message is refused, named after its alert (RFC 8446, Section 6). The
// zero value is None.
type Fault uint8

// Faults of messages.
const (
	None         Fault = iota
	Decode             // decode_error: a length or the syntax is wrong
	Illegal            // illegal_parameter: well-formed, but contradicts itself or the standard
	Missing            // missing_extension
	Unsupported        // unsupported_extension: one that was not requested
	Unrecognized       // unrecognized_name: a server name longer than any valid one
)

// String returns the name of the fault's alert.
func (f Fault) String() string {
	switch f {
	case None:
		return "none"
	case Decode:
		return "decode_error"
	case Illegal:
		return "illegal_parameter"
	case Missing:
		return "missing_extension"
	case Unsupported:
		return "unsupported_extension"
	case Unrecognized:
		return "unrecognized_name"
	default:
		return "unknown fault"
	}
}
