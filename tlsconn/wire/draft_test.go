package wire

import (
	"bytes"
	"encoding/binary"
)

func u16(v ...uint16) (b []byte) {
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return b
}

func v8(parts ...[]byte) []byte {
	b := bytes.Join(parts, nil)
	return append([]byte{byte(len(b))}, b...)
}

func v16(parts ...[]byte) []byte {
	b := bytes.Join(parts, nil)
	return append(u16(uint16(len(b))), b...)
}

func v24(parts ...[]byte) []byte {
	b := bytes.Join(parts, nil)
	return append([]byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

func ext(typ uint16, data ...[]byte) []byte { return append(u16(typ), v16(data...)...) }

func message(typ uint8, parts ...[]byte) []byte { return append([]byte{typ}, v24(parts...)...) }

// filled returns n bytes of one value.
func filled(n int, v byte) []byte { return bytes.Repeat([]byte{v}, n) }

// A draft is a ClientHello that can be spoiled before it is built.
type draft struct {
	sessionID, suites, compressions []byte
	noExtensions                    bool
	exts                            [][]byte
	afterwards                      []byte // behind the extensions block
}

func (d *draft) build() []byte {
	parts := [][]byte{
		u16(VersionTLS12), filled(32, 7), v8(d.sessionID), v16(d.suites), v8(d.compressions),
	}
	if !d.noExtensions {
		parts = append(parts, v16(d.exts...))
	}
	return message(TypeClientHello, append(parts, d.afterwards)...)
}

// replace sets the content of an extension, which it adds if need be.
func (d *draft) replace(typ uint16, data ...[]byte) {
	for i, e := range d.exts {
		if binary.BigEndian.Uint16(e) == typ {
			d.exts[i] = ext(typ, data...)
			return
		}
	}
	// In front, for a pre_shared_key is to stay last.
	d.exts = append([][]byte{ext(typ, data...)}, d.exts...)
}

func (d *draft) remove(typ uint16) {
	for i, e := range d.exts {
		if binary.BigEndian.Uint16(e) == typ {
			d.exts = append(d.exts[:i:i], d.exts[i+1:]...)
			return
		}
	}
}

func identity(name string, age byte) []byte { return append(v16([]byte(name)), 0, 0, 0, age) }

// fullDraft has every extension that is understood.
func fullDraft() *draft {
	return &draft{
		sessionID:    filled(32, 5),
		suites:       u16(0x1301, 0xc02b, SuiteEmptyRenegotiation, SuiteFallback, 0x1a1a),
		compressions: []byte{0},
		exts: [][]byte{
			ext(0x2a2a), // GREASE
			ext(ExtServerName, v16([]byte{0}, v16([]byte("www.Example.com.")))),
			ext(ExtSupportedGroups, v16(u16(0x2a2a, 29, 23))),
			ext(ExtECPointFormats, v8([]byte{0, 1})),
			ext(ExtSignatureAlgorithms, v16(u16(0x0403, 0x0804))),
			ext(ExtSignatureAlgorithmCert, v16(u16(0x0805))),
			ext(ExtALPN, v16(v8([]byte("h2")), v8([]byte("http/1.1")))),
			ext(ExtStatusRequest, []byte{1, 0, 0, 0, 0}),
			ext(ExtExtendedMasterSecret),
			ext(ExtSessionTicket, []byte("ticket")),
			ext(ExtEarlyData),
			ext(ExtSupportedVersions, v8(u16(0x5a5a, VersionTLS13, VersionTLS12))),
			ext(ExtCookie, v16([]byte("cookie"))),
			ext(ExtPSKKeyExchangeModes, v8([]byte{0x0b, ModePSKDHE})),
			ext(ExtCertificateAuthorities, v16(v16([]byte{0x30, 0}))),
			ext(ExtPostHandshakeAuth),
			ext(ExtKeyShare, v16(keyShare(0x2a2a, 0), keyShare(29, filled(32, 9)...))),
			ext(ExtRenegotiationInfo, v8([]byte("verify"))),
			ext(ExtPreSharedKey, v16(identity("first", 1), identity("second", 2)),
				v16(v8(filled(32, 3)), v8(filled(48, 4)))),
		},
	}
}

// set sets the content of an extension.
func set(typ uint16, data ...[]byte) func(*draft) {
	return func(d *draft) { d.replace(typ, data...) }
}

// without removes an extension.
func without(typ uint16) func(*draft) {
	return func(d *draft) { d.remove(typ) }
}

// first puts extensions before all others.
func first(exts ...[]byte) func(*draft) {
	return func(d *draft) { d.exts = append(exts, d.exts...) }
}

func keyShare(group uint16, share ...byte) []byte { return append(u16(group), v16(share)...) }
