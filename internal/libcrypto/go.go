//go:build !(openssl && cgo)

package libcrypto

import "crypto"

// Version is that of the library, "" where there is none.
func Version() string { return "" }

// Signer returns key, which signs by itself in this build.
func Signer(key crypto.Signer) crypto.Signer { return key }
