package tlsconn

// Outcome is what happened to the session a client offered; one for each completed handshake.
type Outcome uint8

// The outcomes. Everything that is not a resumption was a full handshake.
const (
	NewClient     Outcome = iota // offered no session
	ResumedLocal                 // ResumedLocal + Source, in the order of the sources
	ResumedPushed                //
	ResumedPulled                //
	ResumedStore                 //
	MissUnknown                  // no node has it: evicted, forgotten, or its node is gone
	// older than the session time-out, counted from its full handshake
	MissExpired
	MissBadHandle    // not a handle of this fleet: forged, damaged, foreign
	MissLate         // the look-up took too long
	MissHeld         // single use: another handshake has it
	MissSpent        // single use: already used
	MissScopeContext // made under another session context
	MissScopePolicy  // made under another policy of versions and cipher suites
	MissScopeClient  // made under another client certificate policy
	MissScopeName    // made for another server name
	// found, but declined: version, cipher suite, EMS, client certificate
	MissDeclined
	MissCorrupt     // the stored state cannot be read
	MissOtherEngine // made by the other engine, whose state this one cannot read
	outcomes
)

var outcomeNames = [outcomes]string{
	"new_client", "resumed_local", "resumed_pushed", "resumed_pulled", "resumed_store", "unknown",
	"expired",
	"bad_handle", "late", "held", "spent", "scope_context", "scope_policy", "scope_client_auth",
	"scope_name",
	"declined", "corrupt", "other_engine",
}

// Names implements metric.Key.
func (Outcome) Names() []string { return outcomeNames[:] }

func (o Outcome) String() string { return outcomeNames[o] }

// ResumedFrom returns the outcome of a resumption of a session from source.
func ResumedFrom(source Source) Outcome { return ResumedLocal + Outcome(min(source, sources-1)) }

// Resumed reports whether the session was resumed.
func (o Outcome) Resumed() bool { return o >= ResumedLocal && o <= ResumedStore }
