// Package tlsconn is one TLS connection as a value: bytes in, bytes out, and a state that says what
// it waits for. It does no I/O, holds no descriptor, reads only the clock it is given and starts no
// goroutine that outlives a handshake, so a reactor can drive thousands of connections from one
// goroutine.
//
// It defines the contract of an engine, which speaks the protocol ([Server], [Conn]), and what
// engines share: the configuration, the choice of a certificate, the memory of sessions, handles,
// scopes, counters. The engine of this package ([New]) speaks TLS 1.3 (RFC 8446) and TLS 1.2 (RFC
// 5246); package standard is the standard library's.
//
// # Ownership
//
// A [Server] and all its [Conn] belong to one goroutine, the loop that made
// them; only [Lookup.Answer] and the [Waker] may be called from elsewhere.
//
// Output is appended to the slice the caller passes and returned, like append. Input given to Feed
// is borrowed until Read has reported that it needs more; what a parked handshake has not consumed
// is copied.
//
// # Sessions
//
// The client never holds session state. Its session ID (TLS 1.2, RFC 5246) or ticket (TLS 1.2, RFC
// 5077; TLS 1.3, RFC 8446, Section 4.6.1) is a handle, the name of a session that [Sessions] keeps:
//
//	offset  length  field
//	     0       1  format version 2 in the high 3 bits, in the others the id of
//	                the key that made the tag
//	     1       4  owner: short id of the node that made the session
//	     5      16  random key of the session in the store
//	    21      11  HMAC-SHA-256 over bytes 0 to 20, truncated to 88 bits
//
// Without a valid tag there is no look-up. Only the store knows how old a session is: a handle has
// no clock in it.
//
// The stored state says which engine wrote it and the [Scope] it was made under. A session offered
// under another scope is declined and the client gets a full handshake; it is never an error.
package tlsconn
