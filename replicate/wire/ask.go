package wire

import "encoding/binary"

// Flags of an [Ask] and an [Answer].
const (
	// FlagHold: the session is for single use. The asked node shall hold it for the asking one, or
	// does.
	FlagHold = 1
	// FlagReleased, in answers only: the question's session was released, or never held, and will
	// not be held for that question any more.
	FlagReleased = 2
)

// An Ask asks for a session. The answer carries the same Question, a number that the asking node
// chooses.
type Ask struct {
	To       ShortID
	Question uint64
	Flags    byte
	Key      Key
}

// Append appends the message to b.
func (m Ask) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeAsk, m.To)
	b = binary.BigEndian.AppendUint64(b, m.Question)
	b = append(b, m.Flags)
	return EndMessage(append(b, m.Key[:]...), start)
}

// Ask returns the message's contents.
func (m Message) Ask() Ask {
	return Ask{ShortID(m.body), binary.BigEndian.Uint64(m.body[4:]), m.body[12], Key(m.body[13:])}
}

// A Verdict is the result of a question for a session.
type Verdict uint8

// The verdicts. Those sent between nodes have their number on the wire.
const (
	Unknown    Verdict = 0    // the node does not have it
	Found      Verdict = 1    // here it is
	Held       Verdict = 2    // another handshake is trying it
	Spent      Verdict = 3    // it was for single use, and has been used
	Expired    Verdict = 4    // it has expired
	Unanswered Verdict = 0xff // never on the wire: the deciding node was not reached
)

// An Answer answers an [Ask]. Its record's kind is 0 unless the verdict is Found.
type Answer struct {
	To       ShortID
	Question uint64
	Flags    byte
	Verdict  Verdict
	Record   Update
}

// Append appends the message to b. A record that cannot be sent is left out.
func (m Answer) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeAnswer, m.To)
	b = binary.BigEndian.AppendUint64(b, m.Question)
	b = append(b, m.Flags, byte(m.Verdict))
	return EndMessage(AppendRecord(b, &m.Record), start)
}

// Answer returns the message's contents.
func (m Message) Answer() Answer {
	record, _, _ := cutRecord(m.body[14:])
	return Answer{
		ShortID(m.body), binary.BigEndian.Uint64(m.body[4:]), m.body[12],
		Verdict(m.body[13]), record,
	}
}

// A Release releases a session that was held for its sender by the answer to a question. It is
// acknowledged by an [Answer] to that question with FlagReleased.
type Release struct {
	To       ShortID
	Question uint64
	Key      Key
}

// Append appends the message to b.
func (m Release) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeRelease, m.To)
	b = binary.BigEndian.AppendUint64(b, m.Question)
	return EndMessage(append(b, m.Key[:]...), start)
}

// Release returns the message's contents.
func (m Message) Release() Release {
	return Release{ShortID(m.body), binary.BigEndian.Uint64(m.body[4:]), Key(m.body[12:])}
}
