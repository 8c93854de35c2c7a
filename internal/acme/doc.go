// Package acme gets and renews certificates from an authority that speaks ACME (RFC 8555)
// and shows it who serves their names, by HTTP-01 (RFC 8555, Section 8.3) and TLS-ALPN-01
// (RFC 8737). github.com/caddyserver/certmagic is the client; what is here joins it to a
// program with loops that must not wait, and to a fleet.
//
// Nodes that share a storage are one client: the storage's locks let one of them order a
// certificate, the others find it there. An authority may ask any node, so what is to be
// answered lies in the storage too. Each node looks there every half second and keeps
// what it finds in memory, where loops look it up; the node that orders waits until the
// others must have seen it before it tells the authority to look.
package acme
