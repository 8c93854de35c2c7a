// Package standard is crypto/tls behind the contract of package tlsconn: an alternative for
// operators who must use the standard library, and the oracle of comparing tests.
//
// # Control flow
//
// crypto/tls speaks the protocol. Its handshake is straight-line code that blocks in Read, so it
// runs in a coroutine (package iter): when it needs bytes that have not arrived, the transport's
// Read yields the reason and the caller of [Conn.Feed] gets its goroutine back. More bytes resume
// it where it stopped. Waiting for another node's session store or for a slow signature is the same
// mechanism with another reason. When the handshake is over the coroutine is kept for the next
// connection, and from then on Read returns an error whose Temporary method returns true, which
// crypto/tls survives with its partial record intact.
//
// Because everything runs on the loop's goroutine, the connection that a crypto/tls callback serves
// is the one being resumed (Server.current): callbacks do not get it as an argument.
//
// # What crypto/tls lacks as a server
//
// It does not resume by TLS 1.2 session ID (only by ticket), serves no early data and refuses a
// ClientHello that offers it, and issues one ticket per connection. The lifetime hint is seven days
// in TLS 1.3 and absent in TLS 1.2, whatever the store keeps. It verifies client certificates on
// the loop, and sends a TLS 1.3 client its ticket before the client has proved anything; the
// session is saved only afterwards.
package standard
