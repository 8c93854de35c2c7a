// Package wire is the codec of the handshake messages of TLS 1.3 (RFC 8446) and
// TLS 1.2 (RFC 5246), as a server needs it: it parses what clients send and
// appends what servers send. It knows no state and decides nothing; the reasons
// why a message is refused are Faults, which the caller turns into alerts.
//
// Parsers take a whole message with its header of four bytes. They are strict,
// never allocate and never copy: what they return aliases the message and is
// valid until it changes. A value after a failed parse means nothing.
//
// Values that nobody has defined yet, GREASE (RFC 8701) among them, are ignored
// wherever a list may hold such.
package wire
