// Package acme gets and renews certificates from an authority that speaks ACME (RFC 8555) and
// proves to it that it serves their names, by HTTP-01 (RFC 8555, Section 8.3) and TLS-ALPN-01 (RFC
// 8737). github.com/caddyserver/certmagic is the client; this package joins it to a program with
// loops that must not wait, and to a fleet.
//
// Nodes that share a storage are one client: the storage's locks let one of them order a
// certificate, and the others find it there. An authority may ask any node, so challenges lie in
// the storage too. Each node looks there every half second and keeps them in memory, where loops
// look them up; the node that orders waits until the others must have seen a challenge before it
// tells the authority to check it.
package acme
