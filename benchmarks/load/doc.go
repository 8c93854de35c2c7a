// Package load drives a TLS server, or a plain one, and measures the cost, beyond what wrk and
// h2load can do. It makes full and resumed handshakes (also across several addresses, the nodes of
// a fleet), requests at a fixed rate, transfers, idle connections, slow readers, and handshake
// storms beside established connections.
//
// One [Run] is one mode with a fixed number of clients, each with at most one connection at a time:
//
//	prepare   sessions are earned, connections established; not measured
//	OnStart   the meter is read, the clock starts
//	measure   until Ops, Duration or ctx ends it
//	OnEnd     the meter is read again; connections are still open
//	close     close_notify and FIN
//
// What makes the figures honest:
//
//   - Each mode verifies what it claims. A full handshake that resumed, a body of another length, a
//     status that is not 2xx, an echo that differs are errors. Whether a session was resumed is
//     what the handshake says (tls.ConnectionState.DidResume).
//   - In a full handshake the client asks for a session as browsers do and then forgets it, so the
//     server does all of its work.
//   - An open loop counts latency from the moment a request was due, and sends each that was due: a
//     server that stalls for a second delays all requests of that second, and the percentiles show
//     it. A closed loop would have sent one.
//   - How late the generator itself sent is measured too ([Result].Late), and what it cost
//     ([Result].ClientCPU). Where the first is of the order of the latency, or the second of the
//     order of Elapsed for each CPU it has, the figures are the generator's. Neither shows that it
//     was not running while an answer lay there: that takes a CPU of its own.
//   - Failed operations are counted by kind, with no latency.
//
// The client's own cost is crypto/tls's. In TLS 1.3 it makes a key exchange even to resume. It
// reads the answer before it closes, and thereby the tickets that come before it. On loopback the
// kernel charges the work of receiving to the sender, so some of the server's share is the client's
// and vice versa. [Meter] reads the server's processor time and memory, [Affinity] keeps client and
// server on different cores.
//
// The package needs Linux: timerfd, /proc, sched_setaffinity.
package load
