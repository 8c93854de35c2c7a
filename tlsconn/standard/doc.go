// Package standard is crypto/tls behind the contract of package tlsconn: a refuge
// for who must have the standard library, and the oracle of the tests that
// compare.
//
// # What drives what
//
// crypto/tls speaks the protocol. Its handshake is written as straight-line
// code that blocks in Read, so it runs in a coroutine (package iter): when it
// wants bytes that have not arrived, the transport's Read yields the reason and
// the caller of [Conn.Feed] has its goroutine back. More bytes resume it where
// it stopped. Waiting for another node's session store or for a slow signature
// is the same mechanism with another reason. When the handshake is over the
// coroutine is handed back for the next connection, and from then on Read
// returns an error whose Temporary method says true, which crypto/tls survives
// with its partial record intact.
//
// Because everything runs on the loop's goroutine, the connection a crypto/tls
// callback serves is simply the one being resumed (Server.current): those
// callbacks are not told.
//
// # What crypto/tls does not do as a server
//
// It does not resume by TLS 1.2 session ID (only by ticket), serves no early
// data and refuses a ClientHello that offers it, and issues one ticket per
// connection. The lifetime hint is seven days in TLS 1.3 and absent in TLS 1.2,
// whatever the store keeps. It verifies client certificates on the loop, and
// sends a TLS 1.3 client its ticket before that has proved anything; the session
// is saved only afterwards.
package standard
