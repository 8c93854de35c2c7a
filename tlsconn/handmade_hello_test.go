package tlsconn_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"testing"

	"reprise/tlsconn"
)

func v8(b ...byte) []byte { return append([]byte{byte(len(b))}, b...) }
func v16(b ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))),
		b...)
}

func ext16(typ uint16, b ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, typ), v16(b...)...)
}

func cat(list ...[]byte) (all []byte) {
	for _, b := range list {
		all = append(all, b...)
	}
	return all
}

// handHello makes a ClientHello by hand.
func handHello(version uint16, id []byte, suites []byte, exts ...[]byte) []byte {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	body := cat(binary.BigEndian.AppendUint16(nil, version), random, v8(id...), v16(suites...),
		[]byte{1, 0}, v16(cat(exts...)...))
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func plainRecord(typ byte, p []byte) []byte {
	return append([]byte{typ, 3, 3, byte(len(p) >> 8), byte(len(p))}, p...)
}

var (
	extName    = ext16(0, v16(append([]byte{0}, v16([]byte("www.example.test")...)...)...)...)
	extGroups  = ext16(10, v16(0, 29, 0, 23)...)
	extSigAlgs = ext16(13, v16(4, 3, 8, 4)...)
	extEMS     = ext16(23)
	ext13      = ext16(43, v8(3, 4)...)
)

func extShare(groups ...uint16) []byte {
	var list []byte
	for _, g := range groups {
		var pub []byte
		switch g {
		case 29:
			k, _ := ecdh.X25519().GenerateKey(rand.Reader)
			pub = k.PublicKey().Bytes()
		case 23:
			k, _ := ecdh.P256().GenerateKey(rand.Reader)
			pub = k.PublicKey().Bytes()
		}
		list = cat(list, binary.BigEndian.AppendUint16(nil, g), v16(pub...))
	}
	return ext16(51, v16(list...)...)
}

// helloWithTicket makes a TLS 1.2 hello that names a session of m, but offers only
// another suite.
func helloWithTicket(t *testing.T, m *handmadeMemory, _ tlsconn.Server) []byte {
	t.Helper()
	keys, _ := tlsconn.NewHandleKeys([]byte("secret of a review, long enough"))
	for key := range m.sessions {
		ticket := keys.Sealer().Append(nil, tlsconn.Handle{Key: key})
		return plainRecord(22, handHello(0x0303, nil, []byte{0xc0, 0x2c}, extName, extGroups, extSigAlgs,
			extEMS, ext16(35, ticket...)))
	}
	t.Fatal("no session")
	return nil
}
