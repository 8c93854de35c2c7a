package tlsconn

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"strings"
)

// A scope says under which policy a session may be resumed. It is sealed into
// the session; a connection resumes only a session with an equal scope. Without
// it a session made at one virtual host, or without a client certificate, would
// open another that asks for more (nginx CVE-2014-3616 and CVE-2025-23419, h2o
// CVE-2023-41337, Go CVE-2025-68121).
//
// Wire form, an entry of SessionState.Extra:
//
//	offset  length  field
//	     0       4  "RPS" 0x01, which marks the entry as ours
//	     4      16  SHA-256 over all parts, truncated: this decides
//	    20       8  two bytes of each part's own hash, in the order of
//	                scopePart: these only say which part differed
type scope struct {
	all   [16]byte
	hints [scopeParts][2]byte
}

type scopePart uint8

const (
	scopeContext scopePart = iota // session context
	scopePolicy                   // versions, cipher suites
	scopeClient                   // client certificates: asked for or not, by which CAs, which CRL
	scopeName                     // server name the client asked for (SNI)
	scopeParts
)

var scopeMarker = []byte("RPS\x01")

const scopeLen = 4 + 16 + 2*int(scopeParts)

// serverScope hashes what is the same for all connections under a policy.
func serverScope(c *Config, p *Policy) (parts [scopeParts][]byte) {
	parts[scopeContext] = hashStrings(c.Context)

	policy := binary.BigEndian.AppendUint16(nil, c.minVersion())
	for _, suite := range p.CipherSuites {
		policy = binary.BigEndian.AppendUint16(policy, suite)
	}
	parts[scopePolicy] = hashStrings(string(policy))

	client := []string{string(rune('0' + p.ClientAuth))}
	if p.ClientAuth != NoClientCert {
		subjects := make([]string, 0, len(p.ClientCAs))
		for _, ca := range p.ClientCAs {
			subjects = append(subjects, string(ca.Raw))
		}
		slices.Sort(subjects) // the order in a CA file means nothing
		client = append(client, subjects...)
	}
	parts[scopeClient] = hashStrings(client...)
	return parts
}

// scopeFor completes a host's parts with the name a client asked for.
func scopeFor(parts [scopeParts][]byte, serverName string) (s scope) {
	parts[scopeName] = hashName(serverName)
	h := sha256.New()
	for i, part := range parts {
		h.Write(part)
		copy(s.hints[i][:], part)
	}
	var sum [sha256.Size]byte
	copy(s.all[:], h.Sum(sum[:0]))
	return s
}

// hashName hashes a server name. Host names compare without regard to case
// (RFC 6066, Section 3).
func hashName(serverName string) []byte { return hashStrings(strings.ToLower(serverName)) }

// hashStrings hashes a list so that no two different lists hash alike by
// moving a boundary.
func hashStrings(list ...string) []byte {
	h := sha256.New()
	for _, s := range list {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	return h.Sum(nil)
}

func (s *scope) append(b []byte) []byte {
	b = append(b, scopeMarker...)
	b = append(b, s.all[:]...)
	for _, hint := range s.hints {
		b = append(b, hint[:]...)
	}
	return b
}

// parseScope finds our entry among a session's Extra.
func parseScope(extra [][]byte) (s scope, ok bool) {
	for _, e := range extra {
		if len(e) == scopeLen && bytes.HasPrefix(e, scopeMarker) {
			copy(s.all[:], e[4:])
			for i := range s.hints {
				copy(s.hints[i][:], e[20+2*i:])
			}
			return s, true
		}
	}
	return scope{}, false
}

// differs returns the outcome that names the first part in which a session's
// scope is not the one wanted.
func (s *scope) differs(want *scope) (Outcome, bool) {
	if s.all == want.all {
		return 0, false
	}
	for i, hint := range s.hints {
		if hint != want.hints[i] {
			return MissScopeContext + Outcome(i), true
		}
	}
	return MissScopeContext, true // differs only where the hints are too short to tell
}

// certPool returns the CAs as the pool crypto/tls verifies with.
func certPool(cas []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		pool.AddCert(ca)
	}
	return pool
}
