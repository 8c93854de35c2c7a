//go:build !(openssl && cgo)

package libcrypto

import "crypto"

// Version is "": this build has no library.
func Version() string { return "" }

// Signer returns key, which signs by itself in this build.
func Signer(key crypto.Signer) crypto.Signer { return key }
