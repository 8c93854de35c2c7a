package tlsconn

import (
	"crypto/sha256"
	"unique"
)

// A ClientPolicy represents the requirements on client certificates: none, optional or required,
// and by which CAs. Two are equal, with ==, if their requirements are the same, even if they come
// from different servers or from files read again. The zero ClientPolicy is that of an incomplete
// handshake: no Config makes it.
type ClientPolicy struct {
	hash unique.Handle[[sha256.Size]byte]
}

// ClientPolicies has the client policy of each server name of a Config. It is immutable and safe
// for concurrent use.
type ClientPolicies struct {
	names Names[ClientPolicy]
	other ClientPolicy // for names without their own
	sole  bool         // all names share it
}

// NewClientPolicies prepares the policies of c, which must have passed Validate.
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

// Admits reports whether a request for a name may be served on a connection whose handshake met the
// policy met. It may not if that name has any other policy, even a laxer one: a certificate that
// one name's CAs vouch for means nothing to the application of another. A malformed name (RFC 1123,
// Section 2.1) is admitted only where all names have one policy, since it is unknown for which of
// them a backend takes it.
func (s *ClientPolicies) Admits(met ClientPolicy, name []byte) bool {
	if s.sole {
		return met == s.other
	}
	want, ok := s.find(name)
	return ok && met == want
}

// Renewed reports whether connections that asked for serverName and met a policy would have to meet
// another one now, because the server was renewed.
func (s *ClientPolicies) Renewed(met ClientPolicy, serverName string) bool {
	if want, ok := s.names.Find(serverName); ok {
		return met != want
	}
	return met != s.other
}

// find returns the policy that a handshake for a name would meet. It does not allocate for names
// that a server can have.
func (s *ClientPolicies) find(name []byte) (ClientPolicy, bool) {
	var room [256]byte
	n := len(name)
	if n > 0 && name[n-1] == '.' {
		n-- // it has no meaning, see Names.Find
	}
	lower, label := room[:0], 0
	parent := -1 // its start
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
		return ClientPolicy{}, false // only a dot, or two at the end
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
