//go:build openssl && cgo

package libcrypto

/*
#cgo LDFLAGS: -lcrypto
#cgo noescape reprise_sign
#cgo nocallback reprise_sign
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static EVP_PKEY *reprise_key(const unsigned char *der, long len) {
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, len);
	ERR_clear_error();
	return key;
}

// reprise_sign writes len bytes to signature, the size of key's modulus.
static int reprise_sign(EVP_PKEY *key, const EVP_MD *md, int pss, const unsigned char *digest,
                        size_t digest_len, unsigned char *signature, size_t len) {
	size_t written = len;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	int done = ctx != NULL && EVP_PKEY_sign_init(ctx) > 0 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) > 0 &&
		EVP_PKEY_CTX_set_signature_md(ctx, md) > 0 &&
		(!pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0) &&
		EVP_PKEY_sign(ctx, signature, &written, digest, digest_len) > 0 && written == len;
	EVP_PKEY_CTX_free(ctx);
	if (!done)
		ERR_clear_error(); // the queue is the thread's, and threads are shared
	return done;
}
*/
import "C"

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"runtime"
	"sync"
	"time"
	"unsafe"
	"weak"
)

// Version is that of the library.
func Version() string { return C.GoString(C.OpenSSL_version(C.OPENSSL_VERSION)) }

// signer is an RSA key with its copy in libcrypto. It may be used by any goroutine.
type signer struct {
	*rsa.PrivateKey // signs what libcrypto does not
	key             *C.EVP_PKEY
	fast            bool
}

// maxOnLoop is how long a signature on a loop may take: as long as a turn.
const maxOnLoop = 400 * time.Microsecond

// signers are those in use, by the modulus of their keys.
var signers = struct {
	sync.Mutex
	byKey map[string]weak.Pointer[signer]
}{byKey: make(map[string]weak.Pointer[signer])}

// Signer returns a signer for key that uses libcrypto if that is faster for its kind and both agree
// on a signature; otherwise key itself. Its copy of the key is wiped when the signer is no longer
// used. Until then the same key has the same signer: listeners that share one, and reloads that
// find it unchanged, have it tried once.
func Signer(key crypto.Signer) crypto.Signer {
	private, isRSA := key.(*rsa.PrivateKey)
	if !isRSA {
		return key
	}
	signers.Lock()
	defer signers.Unlock()
	name := string(private.N.Bytes())
	if s := signers.byKey[name].Value(); s != nil && s.PrivateKey.Equal(private) {
		return s
	}
	s := newSigner(private)
	if s == nil {
		return key
	}
	signers.byKey[name] = weak.Make(s)
	runtime.AddCleanup(s, forget, name)
	return s
}

// forget drops a signer that is not in use any more, unless another has come in its place.
func forget(name string) {
	signers.Lock()
	defer signers.Unlock()
	if signers.byKey[name].Value() == nil {
		delete(signers.byKey, name)
	}
}

// newSigner returns nil if libcrypto does not take the key, or signs otherwise than it should.
func newSigner(private *rsa.PrivateKey) *signer {
	der := x509.MarshalPKCS1PrivateKey(private)
	defer clear(der)
	c := C.reprise_key((*C.uchar)(unsafe.Pointer(&der[0])), C.long(len(der)))
	if c == nil {
		return nil
	}
	s := &signer{PrivateKey: private, key: c}
	runtime.AddCleanup(s, func(c *C.EVP_PKEY) { C.EVP_PKEY_free(c) }, c)
	digest := make([]byte, crypto.SHA256.Size())
	_, _ = rand.Read(digest)
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	var signature []byte
	for range 4 { // the first includes one-time work, and other programs may take the core
		begun := time.Now()
		signature = s.sign(digest, opts)
		s.fast = s.fast || time.Since(begun) < maxOnLoop
	}
	if rsa.VerifyPSS(&private.PublicKey, crypto.SHA256, digest, signature, opts) != nil {
		return nil
	}
	return s
}

// Fast reports whether a signature is fast enough for a loop to wait for it.
func (s *signer) Fast() bool { return s.fast }

// Sign implements crypto.Signer. Its randomness is libcrypto's.
func (s *signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if signature := s.sign(digest, opts); signature != nil {
		return signature, nil
	}
	return s.PrivateKey.Sign(rand, digest, opts)
}

// sign returns nil if libcrypto cannot or must not sign.
func (s *signer) sign(digest []byte, opts crypto.SignerOpts) []byte {
	var md *C.EVP_MD
	switch opts.HashFunc() {
	case crypto.SHA256:
		md = C.EVP_sha256()
	case crypto.SHA384:
		md = C.EVP_sha384()
	case crypto.SHA512:
		md = C.EVP_sha512()
	default:
		return nil
	}
	if len(digest) != opts.HashFunc().Size() {
		return nil
	}
	isPSS := C.int(0)
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		if pss.SaltLength != rsa.PSSSaltLengthEqualsHash && pss.SaltLength != len(digest) {
			return nil
		}
		isPSS = 1
	}
	signature := make([]byte, s.Size())
	done := C.reprise_sign(s.key, md, isPSS, (*C.uchar)(unsafe.Pointer(&digest[0])),
		C.size_t(len(digest)),
		(*C.uchar)(unsafe.Pointer(&signature[0])), C.size_t(len(signature)))
	runtime.KeepAlive(s)
	if done == 0 {
		return nil
	}
	return signature
}
