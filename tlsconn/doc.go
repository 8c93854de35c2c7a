// Package tlsconn is one TLS connection as a value: bytes in, bytes out, and a
// state that says what it waits for. It does no I/O, holds no descriptor, reads
// no clock and starts no goroutine that outlives a handshake, so a reactor can
// drive thousands of connections from one goroutine.
//
// # What drives what
//
// crypto/tls speaks the protocol. Its handshake is written as straight-line
// code that blocks in Read, so it runs in a coroutine (package iter): when it
// wants bytes that have not arrived, the transport's Read yields the reason and
// the caller of [Conn.Feed] has its goroutine back. More bytes resume it where
// it stopped. Waiting for another node's session store or for a slow signature
// is the same mechanism with another reason, see [State]. When the handshake is
// over the coroutine is handed back for the next connection, and from then on
// Read returns an error whose Temporary method says true, which crypto/tls
// survives with its partial record intact.
//
// # Ownership
//
// A [Server] and all its [Conn] belong to one goroutine, the loop that made
// them; only [Lookup.Answer] and the [Waker] may be called from elsewhere.
// Because everything runs on that goroutine, the connection a crypto/tls
// callback serves is simply the one being resumed (Server.current): those
// callbacks are not told.
//
// Output is appended to the slice the caller passes and returned, like append.
// Input given to Feed is borrowed until [Conn.Read] has reported that it needs
// more; what a parked handshake has not consumed is copied.
//
// # Sessions
//
// The client never holds session state. What it gets as a ticket (TLS 1.2,
// RFC 5077; TLS 1.3, RFC 8446, Section 4.6.1) is a handle, the name of a
// session that [Sessions] keeps:
//
//	offset  length  field
//	     0       1  format version, 1
//	     1       1  id of the key that made the tag
//	     2       4  owner: short id of the node that made the session
//	     6       4  expiry by the owner's clock, seconds since 1970, big endian
//	    10      16  random key of the session in the store
//	    26      16  HMAC-SHA-256 over bytes 0 to 25, truncated to 128 bits
//
// Whoever cannot make the tag cannot cause a look-up.
//
// The stored state carries in SessionState.Extra the scope it was made under
// (see scope.go). A session offered under another scope is declined and the
// client gets a full handshake; it is never an error.
//
// # What crypto/tls does not do as a server
//
// It does not resume by TLS 1.2 session ID (only by ticket), serves no early
// data and refuses a ClientHello that offers it, and issues one ticket per
// connection. The lifetime hint is seven days in TLS 1.3 and absent in TLS 1.2,
// whatever the store keeps.
package tlsconn
