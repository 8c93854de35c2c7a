package wire

import (
	"encoding/binary"
	"time"
)

// Stream identifies one of a sender's streams of batches: each receiver numbers both separately.
type Stream uint8

// The streams.
const (
	StreamAll  Stream = 0 // to all nodes
	StreamHome Stream = 1 // to one node, of the sessions that it is a home of
)

// A Batch has changes at its sender. Seq numbers a stream's batches from 1. To is [Everybody] in
// the stream to all. Waited is how long the first of its updates waited for the others.
type Batch struct {
	To      ShortID
	Stream  Stream
	Seq     uint64
	Waited  time.Duration // whole microseconds
	Records Records
}

// Append appends the message to b.
func (m Batch) Append(b []byte) []byte {
	b, start := BeginBatch(b, m.To, m.Stream, m.Seq, m.Waited)
	return EndMessage(append(b, m.Records...), start)
}

// BeginBatch appends a batch message without records to b. [AppendRecord] adds
// some, [EndMessage] ends it.
func BeginBatch(b []byte, to ShortID, stream Stream, seq uint64,
	waited time.Duration,
) (_ []byte, start int) {
	b, start = beginMessage(b, TypeBatch, to)
	b = append(b, byte(stream))
	b = binary.BigEndian.AppendUint64(b, seq)
	return appendDuration(b, waited, time.Microsecond), start
}

// Batch returns the message's contents.
func (m Message) Batch() Batch {
	return Batch{
		To: ShortID(m.body), Stream: Stream(m.body[4]), Seq: binary.BigEndian.Uint64(m.body[5:]),
		Waited: parseDuration(m.body[13:], time.Microsecond), Records: m.body[17:],
	}
}

// A Heartbeat says which batches its sender made in the stream to all, and what it knows. Oldest is
// the oldest batch that it can still repeat; Sent is the time of sending in microseconds by its own
// clock, meaningful only to the sender, to which it is echoed. Rules is the exclusive or of the ids
// of the rules in force, Members that of the nodes it knows, itself included.
type Heartbeat struct {
	To      ShortID
	Newest  uint64
	Oldest  uint64
	Sent    uint64
	Rules   uint64
	Members uint32
}

// Append appends the message to b.
func (m Heartbeat) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeHeartbeat, m.To)
	b = binary.BigEndian.AppendUint64(b, m.Newest)
	b = binary.BigEndian.AppendUint64(b, m.Oldest)
	b = binary.BigEndian.AppendUint64(b, m.Sent)
	b = binary.BigEndian.AppendUint64(b, m.Rules)
	return EndMessage(binary.BigEndian.AppendUint32(b, m.Members), start)
}

// Heartbeat returns the message's contents.
func (m Message) Heartbeat() Heartbeat {
	return Heartbeat{
		To: ShortID(m.body), Newest: binary.BigEndian.Uint64(m.body[4:]),
		Oldest: binary.BigEndian.Uint64(m.body[12:]),
		Sent:   binary.BigEndian.Uint64(m.body[20:]), Rules: binary.BigEndian.Uint64(m.body[28:]),
		Members: binary.BigEndian.Uint32(m.body[36:]),
	}
}

// An Echo returns a [Heartbeat] to its sender. Held is how long the echo waited, not counting the
// network. Stream, Newest and Oldest say which batches the echo's sender made in a stream, as a
// heartbeat does for the stream to all; an Echo whose Sent is 0 says only that.
type Echo struct {
	To     ShortID
	Sent   uint64
	Held   time.Duration // whole microseconds
	Stream Stream
	Newest uint64
	Oldest uint64
}

// Append appends the message to b.
func (m Echo) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeEcho, m.To)
	b = binary.BigEndian.AppendUint64(b, m.Sent)
	b = appendDuration(b, m.Held, time.Microsecond)
	b = append(b, byte(m.Stream))
	b = binary.BigEndian.AppendUint64(b, m.Newest)
	return EndMessage(binary.BigEndian.AppendUint64(b, m.Oldest), start)
}

// Echo returns the message's contents.
func (m Message) Echo() Echo {
	return Echo{
		To: ShortID(m.body), Sent: binary.BigEndian.Uint64(m.body[4:]),
		Held:   parseDuration(m.body[12:], time.Microsecond),
		Stream: Stream(m.body[16]), Newest: binary.BigEndian.Uint64(m.body[17:]),
		Oldest: binary.BigEndian.Uint64(m.body[25:]),
	}
}

// A Repair asks for batches again.
type Repair struct {
	To     ShortID
	Stream Stream
	Ranges Ranges
}

// Append appends the message to b.
func (m Repair) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeRepair, m.To)
	b = append(b, byte(m.Stream))
	return EndMessage(append(b, m.Ranges...), start)
}

// Repair returns the message's contents.
func (m Message) Repair() Repair { return Repair{ShortID(m.body), Stream(m.body[4]), m.body[5:]} }
