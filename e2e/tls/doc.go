// Package tls tests TLS with clients: handshakes and resumption with the clients that users have,
// which sessions are valid where, client certificates and their revocation, and clients that send
// damaged or no TLS.
package tls
