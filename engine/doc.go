// Package engine is the data path: loops, sockets and flows, on package internal/reactor. It does
// all I/O and handles no TLS bytes; package tlsconn handles them and does no I/O.
//
// Each loop is one goroutine with its own listening sockets (SO_REUSEPORT), connections, reactor,
// buffers and counters. Loops share nothing on the data path; what they use together (the session
// store behind tlsconn, the backends' health) is built for it. The one safe call into a loop is
// posting a task to its reactor.
//
// A flow is one client connection and its backend connection: two sockets and two ways. Both
// sockets are registered once with epoll, edge-triggered, for reading and writing; the socket
// remembers each edge. Backpressure is not reading: when a socket takes less than it is given, the
// rest is queued in the way, and from the high watermark on the other socket is not read until the
// queue is below the low one. So a reader that stops costs at most HighWatermark and one read in
// each direction, whatever is waiting for it.
//
// An idle flow holds no buffer: reads use buffers of the loop, and only what a socket does not take
// is copied into a pooled one.
//
// How a flow ends:
//
//   - The client's close_notify becomes a FIN to the backend, the backend's FIN a close_notify and
//     a FIN to the client; each only after everything before it has been sent. The other direction
//     goes on.
//   - A client's FIN without close_notify may be an attacker's: the backend gets RST.
//   - A backend's RST reaches the client as a FIN without close_notify, after all data before it.
package engine
