// Package libcrypto signs with RSA keys by OpenSSL's libcrypto in builds that ask for it (tag
// openssl, with cgo; make build-openssl): on processors with AVX-512 IFMA that takes a quarter of
// the time that crypto/rsa needs. Other builds have no cgo, and sign with Go.
package libcrypto
