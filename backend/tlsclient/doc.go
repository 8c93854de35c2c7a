// Package tlsclient speaks TLS to backends: crypto/tls's client as bytes in, bytes out, so
// that a loop never waits for it.
//
// A [Policy] says whom to trust and what to show, a [Client] is that for one backend with the
// sessions that it has given, and a [Conn] is one connection: ciphertext goes in and plaintext
// comes out, and the other way round. It has no descriptor, reads no socket and takes no lock.
//
// # The handshake
//
// crypto/tls's handshake blocks while it reads, and takes 0.2 to 3 ms of computing: the key
// exchange, the chain's signatures, and our own if the backend asks for a certificate. None of
// that is done on the loop. It runs on a goroutine of its own, which moves only while a worker
// waits for it ([Conn.Step]) and stands still when it wants bytes that have not come: so as many
// handshakes compute at a time as there are workers. Coroutines (package iter) would be cheaper,
// but are bound to the thread that they were made on if that is locked.
//
// While a step is under way the Conn belongs to the worker: its owner may call nothing but
// [Conn.Abort]. The wake function says that it is over.
//
// Verification is crypto/tls's own and not put off: a Conn that is Connected has a backend whose
// chain and name were verified, in this handshake or in the one that made the session, unless the
// policy says that nothing is verified. A hostile backend is bounded by crypto/tls (256 KiB of
// certificates, 8192 bits of an RSA key, 100 signatures of a chain) and by its owner's clock.
//
// # Data
//
// Once connected all happens on the owner's goroutine, and reading returns when there is nothing:
// crypto/tls goes on after an error whose Temporary method says true, with its partial record. It
// keeps its buffers for the life of a connection: up to some 20 KB once a full record has come.
//
// # Sessions
//
// A Client keeps the last few sessions of its backend, whichever loop they came to. They are not
// shared with Clients of another policy, so none outlives an authority that is trusted no more.
package tlsclient
