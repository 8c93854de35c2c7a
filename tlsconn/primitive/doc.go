// Package primitive names the cryptography that tlsconn speaks with and fetches
// it from the standard library, x/crypto and circl: hashes, groups, AEADs,
// cipher suites and signature schemes. No algorithm is implemented here.
package primitive
