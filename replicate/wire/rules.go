package wire

import (
	"encoding/binary"
	"iter"
	"time"
)

// ForgetScope says which sessions a [Rule] covers.
type ForgetScope uint8

// The scopes.
const (
	ForgetAll     ForgetScope = 0
	ForgetName    ForgetScope = 1 // those of the server name with the hash
	ForgetContext ForgetScope = 2 // those of the session context with the hash
	// those of the server names one label below the name with the hash
	ForgetParent ForgetScope = 3
)

// A Rule is a command to forget: it refuses the sessions that were born at the moment it was given,
// or before.
type Rule struct {
	ID   RuleID
	What ForgetScope // perhaps of a later version
	Hash uint64
	Age  time.Duration // since it was given
	Left time.Duration // for which it must still be kept; both in whole milliseconds
}

const ruleLen = 16 + 1 + 8 + 4 + 4

// RuleList is rules in wire form.
type RuleList []byte

// Append returns rs with r appended. The age is rounded down and the rest of its life up, so that a
// rule refuses too much, and for too long, rather than too little.
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
				ID: RuleID(rest), What: ForgetScope(rest[16]),
				Hash: binary.BigEndian.Uint64(rest[17:]),
				Age:  parseDuration(rest[25:], time.Millisecond),
				Left: parseDuration(rest[29:], time.Millisecond),
			}) {
				return
			}
		}
	}
}

// Rules sends rules in force. Nodes put them in force and confirm each: [Obeyed].
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

// Obeyed says that a rule is in force at its sender, and how many sessions it dropped there.
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
