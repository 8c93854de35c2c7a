package wire

// MaxStatusLen bounds the text of a [Status], which has to fit into one datagram of any network.
const MaxStatusLen = 1024

// A StatusRequest asks for a node's status, for an operator's view of the fleet.
type StatusRequest struct{ To ShortID }

// Append appends the message to b.
func (m StatusRequest) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeStatusRequest, m.To)
	return EndMessage(b, start)
}

// StatusRequest returns the message's contents.
func (m Message) StatusRequest() StatusRequest { return StatusRequest{ShortID(m.body)} }

// A Status answers a [StatusRequest]. The format of Text is defined elsewhere: it is JSON from a
// peer, so its reader has to check it. It aliases the datagram's plaintext.
type Status struct {
	To   ShortID
	Text []byte
}

// Append appends the message to b. A text that is too long is left out.
func (m Status) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeStatus, m.To)
	if len(m.Text) <= MaxStatusLen {
		b = append(b, m.Text...)
	}
	return EndMessage(b, start)
}

// Status returns the message's contents.
func (m Message) Status() Status { return Status{ShortID(m.body), m.body[4:]} }
