package replicate

import (
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math"
	"time"
)

const (
	messageHeaderLen = 3
	recordHeaderLen  = 23 // kind, key, lifetime, length
	rangeLen         = 10
	partLen          = 2

	// maxValueLen is the longest session that travels. With it a datagram is
	// fragmented by IP, which is tolerable for the rare session that holds a
	// client's certificates.
	maxValueLen = 16 << 10

	// BatchOverhead is how many bytes longer a batch message is than its records.
	BatchOverhead = messageHeaderLen + 16

	// SnapshotPartOverhead is how many bytes longer a snapshot part message is
	// than its records.
	SnapshotPartOverhead = messageHeaderLen + 24
)

// A Key names a session: random, and known to its client and the fleet only.
type Key [16]byte

// An ID names one life of a node: random, made at its start.
type ID [16]byte

// Short returns the id's first bytes.
func (id ID) Short() ShortID { return ShortID(id[:len(ShortID{})]) }

// String returns the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// A ShortID is the beginning of a node's [ID], by which session handles name
// their owner and messages their addressee. It is unique only within a fleet, and
// there only probably.
type ShortID [4]byte

// String returns the id in hexadecimal.
func (id ShortID) String() string { return hex.EncodeToString(id[:]) }

// MessageType is the number of a message on the wire.
type MessageType uint8

const (
	TypeBatch           MessageType = 1
	TypeHeartbeat       MessageType = 2
	TypeEcho            MessageType = 3
	TypeChallenge       MessageType = 4
	TypeResponse        MessageType = 5
	TypeRepair          MessageType = 6
	TypeAsk             MessageType = 7
	TypeAnswer          MessageType = 8
	TypeSnapshotRequest MessageType = 9
	TypeSnapshotPart    MessageType = 10
	TypeForget          MessageType = 11
	TypeForgotten       MessageType = 12
)

// minBodyLen is how long the body of each known type must at least be.
var minBodyLen = [...]int{
	TypeBatch:           16,
	TypeHeartbeat:       24,
	TypeEcho:            16,
	TypeChallenge:       20,
	TypeResponse:        20,
	TypeRepair:          4,
	TypeAsk:             28,
	TypeAnswer:          12,
	TypeSnapshotRequest: 12,
	TypeSnapshotPart:    24,
	TypeForget:          17,
	TypeForgotten:       16,
}

// known reports whether t is a type of this version.
func (t MessageType) known() bool { return t >= TypeBatch && t <= TypeForgotten }

// addressed reports whether the body of t begins with whom it is for.
func (t MessageType) addressed() bool {
	return t.known() && t != TypeBatch && t != TypeHeartbeat && t != TypeForget
}

// Messages are those of one datagram, checked as a whole: whatever is read from
// them is complete. They alias the datagram's plaintext.
type Messages struct{ b []byte }

// ParseMessages checks a datagram's plaintext and reports whether it is well
// formed. What is not has no messages at all, so that nothing half understood
// takes effect.
func ParseMessages(plaintext []byte) (Messages, bool) {
	for rest := plaintext; len(rest) > 0; {
		m, next, ok := cutMessage(rest)
		if !ok || !m.wellFormed() {
			return Messages{}, false
		}
		rest = next
	}
	return Messages{plaintext}, true
}

// All yields the messages of known types, in order.
func (ms Messages) All() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for rest := ms.b; len(rest) > 0; {
			m, next, _ := cutMessage(rest)
			if m.Type.known() && !yield(m) {
				return
			}
			rest = next
		}
	}
}

// A Message is one of [Messages]. Of the methods named like messages only that of
// its type may be called. It aliases the datagram's plaintext, and so do the
// values of its records.
type Message struct {
	Type MessageType
	body []byte
}

// cutMessage takes the first message off b.
func cutMessage(b []byte) (m Message, rest []byte, ok bool) {
	if len(b) < messageHeaderLen {
		return Message{}, nil, false
	}
	end := messageHeaderLen + int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < end {
		return Message{}, nil, false
	}
	return Message{MessageType(b[0]), b[messageHeaderLen:end]}, b[end:], true
}

func (m Message) wellFormed() bool {
	if !m.Type.known() {
		return true // to be skipped
	}
	if len(m.body) < minBodyLen[m.Type] {
		return false
	}
	tail := m.body[minBodyLen[m.Type]:]
	switch m.Type {
	case TypeBatch, TypeSnapshotPart:
		return Records(tail).wellFormed()
	case TypeAnswer:
		_, _, ok := cutRecord(tail)
		return ok || len(tail) == 0
	case TypeRepair:
		return len(tail)%rangeLen == 0
	case TypeSnapshotRequest:
		return len(tail)%partLen == 0
	}
	return true
}

