// Package pki reads the certificates, keys and authorities that an operator keeps in
// PEM files (RFC 7468). `reprise check`, the start and a reload read them here, so that
// all three say the same.
//
// The reader is strict: each BEGIN line begins a block that must be whole and must parse. A lenient
// reader skips blocks that it cannot read, and then a chain lacks a certificate, or an authority is
// not known, and only clients notice. Errors name the file, the block and the line, and say what
// would be right.
package pki
