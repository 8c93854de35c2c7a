// Package http2 is HTTP/2 (RFC 9113) in a gateway, as values: a [Conn] is a client's connection, a
// [Backend] is one to a backend. Each takes the plaintext of its connection, however it is cut, and
// returns what happens to each stream. It does no I/O, reads no clock and starts no goroutine.
//
// # Using a Conn
//
// [Conn.Start] appends the server's preface. [Conn.Next] consumes what it can of the client's bytes
// and returns the next event; what it does not consume must be given again, with more behind it:
//
//	dst, n, e := c.Next(dst, p)  // e.Kind == None: read more
//
// Output is appended to the caller's dst in the order in which it must be sent. [Conn.Consumed]
// reopens the windows for what a backend has taken: they are the backpressure. [Conn.AppendHead],
// [Conn.AppendData] and [Conn.AppendEnd] write the response; [Conn.Room] tells how much of its body
// may be read from the backend now.
//
// # Using a Backend
//
// [Backend.Start] appends a client's preface, and [Backend.Next] works as above. When the backend's
// settings have come and there is [Backend.Room], [Backend.Open] makes a [Call] from the head of a
// request, [Backend.Send] sends as much of its body as the windows allow, and [Backend.End] ends
// it. A call that the backend has refused, or that its GOAWAY excludes, ends with a Reset that is
// Unprocessed.
//
// # Requests become HTTP/1.1 heads
//
// A request's pseudo-header fields and fields are written as the head of an HTTP/1.1 request, which
// package http1 then parses like any other. So nothing reaches a backend that its strict parser has
// not accepted, and a header block that means one thing here and another there (CVE-2021-21295 and
// its kin) is refused twice. What RFC 9113, Section 8, calls malformed is a stream error before
// that. Cookie crumbs are joined; an extended CONNECT for a WebSocket (RFC 8441) becomes a request
// for an upgrade. Towards backends it is the reverse: heads of requests are given in the form of
// HTTP/1.1, and those of responses are converted to it, to be parsed.
//
// # Bounds
//
// A connection holds at most: Options.MaxStreams streams, each with as much as the caller passes to
// AppendData beyond [Conn.Room]; one header block, of http1.Limits.HeadLen decoded bytes; an HPACK
// table of 4 KiB; an incomplete frame of 16 KiB, kept by the caller. Two budgets bound the work
// that costs a client nothing: one for control frames, one for streams that either side resets.
//
// A Backend holds no part of a body. Its options bound the calls, what a backend may send for each
// before that is consumed, and the frames of no use to any call.
//
// # Choices
//
// The frame header is parsed here and not by x/net/http2's Framer, which reads from an io.Reader
// and blocks within a frame, copies each payload, and allocates for every frame but DATA
// (BenchmarkFramer beside BenchmarkConn). Its hpack decodes; the encoder is ours because it has no
// table: each response names its fields in full or by the static table, as HAProxy does, so that
// the responses of a connection share no state, and writing one costs no allocation and no search.
// Priorities (RFC 9218, and those of RFC 7540) are ignored on purpose: streams share the connection
// evenly, and a client cannot make us sort.
package http2
