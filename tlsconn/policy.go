package tlsconn

import (
	"crypto/sha256"
	"unique"
)

// A ClientPolicy stands for what clients have to show: no certificate, an optional
// or a required one, and who may sign it. Two are equal, with ==, if they ask for
// the same, also if they come from different servers or from files that were read
// again. The zero ClientPolicy is that of a handshake that is not complete: no
// Config makes it.
type ClientPolicy struct {
	hash unique.Handle[[sha256.Size]byte]
}

// ClientPolicies tells the client policy of each server name of a Config. It is
// immutable and safe for concurrent use.
type ClientPolicies struct {
	names Names[ClientPolicy]
	other ClientPolicy // for names that have none of their own
	sole  bool         // all names have it
}

// NewClientPolicies prepares c's. It must be given what has passed Validate.
func NewClientPolicies(c *Config) *ClientPolicies {
	ofPolicy := make(map[*Policy]ClientPolicy)
	of := func(p *Policy) ClientPolicy {
		if p == nil {
			p = &c.Policy
		}
		made, ok := ofPolicy[p]
		if !ok {
			scope := NewPolicyScope(c, p)
			made = scope.ClientPolicy()
			ofPolicy[p] = made
		}
		return made
	}
	s := &ClientPolicies{names: make(Names[ClientPolicy]), other: of(nil), sole: true}
	for i := range c.Certificates.List() {
		cert := &c.Certificates.List()[i]
		if cert.Name == "" {
			s.other = of(cert.Policy)
		} else {
			s.names[cert.Name] = of(cert.Policy)
		}
	}
	for _, p := range s.names {
		s.sole = s.sole && p == s.other
	}
	return s
}

// Admits reports whether what is asked for under a name may be served on a
// connection whose handshake met the policy met. It may not if that name has any
// other policy, laxer ones included: a certificate that one name's CAs vouch for
// says nothing to the application of another. What is no name in proper form
// (RFC 1123, Section 2.1) is admitted only where all names have one policy, since
// nobody knows for which of them a backend takes it.
func (s *ClientPolicies) Admits(met ClientPolicy, name []byte) bool {
	if s.sole {
		return met == s.other
	}
	want, ok := s.find(name)
	return ok && met == want
}

// Renewed reports whether connections that asked for serverName and met a policy
// would have to meet another one now, because the server was renewed.
func (s *ClientPolicies) Renewed(met ClientPolicy, serverName string) bool {
	if want, ok := s.names.Find(serverName); ok {
		return met != want
	}
	return met != s.other
}

// find returns the policy of a name, as a handshake that asks for it would meet it.
// It does not allocate for names that a server can have.
func (s *ClientPolicies) find(name []byte) (ClientPolicy, bool) {
	var room [256]byte
	n := len(name)
	if n > 0 && name[n-1] == '.' {
		n-- // it means nothing, see Names.Find
	}
	lower, label := room[:0], 0
	parent := -1 // where it begins
	for i, c := range name[:n] {
		switch {
		case c == '.' && label == 0:
			return ClientPolicy{}, false // some read "a..b" or ".b" as another name
		case c == '.':
			label = 0
			if parent < 0 {
				parent = i
			}
		default:
			label++
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower = append(lower, c)
	}
	if label == 0 && len(name) > 0 {
		return ClientPolicy{}, false // nothing but a dot, or two at the end
	}
	if p, ok := s.names[string(lower)]; ok {
		return p, true
	}
	if parent > 0 {
		lower[parent-1] = '*'
		if p, ok := s.names[string(lower[parent-1:])]; ok {
			return p, true
		}
	}
	return s.other, true
}
