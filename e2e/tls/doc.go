// Package tls tests what a client meets: handshakes and resumption with the clients that
// users have, which sessions are good where, client certificates and their revocation, and
// what is done about clients that send damaged or no TLS.
package tls
