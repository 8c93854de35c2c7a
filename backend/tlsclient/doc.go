// Package tlsclient speaks TLS to backends: crypto/tls's client as bytes in, bytes out, so that a
// loop never waits for it.
//
// A [Policy] says which certificates to trust and to present, a [Client] applies it to one backend
// and keeps the sessions received from that, and a [Conn] is one connection: ciphertext goes in and
// plaintext comes out, and vice versa. It has no descriptor, reads no socket and takes no lock.
//
// # The handshake
//
// crypto/tls's handshake blocks while it reads, and takes 0.2 to 3 ms of computing: the key
// exchange, the chain's signatures, and our own if the backend asks for a certificate. None of that
// is done on the loop. It runs on a goroutine of its own, which moves only while a worker waits for
// it ([Conn.Step]) and stands still when it needs bytes that have not come: so at most as many
// handshakes compute at a time as there are workers. Coroutines (package iter) would be cheaper,
// but a coroutine is bound to the thread that made it if that is locked.
//
// During a step the Conn belongs to the worker: its owner may call only [Conn.Abort]. The wake
// function reports the end of the step.
//
// Verification is crypto/tls's own and happens in the handshake: the chain and name of a Connected
// backend were verified, in this handshake or in the one that made the session, unless the policy
// turns verification off. A hostile backend is bounded by crypto/tls (256 KiB of certificates, 8192
// bits of an RSA key, 100 signatures of a chain) and by its owner's clock.
//
// # Data
//
// Once connected, all work is done on the owner's goroutine, and a read without input returns:
// crypto/tls goes on after an error whose Temporary method returns true, with its partial record.
// It keeps its buffers for the life of a connection: up to some 20 KB once a full record has come.
//
// # Sessions
//
// A Client keeps the last few sessions of its backend, whichever loop they came to. They are not
// shared with Clients of another policy, so a session does not outlive the trust in its authority.
package tlsclient