// IsFor reports whether the message is meant for node: for it alone or for all.
func (m Message) IsFor(node ShortID) bool {
	return !m.Type.addressed() || ShortID(m.body) == node
}

// A Batch is what changed at its sender. Seq counts a sender's batches from 1.
// Made is when the first of its updates was made, in microseconds by the sender's
// clock, of no meaning but beside the Sent of its heartbeats.
type Batch struct {
	Seq     uint64
	Made    uint64
	Records Records
}

// Append appends the message to b.
func (m Batch) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeBatch)
	b = binary.BigEndian.AppendUint64(b, m.Seq)
	b = binary.BigEndian.AppendUint64(b, m.Made)
	return endMessage(append(b, m.Records...), start)
}

// Batch returns the message's contents.
func (m Message) Batch() Batch {
	return Batch{
		Seq:     binary.BigEndian.Uint64(m.body),
		Made:    binary.BigEndian.Uint64(m.body[8:]),
		Records: m.body[16:],
	}
}

// A Heartbeat says which batches its sender made. Oldest is the oldest that it
// can still repeat; Sent is the time of sending in microseconds by its own clock,
// of no meaning to others but to be echoed.
type Heartbeat struct {
	Newest uint64
	Oldest uint64
	Sent   uint64
}

// Append appends the message to b.
func (m Heartbeat) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeHeartbeat)
	b = binary.BigEndian.AppendUint64(b, m.Newest)
	b = binary.BigEndian.AppendUint64(b, m.Oldest)
	return endMessage(binary.BigEndian.AppendUint64(b, m.Sent), start)
}

// Heartbeat returns the message's contents.
func (m Message) Heartbeat() Heartbeat {
	return Heartbeat{
		Newest: binary.BigEndian.Uint64(m.body),
		Oldest: binary.BigEndian.Uint64(m.body[8:]),
		Sent:   binary.BigEndian.Uint64(m.body[16:]),
	}
}

// An Echo answers a [Heartbeat], so that its sender learns the round-trip time.
type Echo struct {
	To   ShortID
	Sent uint64        // as in the heartbeat
	Held time.Duration // between heartbeat and echo; whole microseconds and at most 71 minutes on the wire
}

// Append appends the message to b.
func (m Echo) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeEcho)
	b = append(b, m.To[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Sent)
	return endMessage(appendDuration(b, m.Held, time.Microsecond), start)
}

// Echo returns the message's contents.
func (m Message) Echo() Echo {
	return Echo{
		To:   ShortID(m.body),
		Sent: binary.BigEndian.Uint64(m.body[4:]),
		Held: parseDuration(m.body[12:], time.Microsecond),
	}
}

// A Nonce is a challenge's random value.
type Nonce [16]byte

// A Challenge asks a sender to prove that it lives now and is no recording.
type Challenge struct {
	To    ShortID
	Nonce Nonce
}

// Append appends the message to b.
func (m Challenge) Append(b []byte) []byte { return appendNonce(b, TypeChallenge, m.To, m.Nonce) }

// Challenge returns the message's contents.
func (m Message) Challenge() Challenge { return Challenge{ShortID(m.body), Nonce(m.body[4:])} }

// A Response repeats a [Challenge]'s nonce.
type Response struct {
	To    ShortID
	Nonce Nonce
}

// Append appends the message to b.
func (m Response) Append(b []byte) []byte { return appendNonce(b, TypeResponse, m.To, m.Nonce) }

// Response returns the message's contents.
func (m Message) Response() Response { return Response{ShortID(m.body), Nonce(m.body[4:])} }

// A Repair asks for batches again.
type Repair struct {
	To     ShortID
	Ranges Ranges
}

// Append appends the message to b.
func (m Repair) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeRepair)
	b = append(b, m.To[:]...)
	return endMessage(append(b, m.Ranges...), start)
}

// Repair returns the message's contents.
func (m Message) Repair() Repair { return Repair{ShortID(m.body), m.body[4:]} }

// An Ask asks for a session. The answer carries the same Question, a number of
// the asker's choice.
type Ask struct {
	To       ShortID
	Question uint64
	Key      Key
}

