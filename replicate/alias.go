package replicate

import (
	"reprise/replicate/udp"
	"reprise/replicate/wire"
)

// What the protocol is made of has its home in package wire, and in udp where it
// listens; who uses this package needs to know neither.
type (
	Key      = wire.Key
	ID       = wire.ID
	ShortID  = wire.ShortID
	Secret   = wire.Secret
	Verdict  = wire.Verdict
	Rule     = wire.Rule
	RuleID   = wire.RuleID
	Instance = wire.Instance
	Network  = udp.Network

	ForgetScope = wire.ForgetScope
)

// The verdicts on a session that was asked for.
const (
	Unknown    = wire.Unknown
	Found      = wire.Found
	Held       = wire.Held
	Spent      = wire.Spent
	Expired    = wire.Expired
	Unanswered = wire.Unanswered
)

// What a command to forget is about.
const (
	ForgetAll     = wire.ForgetAll
	ForgetName    = wire.ForgetName
	ForgetContext = wire.ForgetContext
	ForgetParent  = wire.ForgetParent
)

// NewID returns a random id for a node that starts.
func NewID() ID { return wire.NewID() }

// NewSecret derives a [Secret] from a cluster secret's bytes, which stay the
// caller's, to be wiped.
func NewSecret(b []byte) (Secret, error) { return wire.NewSecret(b) }
