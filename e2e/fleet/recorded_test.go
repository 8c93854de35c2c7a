package fleet

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"os"
	"testing"
)

// TestRecordingsStayClosed: an attacker records every datagram of a fleet, and later gets its
// cluster secret. That must not open TLS 1.2 connections recorded with them, whose forward secrecy
// ends with their master secrets.
func TestRecordingsStayClosed(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, quickFleet...)
	n := newNetwork(f.Fleet)
	f.RunAll()
	var secrets [][]byte
	for i := range 20 {
		h := f.goHolder(i%2, versions[i/2%2])
		secrets = append(secrets, h.secret(t))
		f.wantAll(1-i%2, []holder{h})
	}
	for _, n := range f.Nodes {
		n.Stop()
	}
	recorded := n.captured()
	if len(recorded) < len(secrets) {
		t.Fatalf("%d datagrams recorded", len(recorded))
	}
	secret, err := os.ReadFile(f.Secret)
	if err != nil {
		t.Fatal(err)
	}
	secret = bytes.TrimSpace(secret)
	opened := 0
	for _, c := range recorded {
		if plain := openVersion1(secret, c.datagram); plain != nil {
			opened++
			for _, s := range secrets {
				if bytes.Contains(plain, s) {
					t.Fatalf("a datagram of %d bytes gives away a session's secret", len(c.datagram))
				}
			}
		}
	}
	if opened > 0 {
		t.Errorf("the cluster secret opens %d of %d recorded datagrams", opened, len(recorded))
	}
}

// openVersion1 opens a datagram like one of version 1 of the wire format: with a key that follows
// from the cluster secret and the sender in the datagram.
func openVersion1(secret, datagram []byte) []byte {
	const headerLen, tagLen = 26, 16
	if len(datagram) < headerLen+tagLen {
		return nil
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "reprise datagram v1"+string(datagram[2:18]), 32)
	if err != nil {
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil
	}
	nonce := append(make([]byte, 4), datagram[18:headerLen]...)
	plain, err := aead.Open(nil, nonce, datagram[headerLen:], datagram[:headerLen])
	if err != nil {
		return nil
	}
	return plain
}
