package tlsconn_test

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"reprise/tlsconn"
)

// A verdict is what a server made of a client's bytes, as the network sees it.
type verdict struct {
	answer  string // "", "retry", "hello"
	version uint16
	suite   uint16
	group   uint16
	psk     int  // index of the session resumed in TLS 1.3, -1 for none
	resumed bool // in TLS 1.2
	alert   int  // -1 if there was none, or none that can be read
	failed  bool
	why     string // in the engine's words, not compared
}

func (v verdict) String() string {
	return fmt.Sprintf("{answer %q, version %04x, suite %04x, group %04x, psk %d, resumed %t, alert %d, failed %t: %s}",
		v.answer, v.version, v.suite, v.group, v.psk, v.resumed, v.alert, v.failed, v.why)
}

// same reports whether two servers did the same, but for their words.
func (v verdict) same(w verdict) bool {
	v.why, w.why = "", ""
	return v == w
}

// judge feeds a client's bytes and then the end to a new connection of s.
func judge(s tlsconn.Server, in []byte, cut int) verdict {
	c := s.NewConn(make(waker, 1))
	var out []byte
	for rest := in; len(rest) > 0 && c.State() != tlsconn.Failed; {
		n := min(len(rest), cut)
		piece := append([]byte(nil), rest[:n]...)
		rest = rest[n:]
		out = c.Feed(out, piece)
		clear(piece)
	}
	if c.State() == tlsconn.ExpectHandshakeBytes && len(out) == 0 {
		out = c.EOF(out)
	}
	v := verdict{psk: -1, alert: -1, failed: c.State() == tlsconn.Failed}
	if err := c.Err(); err != nil {
		v.why = err.Error()
	}
	c.Abort()
	v.read(out)
	return v
}

// read takes the unencrypted part of a server's first flight.
func (v *verdict) read(out []byte) {
	var messages []byte
	certificate, keyExchange := false, []byte(nil)
	for len(out) >= 5 {
		n := 5 + int(binary.BigEndian.Uint16(out[3:]))
		switch out[0] {
		case 21:
			if n == 7 {
				v.alert = int(out[6])
			}
		case 22:
			messages = append(messages, out[5:n]...)
		}
		out = out[n:]
	}
	for len(messages) >= 4 {
		n := 4 + int(messages[1])<<16 + int(messages[2])<<8 + int(messages[3])
		if len(messages) < n {
			break // encrypted, after ChangeCipherSpec
		}
		switch body := messages[4:n]; messages[0] {
		case 2:
			v.readHello(body)
		case 11:
			certificate = true
		case 12:
			keyExchange = body
		}
		messages = messages[n:]
	}
	if v.version == 0x0303 {
		v.resumed = v.answer == "hello" && !certificate
		if len(keyExchange) >= 3 {
			v.group = binary.BigEndian.Uint16(keyExchange[1:])
		}
	}
}

func (v *verdict) readHello(body []byte) {
	s := cryptobyte.String(body)
	var random []byte
	var sessionID, extensions, data cryptobyte.String
	var compression uint8
	if !s.ReadUint16(&v.version) || !s.ReadBytes(&random, 32) ||
		!s.ReadUint8LengthPrefixed(&sessionID) ||
		!s.ReadUint16(&v.suite) || !s.ReadUint8(&compression) {
		panic("a ServerHello that does not parse")
	}
	v.answer = "hello"
	if random[0] == 0xcf && random[1] == 0x21 && random[31] == 0x9c {
		v.answer = "retry" // SHA-256 of "HelloRetryRequest"
	}
	s.ReadUint16LengthPrefixed(&extensions)
	for !extensions.Empty() {
		var id uint16
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&data) {
			panic("a ServerHello that does not parse")
		}
		switch id {
		case idVersions:
			data.ReadUint16(&v.version)
		case idKeyShare:
			data.ReadUint16(&v.group)
		case idPSK:
			var index uint16
			data.ReadUint16(&index)
			v.psk = int(index)
		}
	}
}
