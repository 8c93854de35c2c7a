// Package proxy is the PROXY protocol, versions 1 and 2, as bytes in and bytes out: what a proxy in
// front reports about its client, read before anything else on a connection, and what is reported
// to a backend. It has no socket and no clock.
//
// Both versions are HAProxy's (proxy-protocol.txt). The caller decides which sources may send a
// header: a trusted source can claim any client address, so a header is parsed from trusted sources
// only, and one from elsewhere is refused ([LooksLike]).
//
// # Our own TLV
//
// The protocol has no type for whether the TLS session was resumed and which node made it. Version
// 2 carries that as type 0xE7, of the range left to applications (proxy-protocol.txt, Section
// 2.2.8):
//
//	offset  bytes
//	     0      1  version of this layout: 1
//	     1      1  flags: bit 0, the session was resumed; the others are 0
//	     2      4  owner: short id of the node that made the session, 0 if unknown
//
// A TLV of another length or version belongs to another application and is ignored.
package proxy
