package wire

import (
	"encoding/binary"
	"iter"
	"math"
)

const (
	messageHeaderLen = 3

	// BatchOverhead is how much longer, in bytes, a batch message of either stream is than its
	// records.
	BatchOverhead = messageHeaderLen + 17

	// SnapshotPartOverhead is how much longer, in bytes, a snapshot part message is than its
	// records.
	SnapshotPartOverhead = messageHeaderLen + 24
)

// MessageType is the number of a message on the wire.
type MessageType uint8

// The types.
const (
	TypeBatch           MessageType = 1
	TypeHeartbeat       MessageType = 2
	TypeEcho            MessageType = 3
	TypeRepair          MessageType = 4
	TypeAsk             MessageType = 5
	TypeAnswer          MessageType = 6
	TypeRelease         MessageType = 7
	TypeSnapshotRequest MessageType = 8
	TypeSnapshotPart    MessageType = 9
	TypeRules           MessageType = 10
	TypeObeyed          MessageType = 11
	TypeMembers         MessageType = 12
	TypeLeave           MessageType = 13
	TypeStatusRequest   MessageType = 14
	TypeStatus          MessageType = 15
)

// Everybody is the addressee of messages for all nodes.
var Everybody ShortID

// minBodyLen is the minimum length of the body of each known type.
var minBodyLen = [...]int{
	TypeBatch:           17,
	TypeHeartbeat:       40,
	TypeEcho:            33,
	TypeRepair:          5,
	TypeAsk:             29,
	TypeAnswer:          14,
	TypeRelease:         28,
	TypeSnapshotRequest: 13,
	TypeSnapshotPart:    24,
	TypeRules:           4,
	TypeObeyed:          24,
	TypeMembers:         4,
	TypeLeave:           4,
	TypeStatusRequest:   4,
	TypeStatus:          4,
}

// known reports whether t is a type of this version.
func (t MessageType) known() bool { return t >= TypeBatch && t <= TypeStatus }

// Messages are those of one datagram, checked as a whole: all that is read from them is complete.
// They alias the datagram's plaintext.
type Messages struct{ b []byte }

// ParseMessages checks a datagram's plaintext, without the prefix of [Sender.Seal], and reports
// whether it is well formed. A malformed one has no messages at all, so that it takes no partial
// effect.
func ParseMessages(b []byte) (Messages, bool) {
	for rest := b; len(rest) > 0; {
		m, next, ok := cutMessage(rest)
		if !ok || !m.wellFormed() {
			return Messages{}, false
		}
		rest = next
	}
	return Messages{b}, true
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

// A Message is one of [Messages]. Of the methods named like messages only the one of its type may
// be called. It aliases the datagram's plaintext, and so do the values of its records.
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
	case TypeBatch:
		return isSeq(m.body[5:]) && Records(tail).wellFormed()
	case TypeHeartbeat:
		return isSeq(m.body[4:]) && isSeq(m.body[12:])
	case TypeEcho:
		return isSeq(m.body[17:]) && isSeq(m.body[25:])
	case TypeSnapshotPart:
		return Records(tail).wellFormed()
	case TypeAnswer:
		_, _, ok := cutRecord(tail)
		return ok || len(tail) == 0
	case TypeRepair:
		return len(tail)%rangeLen == 0 && Ranges(tail).wellFormed()
	case TypeSnapshotRequest:
		return len(tail)%partLen == 0
	case TypeRules:
		return len(tail)%ruleLen == 0
	case TypeMembers:
		return len(tail)%MemberLen == 0
	case TypeStatus:
		return len(tail) <= MaxStatusLen
	}
	return true
}

// maxSeq bounds the numbers of batches. No node reaches it; above it, receivers' sums would wrap
// around, and one heartbeat would make them look for missing batches for ever.
const maxSeq = 1 << 62

// isSeq reports whether b begins with a valid number of a batch.
func isSeq(b []byte) bool { return binary.BigEndian.Uint64(b) < maxSeq }

// IsFor reports whether the message is addressed to node: to it alone or to all.
func (m Message) IsFor(node ShortID) bool {
	to := ShortID(m.body)
	return to == node || to == Everybody
}

func beginMessage(b []byte, t MessageType, to ShortID) (_ []byte, start int) {
	return append(append(b, byte(t), 0, 0), to[:]...), len(b)
}

// EndMessage writes the length of the message that starts at start.
func EndMessage(b []byte, start int) []byte {
	bodyLen := len(b) - start - messageHeaderLen
	if bodyLen > math.MaxUint16 {
		panic("replicate: message longer than a datagram")
	}
	binary.BigEndian.PutUint16(b[start+1:], uint16(bodyLen))
	return b
}
