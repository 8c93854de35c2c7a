// Package http1 is the HTTP/1.1 codec of a gateway (RFC 9110, RFC 9112): it reads the heads of
// requests and responses, finds the ends of bodies, and writes what goes to the other side. It does
// no I/O, reads no clock and starts no goroutine.
//
// # Reading
//
// [HeadLen] tells whether a head is complete, [Request.Parse] and [Response.Parse] read it, and a
// [Body] takes what follows piece by piece:
//
//	n := HeadLen(p, seen)            // 0: read more, unless Limits.Partial refuses p
//	err := request.Parse(p[:n], &limits)
//	body.Start(request.Framing, request.Length, &limits)
//	data, n, err := body.Next(p)     // until body.Done()
//
// Nothing is copied. Parsed values point into their input, and payload is returned as parts of it.
// Only a trailer section is held, within its limit, because it must be checked before it is passed
// on.
//
// # Strictness
//
// If a gateway reads a message differently from the server behind it, one client's bytes become
// part of another's request. So whatever two recipients are known to read in two ways is refused,
// even where RFC 9112 allows repair, and what is accepted is written anew instead of copied: the
// target in origin form, one Host, one framing field, chunks without extensions. Of the things a
// gateway may tolerate, five are tolerated: an empty line before a request, white space around
// field values, and from backends the missing space before an empty reason phrase, blanks after a
// chunk size, and a body announced where there can be none (1xx, 204), which ends the connection.
//
// Refused although the grammar allows it: folded fields, Content-Length twice with the same value,
// transfer codings beside chunked, white space after a client's chunk size, hosts with percent
// signs or sub-delimiters, an empty port, CONNECT, and a target in absolute form whose authority
// differs from the Host field in more than the scheme's default port.
//
// # Passing on
//
// [AppendRequest] and [AppendResponse] leave out what concerns one hop only (RFC 9110, Section
// 7.6.1). A switch of protocols is passed on if the Connection field names it and it does not lead
// to HTTP/2, whose requests would bypass the gateway. A Connection field cannot remove a field
// meant for all recipients.
//
// Only a trusted client may state who its own client is, in X-Forwarded-* and Forwarded and in the
// other names that proxies use for it: X-Real-IP, X-Client-IP, Client-IP, True-Client-IP,
// X-Cluster-Client-IP, X-Scheme, X-Url-Scheme, Front-End-Https, Client-Cert, Client-Cert-Chain,
// X-SSL-*, SSL-Client-* and X-Client-Cert*.
//
// Fields that equal a known one to a recipient that reads any other byte as "-", such as
// X_Forwarded_For and X!Forwarded.For, are dropped from every client, as is Proxy. Other names with
// such bytes pass.
package http1
