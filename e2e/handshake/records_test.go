package handshake

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"testing"
)

// Record content types (RFC 8446, Section 5.1).
const (
	typeHandshake = 22
	typeData      = 23
)

// rawClient is a client of TLS 1.3 that sends arbitrary records after its handshake, which
// crypto/tls would not.
type rawClient struct {
	net.Conn
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func (n *node) connectRaw(t *testing.T) *rawClient {
	t.Helper()
	var keyLog bytes.Buffer
	config := n.config(tls.VersionTLS13)
	config.KeyLogWriter = &keyLog
	// Both have SHA-256; a server without AES hardware may prefer the other one.
	conn := n.connect(t, config)
	if suite := conn.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("needs TLS_AES_128_GCM_SHA256, got %s", tls.CipherSuiteName(suite))
	}
	c := &rawClient{Conn: conn.NetConn()}
	for line := range strings.Lines(keyLog.String()) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(fields[2])
			if err != nil {
				t.Fatal(err)
			}
			c.use(secret)
			return c
		}
	}
	t.Fatal("the client logs no traffic secret")
	return nil
}

// use takes traffic keys into use (RFC 8446, Section 7.3).
func (c *rawClient) use(secret []byte) {
	block, err := aes.NewCipher(expandLabel(secret, "key", 16))
	if err != nil {
		panic(err) // only for a key length out of range
	}
	if c.aead, err = cipher.NewGCM(block); err != nil {
		panic(err) // only for a block length out of range
	}
	c.secret, c.iv, c.seq = secret, expandLabel(secret, "iv", 12), 0
}

// next goes on to the next keys, as after a KeyUpdate (RFC 8446, Section 7.2).
func (c *rawClient) next() { c.use(expandLabel(c.secret, "traffic upd", 32)) }

// appendRecord appends a record of one content type.
func (c *rawClient) appendRecord(b []byte, contentType byte, content ...byte) []byte {
	start := len(b)
	inner := append(content[:len(content):len(content)], contentType)
	b = append(b, typeData, 3, 3)
	b = binary.BigEndian.AppendUint16(b, uint16(len(inner)+c.aead.Overhead()))
	nonce := bytes.Clone(c.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(c.seq >> (56 - 8*i))
	}
	c.seq++
	return c.aead.Seal(b, nonce, inner, b[start:])
}

// expandLabel is HKDF-Expand-Label without context (RFC 8446, Section 7.1).
func expandLabel(secret []byte, label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{byte(n >> 8), byte(n), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
	if err != nil {
		panic(err) // only for a length out of range
	}
	return out
}
