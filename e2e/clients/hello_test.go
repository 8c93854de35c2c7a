package clients

import (
	"crypto/tls"
	"encoding/binary"
	"testing"
)

// The ways to offer a session (RFC 5246, Section 7.4.1.2; RFC 5077, Section 3.2;
// RFC 8446, Sections 4.2.10 and 4.2.11).
type offer string

const (
	nothing   offer = "nothing"
	byID      offer = "id"
	byTicket  offer = "ticket"
	byPSK     offer = "psk"
	withEarly offer = "psk with early data"
)

// hellos returns how each ClientHello at the start of what a client sent offers a
// session. There is a second one after a HelloRetryRequest.
func hellos(t *testing.T, stream []byte) (offers []offer) {
	t.Helper()
	for _, message := range firstMessages(stream) {
		if message[0] != 1 { // client_hello
			break
		}
		offers = append(offers, offerOf(t, message[4:]))
	}
	return offers
}

// firstMessages returns the handshake messages in plaintext that a client sent, and in TLS 1.2 one
// more made of the protected bytes.
func firstMessages(stream []byte) (messages [][]byte) {
	var handshake []byte
	for len(stream) >= 5 {
		kind, length := stream[0], int(binary.BigEndian.Uint16(stream[3:]))
		stream = stream[5:]
		length = min(length, len(stream))
		if kind == 22 { // handshake; between two of them are change_cipher_spec and early data
			handshake = append(handshake, stream[:length]...)
		}
		stream = stream[length:]
	}
	for len(handshake) >= 4 {
		length := 4 + int(binary.BigEndian.Uint32(handshake)&0xffffff)
		if length > len(handshake) {
			break
		}
		messages = append(messages, handshake[:length])
		handshake = handshake[length:]
	}
	return messages
}

// offerOf reads a ClientHello. Clients are trusted to send good ones.
func offerOf(t *testing.T, hello []byte) (o offer) {
	t.Helper()
	defer func() {
		if err := recover(); err != nil {
			t.Fatalf("a ClientHello is not one (%v): %x", err, hello)
		}
	}()
	o = nothing
	rest := hello[2+32:] // version, random
	id, rest := prefixed(rest, 1)
	if len(id) > 0 {
		o = byID
	}
	_, rest = prefixed(rest, 2) // cipher suites
	_, rest = prefixed(rest, 1) // compression methods
	if len(rest) == 0 {
		return o
	}
	early := false
	for extensions, _ := prefixed(rest, 2); len(extensions) > 0; {
		kind := binary.BigEndian.Uint16(extensions)
		var data []byte
		data, extensions = prefixed(extensions[2:], 2)
		switch {
		case kind == 43 && o == byID && hasTLS13(data): // there a session ID offers nothing
			o = nothing
		case kind == 35 && len(data) > 0: // session_ticket
			o = byTicket
		case kind == 42:
			early = true
		case kind == 41 && early: // pre_shared_key, always the last
			o = withEarly
		case kind == 41:
			o = byPSK
		}
	}
	return o
}

// hasTLS13 reads a supported_versions extension.
func hasTLS13(extension []byte) bool {
	for versions, _ := prefixed(extension, 1); len(versions) >= 2; versions = versions[2:] {
		if binary.BigEndian.Uint16(versions) == tls.VersionTLS13 {
			return true
		}
	}
	return false
}

// prefixed splits off a field behind its length of n bytes.
func prefixed(b []byte, n int) (data, rest []byte) {
	length := 0
	for _, c := range b[:n] {
		length = length<<8 | int(c)
	}
	return b[n : n+length], b[n+length:]
}
