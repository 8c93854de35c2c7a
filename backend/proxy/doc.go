// Package proxy is the PROXY protocol, versions 1 and 2, as bytes in and bytes
// out: what a proxy in front tells about its client, read before anything else
// on a connection, and what is told to a backend. It has no socket and no clock.
//
// Both versions are HAProxy's (proxy-protocol.txt). Who may send a header is
// the caller's business: anyone who is believed can claim to be anyone, so a
// header is parsed from trusted sources only, and one from elsewhere is refused
// ([LooksLike]).
//
// # Our own TLV
//
// Whether the TLS session was resumed, and which node made it, has no type in
// the protocol. It travels in version 2 as type 0xE7, of the range left to
// applications (proxy-protocol.txt, Section 2.2.8):
//
//	offset  bytes
//	     0      1  version of this layout: 1
//	     1      1  flags: bit 0, the session was resumed; the others are 0
//	     2      4  owner: short id of the node that made the session, 0 if unknown
//
// One of another length or version is somebody else's and ignored.
package proxy
