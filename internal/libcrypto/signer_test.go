package libcrypto_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // which clients of TLS 1.2 may still ask for
	"crypto/x509"
	"runtime"
	"sync"
	"testing"

	"reprise/internal/libcrypto"
)

// TestSigner: in every build Go verifies the signature.
func TestSigner(t *testing.T) {
	t.Logf("signed by %q", libcrypto.Version())
	for _, bits := range []int{2048, 3072, 4096} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		signer := libcrypto.Signer(key)
		if !key.PublicKey.Equal(signer.Public()) {
			t.Errorf("%d bits: it is the signer of another key", bits)
		}
		var all sync.WaitGroup
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			all.Go(func() {
				digest := make([]byte, hash.Size())
				_, _ = rand.Read(digest)
				signature, err := signer.Sign(rand.Reader, digest, hash)
				if err == nil {
					err = rsa.VerifyPKCS1v15(&key.PublicKey, hash, digest, signature)
				}
				if err != nil {
					t.Errorf("%d bits, PKCS #1 v1.5, %v: %v", bits, hash, err)
				}
				for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, rsa.PSSSaltLengthAuto, 11} {
					opts := &rsa.PSSOptions{SaltLength: salt, Hash: hash}
					signature, err = signer.Sign(rand.Reader, digest, opts)
					if err == nil {
						err = rsa.VerifyPSS(&key.PublicKey, hash, digest, signature, opts)
					}
					if err != nil {
						t.Errorf("%d bits, PSS, %v, salt %d: %v", bits, hash, salt, err)
					}
				}
			})
		}
		all.Wait()
		if _, err := signer.Sign(rand.Reader, make([]byte, 5), crypto.SHA256); err == nil {
			t.Errorf("%d bits: signed what is no digest", bits)
		}
	}
	wantOneSigner(t)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if libcrypto.Signer(other) != crypto.Signer(other) {
		t.Error("a key that is not of RSA has another signer")
	}
}

// wantOneSigner: a key that was read again has the signer that it had, if that is in use.
func wantOneSigner(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	again, err := x509.ParsePKCS1PrivateKey(x509.MarshalPKCS1PrivateKey(key))
	if err != nil {
		t.Fatal(err)
	}
	first := libcrypto.Signer(key)
	want := crypto.Signer(again) // which signs by itself where there is no library
	if libcrypto.Version() != "" {
		want = first
	}
	if libcrypto.Signer(again) != want {
		t.Error("a key that has not changed was wrapped again")
	}
	runtime.KeepAlive(first)
}

func BenchmarkSign(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	signer, digest := libcrypto.Signer(key), make([]byte, 32)
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	for b.Loop() {
		if _, err := signer.Sign(rand.Reader, digest, opts); err != nil {
			b.Fatal(err)
		}
	}
}
