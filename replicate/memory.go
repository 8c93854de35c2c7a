package replicate

import "time"

// Mode says how sessions get to other nodes. In every mode deletes go to all, and missing sessions
// are asked for.
type Mode uint8

// The modes.
const (
	Auto  Mode = iota // Push in small fleets, Homes in large ones
	Push              // each session goes to every peer
	Homes             // each session goes to two nodes, chosen by its key
	Pull              // sessions stay where they were made until another node asks
)

func (m Mode) String() string { return [...]string{"auto", "push", "homes", "pull"}[m] }

// A Memory is the session memory of this node, as the protocol sees it. It is called on the node's
// goroutine and must not block. age is the time since a session's full handshake, left its
// remaining life.
type Memory interface {
	// Put keeps a copy of a session from another node: pulled by a question of this one, or pushed.
	// It never lengthens the life of an existing one.
	Put(key Key, value []byte, age, left time.Duration, pulled bool)
	// Find appends the value of a session to dst, unless it is expired, spent, held or forgotten.
	Find(dst []byte, key Key) (value []byte, age, left time.Duration, ok bool)
	// Hold is Find for a handshake at a peer that gets the session exclusively: until Release no
	// other gets it. The reservation outlives Options.HoldFor; a session not released by then is
	// deleted. again is 0, or an existing hold of the same session, which is then given again
	// without interruption.
	Hold(dst []byte, key Key, again uint64) (value []byte, age, left time.Duration, hold uint64,
		v Verdict)
	Release(key Key, hold uint64)
	// Delete forgets a session, even one that has yet to arrive.
	Delete(key Key, left time.Duration)
	// Scan visits some of the sessions that Find would return, and returns the cursor to continue
	// with; 0 is the beginning and the end. The values are valid during visit. cursor comes from a
	// peer: any number below 1<<48, as next must be.
	Scan(cursor uint64, visit func(key Key, value []byte, age, left time.Duration)) (next uint64)
	// Rules appends the rules in force to dst.
	Rules(dst []Rule) []Rule
	// AddRule puts a rule in force if it is new, and drops the sessions it covers. done is called
	// when that is complete, perhaps on another goroutine.
	AddRule(r Rule, done func(dropped int)) (isNew bool)
	// RulesDigest is the exclusive or of the first eight bytes of the IDs of
	// the rules in force, big endian.
	RulesDigest() uint64
}

// A Question asks for a session that a loop wants and this node does not have, or may not decide
// about. Answer is called once, on the node's goroutine, unless the look-up time ends before. The
// asking loop has its own timer.
type Question struct {
	Key    Key
	Owner  ShortID
	Hold   bool // the session is for single use: its owner shall hold it for this node
	Answer func(Reply)
}

// A Reply answers a [Question].
type Reply struct {
	Value     []byte // valid during the call
	Age, Left time.Duration
	Verdict   Verdict
	// Hold is not 0 if the owner holds the session for this node, until it is released or
	// Options.HoldFor is over; after that it counts as spent.
	Hold uint64
}

// A Forgetting is the result of a command to forget.
type Forgetting struct {
	Rule    Rule
	Here    int            // sessions dropped by this node
	Dropped map[string]int // by the nodes that have obeyed, by name
	Silent  []string       // names of nodes that have not
}
