package primitive

import "github.com/klauspost/cpuid/v2"

// A Suite is a cipher suite. There is one pointer to each, so that pointers can be compared. Suites
// are read-only.
type Suite struct {
	ID          uint16
	Name        string // in the registry of TLS
	OpenSSLName string
	AEAD        AEAD
	Hash        Hash
	TLS13       bool
	ECDSA       bool // TLS 1.2: for ECDSA and Ed25519 keys (RFC 8422, Section 2.2), not RSA
}

// The suites spoken here: (EC)DHE with an AEAD.
var (
	tls13AES128 = &Suite{
		ID: 0x1301, Name: "TLS_AES_128_GCM_SHA256", OpenSSLName: "TLS_AES_128_GCM_SHA256",
		AEAD: AES128GCM, Hash: SHA256, TLS13: true,
	}
	tls13AES256 = &Suite{
		ID: 0x1302, Name: "TLS_AES_256_GCM_SHA384", OpenSSLName: "TLS_AES_256_GCM_SHA384",
		AEAD: AES256GCM, Hash: SHA384, TLS13: true,
	}
	tls13ChaCha20 = &Suite{
		ID: 0x1303, Name: "TLS_CHACHA20_POLY1305_SHA256",
		OpenSSLName: "TLS_CHACHA20_POLY1305_SHA256",
		AEAD:        ChaCha20Poly1305, Hash: SHA256, TLS13: true,
	}
	ecdsaAES128 = &Suite{
		ID: 0xc02b, Name: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		OpenSSLName: "ECDHE-ECDSA-AES128-GCM-SHA256", AEAD: AES128GCM, Hash: SHA256, ECDSA: true,
	}
	ecdsaAES256 = &Suite{
		ID: 0xc02c, Name: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		OpenSSLName: "ECDHE-ECDSA-AES256-GCM-SHA384", AEAD: AES256GCM, Hash: SHA384, ECDSA: true,
	}
	ecdsaChaCha20 = &Suite{
		ID: 0xcca9, Name: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
		OpenSSLName: "ECDHE-ECDSA-CHACHA20-POLY1305", AEAD: ChaCha20Poly1305, Hash: SHA256,
		ECDSA: true,
	}
	rsaAES128 = &Suite{
		ID: 0xc02f, Name: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		OpenSSLName: "ECDHE-RSA-AES128-GCM-SHA256", AEAD: AES128GCM, Hash: SHA256,
	}
	rsaAES256 = &Suite{
		ID: 0xc030, Name: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		OpenSSLName: "ECDHE-RSA-AES256-GCM-SHA384", AEAD: AES256GCM, Hash: SHA384,
	}
	rsaChaCha20 = &Suite{
		ID: 0xcca8, Name: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		OpenSSLName: "ECDHE-RSA-CHACHA20-POLY1305", AEAD: ChaCha20Poly1305, Hash: SHA256,
	}
)

// Suites13 and Suites12 are the suites in this processor's order of preference: AES first if it has
// instructions for it.
var Suites13, Suites12 = preferred(HasAES())

func preferred(hasAES bool) (tls13, tls12 []*Suite) {
	if hasAES {
		return []*Suite{tls13AES128, tls13AES256, tls13ChaCha20},
			[]*Suite{ecdsaAES128, rsaAES128, ecdsaAES256, rsaAES256, ecdsaChaCha20, rsaChaCha20}
	}
	return []*Suite{tls13ChaCha20, tls13AES128, tls13AES256},
		[]*Suite{ecdsaChaCha20, rsaChaCha20, ecdsaAES128, rsaAES128, ecdsaAES256, rsaAES256}
}

// SuiteByID returns the suite of that number, nil if it is not supported.
func SuiteByID(id uint16) *Suite {
	switch id {
	case 0x1301:
		return tls13AES128
	case 0x1302:
		return tls13AES256
	case 0x1303:
		return tls13ChaCha20
	case 0xc02b:
		return ecdsaAES128
	case 0xc02c:
		return ecdsaAES256
	case 0xcca9:
		return ecdsaChaCha20
	case 0xc02f:
		return rsaAES128
	case 0xc030:
		return rsaAES256
	case 0xcca8:
		return rsaChaCha20
	}
	return nil
}

// HasAES reports whether the processor has instructions for AES-GCM.
func HasAES() bool {
	return cpuid.CPU.Supports(cpuid.AESNI, cpuid.CLMUL) ||
		cpuid.CPU.Supports(cpuid.AESARM, cpuid.PMULL)
}
