package replicate

import "time"

// Mode says how sessions get to other nodes. Deletes always go to all, and what
// is missing is asked for in every mode.
type Mode uint8

// The modes.
const (
	Auto  Mode = iota // Push in small fleets, Homes in large ones
	Push              // each session goes to every peer
	Homes             // each session goes to two nodes, chosen by its key
	Pull              // sessions stay where they are made until another node asks
)

func (m Mode) String() string { return [...]string{"auto", "push", "homes", "pull"}[m] }

// A Memory is the session memory of this node, as the protocol sees it. It is
// called on the node's goroutine and must not block. age is the time since a
// session's full handshake, left what it has left to live.
type Memory interface {
	// Put keeps a copy of a session that came from another node: pulled by a
	// question of this one, or pushed. It never lengthens the life of one
	// that is there.
	Put(key Key, value []byte, age, left time.Duration, pulled bool)
	// Find appends the value of a session to dst: of none that is expired,
	// spent, held, or to be forgotten.
	Find(dst []byte, key Key) (value []byte, age, left time.Duration, ok bool)
	// Hold is Find for a handshake at a peer that may be the only one: until
	// Release the session is given to no other. The reservation outlives
	// Options.HoldFor; a session that is not released by then is deleted.
	// again is 0, or a hold of the same session, which is then given once more
	// without having been let go in between.
	Hold(dst []byte, key Key, again uint64) (value []byte, age, left time.Duration, hold uint64,
		v Verdict)
	Release(key Key, hold uint64)
	// Delete forgets a session, also one that has yet to arrive.
	Delete(key Key, left time.Duration)
	// Scan visits some sessions, the same that Find gives, and returns the
	// cursor to go on with; 0 is the beginning and the end. The values are
	// valid during visit. cursor is what a peer says: any number below 1<<48, as
	// next must be.
	Scan(cursor uint64, visit func(key Key, value []byte, age, left time.Duration)) (next uint64)
	// Rules appends the rules in force to dst.
	Rules(dst []Rule) []Rule
	// AddRule puts a rule in force, unless it is, and drops what it refuses.
	// done is called when that is complete, perhaps on another goroutine.
	AddRule(r Rule, done func(dropped int)) (isNew bool)
	// RulesDigest is the exclusive or of the first eight bytes of the IDs of
	// the rules in force, big endian.
	RulesDigest() uint64
}

// A Question is a session that a loop wants and this node does not have, or may
// not decide about. Answer is called once, on the node's goroutine, unless the
// look-up time is over before. A loop that asks has a timer of its own.
type Question struct {
	Key    Key
	Owner  ShortID
	Hold   bool // the session is for one use: its owner shall keep it for this node
	Answer func(Reply)
}

// A Reply answers a [Question].
type Reply struct {
	Value     []byte // valid during the call
	Age, Left time.Duration
	Verdict   Verdict
	// Hold is not 0 if the owner keeps the session for this node, until it is
	// released or Options.HoldFor is over; after that it counts as spent.
	Hold uint64
}

// A Forgetting is what has become of a command to forget.
type Forgetting struct {
	Rule    Rule
	Here    int            // sessions dropped by this node
	Dropped map[string]int // by the nodes that have obeyed, by name
	Silent  []string       // names of nodes that have not
}
