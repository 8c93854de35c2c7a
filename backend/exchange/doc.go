// Package exchange is HTTP between a client and a backend as values: no socket, no clock, no
// callback. Bytes and events go in; what to send and to do comes out.
//
// # An exchange
//
// An [Exchange] is one request and its response. It does not know how the client's side is framed
// in octets, nor that a connection may hold one exchange at a time, so it serves a stream of HTTP/2
// as well as a request of HTTP/1:
//
//	out := x.Begin(scratch, options, client, 1, head) // Do: Dial
//	out = x.Linked(scratch, link)                     // ToBackend: the head
//	out = x.Body(scratch, piece)                      // while x.WantsBody()
//	out = x.End(scratch, nil)
//	out = x.FromBackend(scratch, p)                   // Head, Data, End; Do: Release
//	x.Reset()
//
// The answers of a backend that frames messages by itself (HTTP/2) go to AnswerHead, AnswerData and
// AnswerEnd instead of FromBackend.
//
// Its states, and what can happen in each of them, are one table in transitions.go. The codecs,
// packages http1 and uwsgi, write and read the backend's side.
//
// # A connection
//
// A [Conn] is a client's HTTP/1 connection around one Exchange: it finds heads and bodies in
// what the client sends, one request after the other, and writes responses as octets.
//
// # Who owns which bytes
//
// Pieces of a body are passed on as parts of the input and, where they need framing, framed in the
// [Scratch] that all exchanges of a loop share. An exchange copies the head of its request, a head
// of a response that comes in parts, and a body whose length a backend must know first, each within
// its limit. A Conn copies input that comes before it can be used. Between two requests neither
// holds anything.
//
// Neither buffers what the other side does not take: the owner must not read from a backend while
// the client has no room, nor from the client while the backend has none.
package exchange
