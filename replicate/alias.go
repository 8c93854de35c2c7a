package replicate

import (
	"reprise/replicate/udp"
	"reprise/replicate/wire"
)

// The protocol's types are defined in package wire, and in udp for its sockets; users of this
// package need to import neither.
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

// The verdicts on a session asked for.
const (
	Unknown    = wire.Unknown
	Found      = wire.Found
	Held       = wire.Held
	Spent      = wire.Spent
	Expired    = wire.Expired
	Unanswered = wire.Unanswered
)

// The scopes of a command to forget.
const (
	ForgetAll     = wire.ForgetAll
	ForgetName    = wire.ForgetName
	ForgetContext = wire.ForgetContext
	ForgetParent  = wire.ForgetParent
)

// NewID returns a random id for a node that starts.
func NewID() ID { return wire.NewID() }

// NewSecret derives a [Secret] from a cluster secret's bytes, which the caller keeps and wipes.
func NewSecret(b []byte) (Secret, error) { return wire.NewSecret(b) }
