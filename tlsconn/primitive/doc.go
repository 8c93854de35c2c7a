// Package primitive names the cryptography that tlsconn uses and takes it from the standard
// library, x/crypto and circl: hashes, groups, AEADs, cipher suites and signature schemes. It
// implements no algorithm itself.
//
// Three modules beside the standard library are used, each for one reason:
//
//   - golang.org/x/crypto has ChaCha20-Poly1305, which the standard library keeps
//     to itself;
//   - github.com/cloudflare/circl multiplies points of X25519 and encapsulates by
//     ML-KEM-768 faster on amd64;
//   - filippo.io/edwards25519 makes X25519's public keys, a multiplication of the
//     base point, by tables instead of a ladder.
//
// The last two are used once SelfCheck has compared them with the standard library, and only on
// processors where they are faster. BenchmarkX25519 and BenchmarkMLKEM show by how much.
package primitive
