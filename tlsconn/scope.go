package tlsconn

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"unique"
)

// A Scope is the policy under which a session may be resumed. It is part of the session's state; a
// connection resumes only a session with an equal scope. Without it a session made at one virtual
// host, or without a client certificate, would open another with stricter requirements (nginx
// CVE-2014-3616 and CVE-2025-23419, h2o CVE-2023-41337, Go CVE-2025-68121).
//
// Wire form, in a state at an offset its codec knows:
//
//	offset  length  field
//	     0      16  SHA-256 over all parts, truncated: this decides
//	    16       8  two bytes of each part's own hash, in the order of
//	                scopePart: these only say which part differed
type Scope struct {
	all   [16]byte
	hints [scopeParts][2]byte
}

type scopePart uint8

const (
	scopeContext scopePart = iota // session context
	scopePolicy                   // versions, cipher suites
	// client certificates: whether requested, by which CAs, which are revoked
	scopeClient
	scopeName // server name the client asked for (SNI)
	scopeParts
)

// ScopeLen is the length of a scope in wire form.
const ScopeLen = 16 + 2*int(scopeParts)

// PolicyScope is the common part of the scopes of all connections under one policy.
type PolicyScope struct {
	parts [scopeParts][sha256.Size]byte // without scopeName
}

// NewPolicyScope hashes what is the same for all connections under p.
func NewPolicyScope(c *Config, p *Policy) (s PolicyScope) {
	s.parts[scopeContext] = hashStrings(c.Context)

	policy := binary.BigEndian.AppendUint16(nil, c.MinVersion)
	for _, suite := range p.CipherSuites {
		policy = binary.BigEndian.AppendUint16(policy, suite)
	}
	s.parts[scopePolicy] = hashStrings(string(policy))

	client := []string{string(rune('0' + p.ClientAuth))}
	if p.ClientAuth != NoClientCert {
		subjects := make([]string, 0, len(p.ClientCAs))
		for _, ca := range p.ClientCAs {
			subjects = append(subjects, string(ca.Raw))
		}
		slices.Sort(subjects) // the order in a CA file has no meaning
		client = append(client, subjects...)
		if p.Revocations != nil {
			client = append(client, "revoked", string(p.Revocations.sum[:]))
		}
	}
	s.parts[scopeClient] = hashStrings(client...)
	return s
}

// ClientPolicy returns the policy that handshakes meet.
func (p *PolicyScope) ClientPolicy() ClientPolicy {
	return ClientPolicy{unique.Make(p.parts[scopeClient])}
}

// ContextHash is that of the session context, as ContextHash makes it.
func (p *PolicyScope) ContextHash() uint64 {
	return binary.BigEndian.Uint64(p.parts[scopeContext][:])
}

// For returns the scope of connections that ask for serverName, and its NameHash.
func (p *PolicyScope) For(serverName string) (s Scope, nameHash uint64) {
	name := hashName(serverName)
	var all [int(scopeParts) * sha256.Size]byte
	for i := range p.parts {
		part := &p.parts[i]
		if scopePart(i) == scopeName {
			part = &name
		}
		copy(all[i*sha256.Size:], part[:])
		copy(s.hints[i][:], part[:])
	}
	sum := sha256.Sum256(all[:])
	copy(s.all[:], sum[:])
	return s, nameHash64(name, serverName)
}

// hashName hashes a server name. Host names compare without regard to case (RFC 6066, Section 3),
// and a trailing dot, which some clients send, has no meaning.
func hashName(serverName string) [sha256.Size]byte {
	return hashStrings(strings.ToLower(strings.TrimSuffix(serverName, ".")))
}

// hashStrings hashes a list such that two lists that differ only in their boundaries differ.
func hashStrings(list ...string) (sum [sha256.Size]byte) {
	var room [8 + 256]byte // a server name's length is bounded by 255
	b := room[:0]
	for _, s := range list {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	return sha256.Sum256(b)
}

// Append appends s in wire form to b.
func (s *Scope) Append(b []byte) []byte {
	b = append(b, s.all[:]...)
	for _, hint := range s.hints {
		b = append(b, hint[:]...)
	}
	return b
}

// ParseScope takes a scope from the front of b and returns what follows.
func ParseScope(b []byte) (s Scope, rest []byte, ok bool) {
	if len(b) < ScopeLen {
		return Scope{}, nil, false
	}
	copy(s.all[:], b)
	for i := range s.hints {
		copy(s.hints[i][:], b[16+2*i:])
	}
	return s, b[ScopeLen:], true
}

// Differs returns the outcome for the first part in which a session's scope differs from the one
// wanted.
func (s *Scope) Differs(want *Scope) (Outcome, bool) {
	if s.all == want.all {
		return 0, false
	}
	for i, hint := range s.hints {
		if hint != want.hints[i] {
			return MissScopeContext + Outcome(i), true
		}
	}
	return MissScopeContext, true // the difference is not in the hints
}
