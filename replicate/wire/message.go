package wire

import (
	"encoding/binary"
	"iter"
	"math"
	"net/netip"
	"time"
)

const (
	messageHeaderLen = 3

	// BatchOverhead is how many bytes longer a batch message, of whichever
	// stream, is than its records.
	BatchOverhead = messageHeaderLen + 17

	// SnapshotPartOverhead is how many bytes longer a snapshot part message is
	// than its records.
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
	TypeGoodbye         MessageType = 13
)

// Everybody is whom a message is for that is for all.
var Everybody ShortID

// minBodyLen is how long the body of each known type must at least be.
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
	TypeGoodbye:         4,
}

// known reports whether t is a type of this version.
func (t MessageType) known() bool { return t >= TypeBatch && t <= TypeGoodbye }

// Messages are those of one datagram, checked as a whole: whatever is read from
// them is complete. They alias the datagram's plaintext.
type Messages struct{ b []byte }

// ParseMessages checks a datagram's plaintext, without what [Sender.Seal] put in
// front, and reports whether it is well formed. What is not has no messages at
// all, so that nothing half understood takes effect.
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
	}
	return true
}

// maxSeq is what numbers of batches stay below. No node comes so far; with what is
// behind, receivers' sums would wrap around, and one heartbeat would let them look
// for missing batches for ever.
const maxSeq = 1 << 62

// isSeq reports whether b begins with what may be the number of a batch.
func isSeq(b []byte) bool { return binary.BigEndian.Uint64(b) < maxSeq }

// IsFor reports whether the message is meant for node: for it alone or for all.
func (m Message) IsFor(node ShortID) bool {
	to := ShortID(m.body)
	return to == node || to == Everybody
}

// Stream says which of a sender's streams of batches is meant: each receiver
// counts both on its own.
type Stream uint8

// The streams.
const (
	StreamAll  Stream = 0 // to all nodes
	StreamHome Stream = 1 // to one node, of the sessions that it is a home of
)

// A Batch is what changed at its sender. Seq counts a stream's batches from 1. To
// is [Everybody] in the stream to all. Waited is for how long the first of its
// updates waited for the others.
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
func BeginBatch(b []byte, to ShortID, stream Stream, seq uint64, waited time.Duration) (_ []byte, start int) {
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

// A Heartbeat says which batches its sender made in the stream to all, and what it
// knows. Oldest is the oldest batch that it can still repeat; Sent is the time of
// sending in microseconds by its own clock, of no meaning to others but to be
// echoed. Rules and Members are the exclusive or of what the rules in force and the
// nodes that it knows, itself too, are called by.
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
		To: ShortID(m.body), Newest: binary.BigEndian.Uint64(m.body[4:]), Oldest: binary.BigEndian.Uint64(m.body[12:]),
		Sent: binary.BigEndian.Uint64(m.body[20:]), Rules: binary.BigEndian.Uint64(m.body[28:]),
		Members: binary.BigEndian.Uint32(m.body[36:]),
	}
}

// An Echo gives a [Heartbeat] back to its sender. Held is for how long the echo
// waited, not counting the network. Stream, Newest and Oldest say which batches
// the echo's sender made in a stream, as a heartbeat does of the stream to all; an
// Echo whose Sent is 0 says only that.
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
		To: ShortID(m.body), Sent: binary.BigEndian.Uint64(m.body[4:]), Held: parseDuration(m.body[12:], time.Microsecond),
		Stream: Stream(m.body[16]), Newest: binary.BigEndian.Uint64(m.body[17:]), Oldest: binary.BigEndian.Uint64(m.body[25:]),
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

// Flags of an [Ask] and an [Answer].
const (
	// FlagHold: the session is for one use. The asked node shall keep it for the
	// asking one, or does.
	FlagHold = 1
	// FlagReleased, of an answer only: the question's session was released, or never
	// held, and nothing will be held for that question any more.
	FlagReleased = 2
)

// An Ask asks for a session. The answer carries the same Question, a number of
// the asker's choice.
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

// A Verdict says what has become of a session that was asked for.
type Verdict uint8

// The verdicts. Those that travel have the number they have on the wire.
const (
	Unknown    Verdict = 0    // the node does not have it
	Found      Verdict = 1    // here it is
	Held       Verdict = 2    // another handshake is trying it
	Spent      Verdict = 3    // it was for one use, and has been used
	Expired    Verdict = 4    // its time is over
	Unanswered Verdict = 0xff // never on the wire: the node that decides was not reached
)

// An Answer answers an [Ask]. Its record's kind is 0 unless the verdict is Found.
type Answer struct {
	To       ShortID
	Question uint64
	Flags    byte
	Verdict  Verdict
	Record   Update
}

// Append appends the message to b. A record that cannot travel is left out.
func (m Answer) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeAnswer, m.To)
	b = binary.BigEndian.AppendUint64(b, m.Question)
	b = append(b, m.Flags, byte(m.Verdict))
	return EndMessage(AppendRecord(b, &m.Record), start)
}

// Answer returns the message's contents.
func (m Message) Answer() Answer {
	record, _, _ := cutRecord(m.body[14:])
	return Answer{ShortID(m.body), binary.BigEndian.Uint64(m.body[4:]), m.body[12], Verdict(m.body[13]), record}
}

// A Release gives a session back that was held for its sender by the answer to a
// question. It is acknowledged by an [Answer] to that question with FlagReleased.
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

// A SnapshotRequest asks for what a node has in memory from Cursor on, which is 0
// for all or the last part's Next. Parts are those wanted; none means all. Stream
// is StreamHome to ask only for those sessions that the asker is a home of.
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
	return SnapshotRequest{ShortID(m.body), Stream(m.body[4]), binary.BigEndian.Uint64(m.body[5:]), m.body[13:]}
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

