package tlsconn_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// A keyLog is the NSS key log of one TLS 1.2 client, from which a test makes
// records that crypto/tls's client would not. The key log gives the client's
// random and the master secret; the server's random comes from its ServerHello.
type keyLog struct {
	line         []byte
	serverRandom []byte
	salt         []byte // of the client's nonces (RFC 5288, Section 3)
}

func (k *keyLog) Write(p []byte) (int, error) {
	k.line = append(k.line, p...)
	return len(p), nil
}

// clientAEAD derives the client's AES-128-GCM write key (RFC 5246, Section 6.3).
func (k *keyLog) clientAEAD(t testing.TB) cipher.AEAD {
	t.Helper()
	fields := bytes.Fields(k.line) // CLIENT_RANDOM <random> <master secret>
	if len(fields) < 3 {
		t.Fatalf("key log holds %q", k.line)
	}
	random, secret := unhex(t, fields[1]), unhex(t, fields[2])
	seed := append([]byte("key expansion"), k.serverRandom...)
	seed = append(seed, random...)
	block := pHash(secret, seed, 2*16+2*4)
	k.salt = block[32:36]
	c, err := aes.NewCipher(block[:16])
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(c)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// pHash is P_SHA256 (RFC 5246, Section 5).
func pHash(secret, seed []byte, n int) (out []byte) {
	mac := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	for a := mac(seed); len(out) < n; a = mac(a) {
		out = append(out, mac(a, seed)...)
	}
	return out[:n]
}

func unhex(t testing.TB, b []byte) []byte {
	t.Helper()
	out, err := hex.DecodeString(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