// Append appends the message to b.
func (m Ask) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeAsk)
	b = append(b, m.To[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Question)
	return endMessage(append(b, m.Key[:]...), start)
}

// Ask returns the message's contents.
func (m Message) Ask() Ask {
	return Ask{ShortID(m.body), binary.BigEndian.Uint64(m.body[4:]), Key(m.body[12:])}
}

// An Answer answers an [Ask]. Its record's kind is 0 if there is no such session.
type Answer struct {
	To       ShortID
	Question uint64
	Record   Update
}

// Append appends the message to b. A record that cannot travel is left out.
func (m Answer) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeAnswer)
	b = append(b, m.To[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Question)
	return endMessage(appendRecord(b, &m.Record), start)
}

// Answer returns the message's contents.
func (m Message) Answer() Answer {
	record, _, _ := cutRecord(m.body[12:])
	return Answer{ShortID(m.body), binary.BigEndian.Uint64(m.body[4:]), record}
}

// A SnapshotRequest asks for what a node has in memory from Cursor on, which is 0
// for all or the last part's Next. Parts are those wanted; none means all.
type SnapshotRequest struct {
	To     ShortID
	Cursor uint64
	Parts  Parts
}

// Append appends the message to b.
func (m SnapshotRequest) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeSnapshotRequest)
	b = append(b, m.To[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Cursor)
	return endMessage(append(b, m.Parts...), start)
}

// SnapshotRequest returns the message's contents.
func (m Message) SnapshotRequest() SnapshotRequest {
	return SnapshotRequest{ShortID(m.body), binary.BigEndian.Uint64(m.body[4:]), m.body[12:]}
}

// A SnapshotPart answers a [SnapshotRequest] in one of Parts datagrams, of which
// it is number Part.
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
	b, start := beginMessage(b, TypeSnapshotPart)
	b = append(b, m.To[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Cursor)
	b = binary.BigEndian.AppendUint64(b, m.Next)
	b = binary.BigEndian.AppendUint16(b, m.Part)
	b = binary.BigEndian.AppendUint16(b, m.Parts)
	return endMessage(append(b, m.Records...), start)
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

// ForgetScope says which sessions a [Forget] is about.
type ForgetScope uint8

const (
	ForgetAll     ForgetScope = 0
	ForgetName    ForgetScope = 1 // those of the server name with the hash
	ForgetContext ForgetScope = 2 // those of the session context with the hash
)

// A Forget tells all nodes to drop sessions. Nodes acknowledge its ID.
type Forget struct {
	ID   uint64
	What ForgetScope
	Hash uint64
}

// Append appends the message to b.
func (m Forget) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeForget)
	b = binary.BigEndian.AppendUint64(b, m.ID)
	b = append(b, byte(m.What))
	return endMessage(binary.BigEndian.AppendUint64(b, m.Hash), start)
}

// Forget returns the message's contents. What may be a scope of a later version.
func (m Message) Forget() Forget {
	return Forget{
		ID:   binary.BigEndian.Uint64(m.body),
		What: ForgetScope(m.body[8]),
		Hash: binary.BigEndian.Uint64(m.body[9:]),
	}
}

// Forgotten acknowledges a [Forget] and says how many sessions it dropped.
type Forgotten struct {
	To      ShortID
	ID      uint64
	Dropped uint32
}

// Append appends the message to b.
func (m Forgotten) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeForgotten)
	b = append(b, m.To[:]...)
	b = binary.BigEndian.AppendUint64(b, m.ID)
	return endMessage(binary.BigEndian.AppendUint32(b, m.Dropped), start)
}

// Forgotten returns the message's contents.
func (m Message) Forgotten() Forgotten {
	return Forgotten{ShortID(m.body), binary.BigEndian.Uint64(m.body[4:]), binary.BigEndian.Uint32(m.body[12:])}
}

func beginMessage(b []byte, t MessageType) (_ []byte, start int) {
	return append(b, byte(t), 0, 0), len(b)
}

// endMessage writes the length of the message that starts at start.
func endMessage(b []byte, start int) []byte {
	bodyLen := len(b) - start - messageHeaderLen
	if bodyLen > math.MaxUint16 {
		panic("replicate: message longer than a datagram")
	}
	binary.BigEndian.PutUint16(b[start+1:], uint16(bodyLen))
	return b
}

func appendNonce(b []byte, t MessageType, to ShortID, nonce Nonce) []byte {
	b, start := beginMessage(b, t)
	b = append(b, to[:]...)
	return endMessage(append(b, nonce[:]...), start)
}