// ForgetScope says which sessions a [Rule] is about.
type ForgetScope uint8

// The scopes.
const (
	ForgetAll     ForgetScope = 0
	ForgetName    ForgetScope = 1 // those of the server name with the hash
	ForgetContext ForgetScope = 2 // those of the session context with the hash
	ForgetParent  ForgetScope = 3 // those of the server names one label below the name with the hash
)

// A Rule is a command to forget: it refuses the sessions that were born at the
// moment it was given, or before.
type Rule struct {
	ID   RuleID
	What ForgetScope // perhaps of a later version
	Hash uint64
	Age  time.Duration // since it was given
	Left time.Duration // for which it must still be kept; both whole milliseconds
}

const ruleLen = 16 + 1 + 8 + 4 + 4

// RuleList is rules in wire form.
type RuleList []byte

// Append returns rs with r behind. The age is rounded down and what is left up, so
// that a rule refuses rather too much, and for too long, than too little.
func (rs RuleList) Append(r Rule) RuleList {
	rs = append(rs, r.ID[:]...)
	rs = append(rs, byte(r.What))
	rs = binary.BigEndian.AppendUint64(rs, r.Hash)
	rs = appendDuration(rs, r.Age, time.Millisecond)
	return appendDuration(rs, r.Left+time.Millisecond-1, time.Millisecond)
}

// All yields the rules in order.
func (rs RuleList) All() iter.Seq[Rule] {
	return func(yield func(Rule) bool) {
		for rest := rs; len(rest) >= ruleLen; rest = rest[ruleLen:] {
			if !yield(Rule{
				ID: RuleID(rest), What: ForgetScope(rest[16]), Hash: binary.BigEndian.Uint64(rest[17:]),
				Age: parseDuration(rest[25:], time.Millisecond), Left: parseDuration(rest[29:], time.Millisecond),
			}) {
				return
			}
		}
	}
}

// Rules tells of rules in force. Nodes put them in force and say for each that
// they have: [Obeyed].
type Rules struct {
	To   ShortID
	List RuleList
}

// Append appends the message to b.
func (m Rules) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeRules, m.To)
	return EndMessage(append(b, m.List...), start)
}

// Rules returns the message's contents.
func (m Message) Rules() Rules { return Rules{ShortID(m.body), m.body[4:]} }

// Obeyed says that a rule is in force at its sender, which dropped some sessions by
// it.
type Obeyed struct {
	To      ShortID
	ID      RuleID
	Dropped uint32
}

// Append appends the message to b.
func (m Obeyed) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeObeyed, m.To)
	b = append(b, m.ID[:]...)
	return EndMessage(binary.BigEndian.AppendUint32(b, m.Dropped), start)
}

// Obeyed returns the message's contents.
func (m Message) Obeyed() Obeyed {
	return Obeyed{ShortID(m.body), RuleID(m.body[4:]), binary.BigEndian.Uint32(m.body[20:])}
}

// A MemberState is what is known of a member.
type MemberState uint8

// The states.
const (
	MemberHeard  MemberState = 0 // the teller hears it
	MemberSilent MemberState = 1 // it was heard, and may still have sessions
	MemberEnded  MemberState = 2 // it has said goodbye, and has none any more
)

// A Member is a node that another one knows, and where it is.
type Member struct {
	ID    ShortID
	Addr  netip.AddrPort
	State MemberState // perhaps of a later version
	// Left is for how long it may have sessions, should it not be heard any more.
	Left time.Duration // whole milliseconds
	// Instance names the installation. It is zero if that is not the name of one
	// node: then no later life of it tells that this one has ended.
	Instance Instance
}

// MemberLen is how long a member is in a [MemberList].
const MemberLen = 4 + 16 + 2 + 1 + 4 + 16

// MemberList is members in wire form.
type MemberList []byte

// Append returns ms with m behind.
func (ms MemberList) Append(m Member) MemberList {
	ip := m.Addr.Addr().As16()
	ms = append(append(ms, m.ID[:]...), ip[:]...)
	ms = binary.BigEndian.AppendUint16(ms, m.Addr.Port())
	ms = appendDuration(append(ms, byte(m.State)), m.Left, time.Millisecond)
	return append(ms, m.Instance[:]...)
}

// All yields the members in order.
func (ms MemberList) All() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for rest := ms; len(rest) >= MemberLen; rest = rest[MemberLen:] {
			ip := netip.AddrFrom16([16]byte(rest[4:])).Unmap()
			if !yield(Member{
				ID: ShortID(rest), Addr: netip.AddrPortFrom(ip, binary.BigEndian.Uint16(rest[20:])), State: MemberState(rest[22]),
				Left: parseDuration(rest[23:], time.Millisecond), Instance: Instance(rest[27:]),
			}) {
				return
			}
		}
	}
}

// Members tells of the nodes that its sender knows.
type Members struct {
	To   ShortID
	List MemberList
}

// Append appends the message to b.
func (m Members) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeMembers, m.To)
	return EndMessage(append(b, m.List...), start)
}

// Members returns the message's contents.
func (m Message) Members() Members { return Members{ShortID(m.body), m.body[4:]} }

// Goodbye says that its sender ends, and its memory with it.
type Goodbye struct{ To ShortID }

// Append appends the message to b.
func (m Goodbye) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeGoodbye, m.To)
	return EndMessage(b, start)
}

// Goodbye returns the message's contents.
func (m Message) Goodbye() Goodbye { return Goodbye{ShortID(m.body)} }

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
