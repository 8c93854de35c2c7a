// Package http2 is HTTP/2 (RFC 9113) in a gateway, as values: a [Conn] is a client's
// connection, a [Backend] is one to a backend. Each takes the plaintext of its connection, however
// it is cut, and says what becomes of each stream. It does no I/O, reads no clock and
// starts nothing.
//
// # Using a Conn
//
// [Conn.Start] appends the server's preface. [Conn.Next] consumes what it can of the
// client's bytes and returns the next event; what it does not consume is to be given
// again, with more behind it:
//
//	dst, n, e := c.Next(dst, p)  // e.Kind == None: read more
//
// What is to be sent is appended to dst, the caller's, in the order in which it has to
// go out. [Conn.Consumed] opens the windows again for what a backend has taken: they are
// the backpressure. [Conn.AppendHead], [Conn.AppendData] and [Conn.AppendEnd] write the
// response; [Conn.Room] says how much of its body may be read from the backend now.
//
// # Using a Backend
//
// [Backend.Start] appends a client's preface, and [Backend.Next] is as above. When the
// backend's settings have come and there is [Backend.Room], [Backend.Open] makes a
// [Call] of the head of a request, [Backend.Send] sends as much of its body as windows let
// out, and [Backend.End] ends it. A call that the backend has refused, or that its GOAWAY leaves
// out, comes back as a Reset that is Unprocessed.
//
// # Requests become HTTP/1.1 heads
//
// A request's pseudo-header fields and fields are written as the head of an HTTP/1.1
// request, which package http1 then parses like any other. So nothing reaches a backend
// that its strict reading has not accepted, and a header block that means one thing
// here and another there (CVE-2021-21295 and its kin) is refused twice. What RFC 9113,
// Section 8, calls malformed is a stream error before that. Cookie crumbs are joined; an
// extended CONNECT for a WebSocket (RFC 8441) becomes the request for an upgrade. So it is
// to backends, the other way round: heads of requests are given as those of HTTP/1.1, and
// those of responses are made such, to be parsed.
//
// # Bounds
//
// A connection holds at most: Options.MaxStreams streams, each with up to
// what the caller passes to AppendData beyond [Conn.Room]; one header block, of
// http1.Limits.HeadLen decoded bytes; an HPACK table of 4 KiB; an incomplete frame
// of 16 KiB, in the caller's hands. Two budgets bound the work that costs a client
// nothing: one for control frames, one for streams that are reset, by whomever.
//
// A Backend holds no part of a body. Its options bound the calls, what a backend may send
// of each before that is consumed, and the frames that no call has a use for.
//
// # Choices
//
// The frame header is parsed here and not by x/net/http2's Framer, which reads from an
// io.Reader and blocks within a frame, copies each payload, and allocates for every
// frame but DATA (BenchmarkFramer beside BenchmarkConn). Its hpack decodes; the
// encoder is ours because it has no table: each response names its fields in full or by
// the static table, as HAProxy does it, so that no state is shared between the
// responses of a connection, and writing one costs no allocation and no search.
// Priorities (RFC 9218, and those of RFC 7540) are ignored on purpose: streams share
// the connection evenly, and no client can make us sort.
package http2
