// Package schedule derives the secrets of TLS 1.3 (RFC 8446, Section 7.1) and
// TLS 1.2 (RFC 5246, Section 5; RFC 7627) from each other.
//
// HMAC consists of two hashes in one call each, over arrays of a Scratch: the input is short, so
// nothing is allocated and a derivation costs a third of what it does through hash.Hash. A Scratch
// belongs to one loop, which wipes it after each step of a handshake; its arrays hold keys in
// between.
//
// An output may overwrite a secret input. It must not overlap any other input.
package schedule
