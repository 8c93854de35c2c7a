// Package record protects records of TLS 1.3 (RFC 8446, Section 5) and TLS 1.2
// (RFC 5246, Section 6.2; RFC 5288; RFC 7905) with AEADs, and opens them.
//
// A Half is one direction of a connection. It neither finds records in a stream nor reassembles
// fragments: header and fragment of one record come in, one record goes out. Nothing is allocated
// for a record once a Half has its AEAD state, provided that the destination has room.
package record
