// Package wire is the codec of the handshake messages of TLS 1.3 (RFC 8446) and TLS 1.2 (RFC 5246)
// for a server: it parses what clients send and appends what servers send. It has no state and
// decides nothing; the reasons why a message is refused are Faults, which the caller turns into
// alerts.
//
// Parsers take a whole message with its header of four bytes. They are strict, never allocate and
// never copy: their results alias the message and are valid until it changes. After a failed parse
// a value has no meaning.
//
// Undefined values, GREASE (RFC 8701) among them, are ignored wherever a list may hold them.
package wire
