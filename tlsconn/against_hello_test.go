package tlsconn_test

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// A rawHello is a ClientHello in its parts, well-formed or not: what a mutation
// works on, and what an allowed difference is about. It is read leniently and
// without the help of any engine.
type rawHello struct {
	version      uint16
	random       []byte
	sessionID    []byte
	suites       []byte
	compressions []byte
	noBlock      bool // no extensions, not even their length
	extensions   []rawExtension
}

type rawExtension struct {
	id   uint16
	data []byte
}

// parseRawHello reads the ClientHello at the front of a client's bytes; nil if
// there is none that is whole.
func parseRawHello(in []byte) *rawHello {
	var message []byte
	for len(in) >= 5 && in[0] == 22 {
		n := 5 + int(binary.BigEndian.Uint16(in[3:]))
		if len(in) < n {
			break
		}
		message = append(message, in[5:n]...)
		in = in[n:]
		if len(message) >= 4 && len(message) >= 4+int(message[1])<<16+int(message[2])<<8+int(message[3]) {
			break
		}
	}
	s := cryptobyte.String(message)
	var kind uint8
	var body, sessionID, suites, compressions, block cryptobyte.String
	h := new(rawHello)
	if !s.ReadUint8(&kind) || kind != 1 || !s.ReadUint24LengthPrefixed(&body) ||
		!body.ReadUint16(&h.version) || !body.ReadBytes(&h.random, 32) ||
		!body.ReadUint8LengthPrefixed(&sessionID) || !body.ReadUint16LengthPrefixed(&suites) ||
		!body.ReadUint8LengthPrefixed(&compressions) {
		return nil
	}
	h.sessionID, h.suites, h.compressions = slices.Clone(sessionID), slices.Clone(suites),
		slices.Clone(compressions)
	if h.noBlock = body.Empty(); h.noBlock {
		return h
	}
	if !body.ReadUint16LengthPrefixed(&block) || !body.Empty() {
		return nil
	}
	for !block.Empty() {
		var e rawExtension
		var data cryptobyte.String
		if !block.ReadUint16(&e.id) || !block.ReadUint16LengthPrefixed(&data) {
			return nil
		}
		e.data = slices.Clone(data)
		h.extensions = append(h.extensions, e)
	}
	return h
}

// message returns the handshake message. Fields too long for their length wrap, which
// makes them malformed, and no harm.
func (h *rawHello) message() []byte {
	b := binary.BigEndian.AppendUint16(nil, h.version)
	b = append(b, h.random...)
	b = append(append(b, byte(len(h.sessionID))), h.sessionID...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(h.suites))), h.suites...)
	b = append(append(b, byte(len(h.compressions))), h.compressions...)
	if !h.noBlock {
		var block []byte
		for _, e := range h.extensions {
			block = binary.BigEndian.AppendUint16(block, e.id)
			block = binary.BigEndian.AppendUint16(block, uint16(len(e.data)))
			block = append(block, e.data...)
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(block))), block...)
	}
	return append([]byte{1, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

// records returns the message in records of at most max bytes.
func (h *rawHello) records(max int) (out []byte) {
	for m := h.message(); len(m) > 0; {
		n := min(len(m), max)
		out = append(out, 22, 3, 1, byte(n>>8), byte(n))
		out = append(out, m[:n]...)
		m = m[n:]
	}
	return out
}

// find returns the first extension of a kind, nil if there is none.
func (h *rawHello) find(id uint16) *rawExtension {
	for i := range h.extensions {
		if h.extensions[i].id == id {
			return &h.extensions[i]
		}
	}
	return nil
}

// list16 returns an extension's list of 16-bit values, after a length of n bytes.
func (h *rawHello) list16(id uint16, n int) (values []uint16) {
	e := h.find(id)
	if e == nil || len(e.data) < n {
		return nil
	}
	for d := e.data[n:]; len(d) >= 2; d = d[2:] {
		values = append(values, binary.BigEndian.Uint16(d))
	}
	return values
}

// shares returns the groups and lengths of the key shares, and whether they parse.
func (h *rawHello) shares() (groups []uint16, lens []int, ok bool) {
	e := h.find(idKeyShare)
	if e == nil {
		return nil, nil, true
	}
	s := cryptobyte.String(e.data)
	var list, share cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return nil, nil, false
	}
	for !list.Empty() {
		var group uint16
		if !list.ReadUint16(&group) || !list.ReadUint16LengthPrefixed(&share) {
			return groups, lens, false
		}
		groups, lens = append(groups, group), append(lens, len(share))
	}
	return groups, lens, true
}

// offers13 reports whether the client offers TLS 1.3.
func (h *rawHello) offers13() bool { return slices.Contains(h.list16(idVersions, 1), 0x0304) }

// Extensions (RFC 8446, Section 4.2).
const (
	idServerName    = 0
	idStatusRequest = 5
	idGroups        = 10
	idPointFormats  = 11
	idSigAlgs       = 13
	idALPN          = 16
	idSCT           = 18
	idEMS           = 23
	idTicket        = 35
	idPSK           = 41
	idEarlyData     = 42
	idVersions      = 43
	idCookie        = 44
	idPSKModes      = 45
	idAuthorities   = 47
	idPostHandshake = 49
	idSigAlgsCert   = 50
	idKeyShare      = 51
	idQUIC          = 57
	idECH           = 0xfe0d
	idRenegotiation = 0xff01
)

// fixBinder makes the first binder anew for psk, if there is one of the hash's length
// at the end, so that a mutated hello is as good as one that was meant.
func (h *rawHello) fixBinder(psk []byte, sha384 bool) {
	if h.noBlock || len(h.extensions) == 0 || h.extensions[len(h.extensions)-1].id != idPSK {
		return
	}
	data := h.extensions[len(h.extensions)-1].data
	s := cryptobyte.String(data)
	var identities, binders, first cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&identities) || !s.ReadUint16LengthPrefixed(&binders) ||
		!s.Empty() {
		return
	}
	after := len(binders)
	newHash := sha256.New
	if sha384 {
		newHash = sha512.New384
	}
	if !binders.ReadUint8LengthPrefixed(&first) || len(first) != newHash().Size() {
		return
	}
	message := h.message()
	mac := binder(newHash, psk, message[:len(message)-after-2])
	copy(data[len(data)-after+1:], mac)
}

// binder is that of a resumption PSK over a truncated hello (RFC 8446, Section
// 4.2.11.2).
func binder(newHash func() hash.Hash, psk, hello []byte) []byte {
	n := newHash().Size()
	must := func(b []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return b
	}
	label := func(secret []byte, name string, context []byte) []byte {
		info := binary.BigEndian.AppendUint16(nil, uint16(n))
		info = append(append(info, byte(6+len(name))), "tls13 "+name...)
		info = append(append(info, byte(len(context))), context...)
		return must(hkdf.Expand(newHash, secret, string(info), n))
	}
	early := must(hkdf.Extract(newHash, psk, make([]byte, n)))
	key := label(label(early, "res binder", newHash().Sum(nil)), "finished", nil)
	sum := newHash()
	sum.Write(hello)
	mac := hmac.New(newHash, key)
	mac.Write(sum.Sum(nil))
	return mac.Sum(nil)
}
