package wire

import "encoding/binary"

// A SnapshotRequest asks for a node's sessions from Cursor on, which is 0 for all or the last
// part's Next. Parts are those wanted; none means all. Stream is StreamHome to ask only for
// sessions that the asking node is a home of.
type SnapshotRequest struct {
	To     ShortID
	Stream Stream
	Cursor uint64
	Parts  Parts
}

// Append appends the message to b.
func (m SnapshotRequest) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeSnapshotRequest, m.To)
	b = append(b, byte(m.Stream))
	b = binary.BigEndian.AppendUint64(b, m.Cursor)
	return EndMessage(append(b, m.Parts...), start)
}

// SnapshotRequest returns the message's contents.
func (m Message) SnapshotRequest() SnapshotRequest {
	return SnapshotRequest{
		ShortID(m.body), Stream(m.body[4]), binary.BigEndian.Uint64(m.body[5:]),
		m.body[13:],
	}
}

// A SnapshotPart is one of the Parts datagrams that answer a [SnapshotRequest]; Part is its number.
type SnapshotPart struct {
	To      ShortID
	Cursor  uint64 // as in the request
	Next    uint64 // the cursor to ask for next
	Part    uint16
	Parts   uint16
	Records Records
}

// Append appends the message to b.
func (m SnapshotPart) Append(b []byte) []byte {
	b, start := BeginSnapshotPart(b, m)
	return EndMessage(append(b, m.Records...), start)
}

// BeginSnapshotPart appends m without its records to b. [AppendRecord] adds some,
// [EndMessage] ends it.
func BeginSnapshotPart(b []byte, m SnapshotPart) (_ []byte, start int) {
	b, start = beginMessage(b, TypeSnapshotPart, m.To)
	b = binary.BigEndian.AppendUint64(b, m.Cursor)
	b = binary.BigEndian.AppendUint64(b, m.Next)
	b = binary.BigEndian.AppendUint16(b, m.Part)
	return binary.BigEndian.AppendUint16(b, m.Parts), start
}

// SnapshotPart returns the message's contents.
func (m Message) SnapshotPart() SnapshotPart {
	return SnapshotPart{
		To:      ShortID(m.body),
		Cursor:  binary.BigEndian.Uint64(m.body[4:]),
		Next:    binary.BigEndian.Uint64(m.body[12:]),
		Part:    binary.BigEndian.Uint16(m.body[20:]),
		Parts:   binary.BigEndian.Uint16(m.body[22:]),
		Records: m.body[24:],
	}
}
