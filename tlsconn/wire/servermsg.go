package wire

import "errors"

// Errors of messages made from an operator's configuration.
var (
	errChainTooLong = errors.New("certificates are longer than a message can be")
	errNamesTooLong = errors.New("names of client CAs are longer than a message can be")
)

// EncryptedExtensions are the server's extensions in TLS 1.3 that the keys do not depend on (RFC
// 8446, Section 4.3.1).
type EncryptedExtensions struct {
	ALPN       string // "" for none
	ServerName bool   // the server name was used (RFC 6066, Section 3)
}

// Append appends the message.
func (e *EncryptedExtensions) Append(dst []byte) []byte {
	dst, start := openMessage(dst, TypeEncryptedExtensions)
	dst, exts := open16(dst)
	if e.ServerName {
		dst = appendEmpty(dst, ExtServerName)
	}
	if e.ALPN != "" {
		dst = appendALPN(dst, e.ALPN)
	}
	return closeMessage(close16(dst, exts), start)
}

// AppendCertificateRequest13 appends TLS 1.3's CertificateRequest with the schemes we verify and
// the names, in DER, of the CAs we trust; without names, clients choose freely (RFC 8446, Section
// 4.3.2). There must be at least one scheme.
func AppendCertificateRequest13[S ~uint16](
	dst []byte, schemes []S, names [][]byte,
) ([]byte, error) {
	dst, start := openMessage(dst, TypeCertificateRequest)
	dst = append(dst, 0) // no certificate_request_context
	dst, exts := open16(dst)
	dst = append16(dst, ExtSignatureAlgorithms)
	dst = append16(dst, uint16(2+2*len(schemes)))
	dst = appendSchemes(dst, schemes)
	if len(names) > 0 {
		dst = append16(dst, ExtCertificateAuthorities)
		var ext int
		dst, ext = open16(dst)
		var ok bool
		if dst, ok = appendNames(dst, names); !ok || len(dst)-exts > 0xffff {
			return nil, errNamesTooLong
		}
		dst = close16(dst, ext)
	}
	return closeMessage(close16(dst, exts), start), nil
}

// AppendCertificateRequest12 appends TLS 1.2's CertificateRequest (RFC 5246,
// Section 7.4.4) for certificates with ECDSA, Ed25519 (RFC 8422, Section 5.5) and
// RSA keys.
func AppendCertificateRequest12[S ~uint16](
	dst []byte, schemes []S, names [][]byte,
) ([]byte, error) {
	const rsaSign, ecdsaSign = 1, 64
	dst, start := openMessage(dst, TypeCertificateRequest)
	dst = append(dst, 2, rsaSign, ecdsaSign)
	dst = appendSchemes(dst, schemes)
	dst, ok := appendNames(dst, names)
	if !ok {
		return nil, errNamesTooLong
	}
	return closeMessage(dst, start), nil
}

func appendSchemes[S ~uint16](dst []byte, schemes []S) []byte {
	dst = append16(dst, uint16(2*len(schemes)))
	for _, s := range schemes {
		dst = append16(dst, uint16(s))
	}
	return dst
}

// appendNames appends a list of distinguished names.
func appendNames(dst []byte, names [][]byte) ([]byte, bool) {
	dst, list := open16(dst)
	for _, name := range names {
		if len(dst)-list+2+len(name) > 0xffff {
			return nil, false
		}
		dst = appendVector16(dst, name)
	}
	return close16(dst, list), true
}

// AppendCertificate13 appends TLS 1.3's Certificate with a chain in DER, the
// server's own certificate first (RFC 8446, Section 4.4.2).
func AppendCertificate13(dst []byte, chain [][]byte) ([]byte, error) {
	dst, start := openMessage(dst, TypeCertificate)
	dst = append(dst, 0) // no certificate_request_context
	return appendChain(dst, start, chain, true)
}

// AppendCertificate12 appends TLS 1.2's Certificate (RFC 5246, Section 7.4.2).
func AppendCertificate12(dst []byte, chain [][]byte) ([]byte, error) {
	dst, start := openMessage(dst, TypeCertificate)
	return appendChain(dst, start, chain, false)
}

func appendChain(dst []byte, start int, chain [][]byte, tls13 bool) ([]byte, error) {
	dst = append(dst, 0, 0, 0)
	list := len(dst)
	for _, cert := range chain {
		if len(dst)-start+3+len(cert)+2 > 0xffffff {
			return nil, errChainTooLong
		}
		dst = append(dst, byte(len(cert)>>16), byte(len(cert)>>8), byte(len(cert)))
		dst = append(dst, cert...)
		if tls13 {
			dst = append(dst, 0, 0) // no extensions
		}
	}
	put24(dst[list-3:], len(dst)-list)
	return closeMessage(dst, start), nil
}

// AppendSigned13 appends the input of a CertificateVerify's signature in TLS 1.3: 64 spaces, a
// context string, a zero and the transcript's hash (RFC 8446, Section 4.4.3).
func AppendSigned13(dst []byte, server bool, transcript []byte) []byte {
	const spaces = "                                                                "
	dst = append(dst, spaces...)
	if server {
		dst = append(dst, "TLS 1.3, server CertificateVerify\x00"...)
	} else {
		dst = append(dst, "TLS 1.3, client CertificateVerify\x00"...)
	}
	return append(dst, transcript...)
}

// AppendCertificateVerify appends a CertificateVerify (RFC 8446, Section 4.4.3).
func AppendCertificateVerify(dst []byte, scheme uint16, signature []byte) []byte {
	dst, start := openMessage(dst, TypeCertificateVerify)
	dst = append16(dst, scheme)
	return closeMessage(appendVector16(dst, signature), start)
}

// AppendServerParams appends the server's ECDHE parameters in TLS 1.2 (RFC 8422, Section 5.4). The
// server's signature covers both randoms and these.
func AppendServerParams(dst []byte, group uint16, public []byte) []byte {
	const namedCurve = 3
	dst = append(dst, namedCurve, byte(group>>8), byte(group))
	return appendVector8(dst, public)
}

// AppendServerKeyExchange appends a ServerKeyExchange of parameters made by
// AppendServerParams and their signature.
func AppendServerKeyExchange(dst, params []byte, scheme uint16, signature []byte) []byte {
	dst, start := openMessage(dst, TypeServerKeyExchange)
	dst = append(dst, params...)
	dst = append16(dst, scheme)
	return closeMessage(appendVector16(dst, signature), start)
}

// AppendServerHelloDone appends a ServerHelloDone (RFC 5246, Section 7.4.5).
func AppendServerHelloDone(dst []byte) []byte {
	return append(dst, TypeServerHelloDone, 0, 0, 0)
}

// AppendFinished appends a Finished of either version.
func AppendFinished(dst, verifyData []byte) []byte {
	dst, start := openMessage(dst, TypeFinished)
	return closeMessage(append(dst, verifyData...), start)
}

// AppendNewSessionTicket13 appends TLS 1.3's NewSessionTicket; lifetime is in
// seconds (RFC 8446, Section 4.6.1).
func AppendNewSessionTicket13(dst []byte, lifetime, ageAdd uint32, nonce, ticket []byte) []byte {
	dst, start := openMessage(dst, TypeNewSessionTicket)
	dst = append32(dst, lifetime)
	dst = append32(dst, ageAdd)
	dst = appendVector8(dst, nonce)
	dst = appendVector16(dst, ticket)
	dst = append(dst, 0, 0) // no extensions: no early data
	return closeMessage(dst, start)
}

// AppendNewSessionTicket12 appends TLS 1.2's NewSessionTicket; lifetime is in
// seconds (RFC 5077, Section 3.3).
func AppendNewSessionTicket12(dst []byte, lifetime uint32, ticket []byte) []byte {
	dst, start := openMessage(dst, TypeNewSessionTicket)
	dst = append32(dst, lifetime)
	return closeMessage(appendVector16(dst, ticket), start)
}

// AppendKeyUpdate appends a KeyUpdate (RFC 8446, Section 4.6.3).
func AppendKeyUpdate(dst []byte, request bool) []byte {
	update := UpdateNotRequested
	if request {
		update = UpdateRequested
	}
	return append(dst, TypeKeyUpdate, 0, 0, 1, update)
}

// AppendMessageHash appends the message that replaces the first ClientHello in the transcript after
// a HelloRetryRequest (RFC 8446, Section 4.4.1).
func AppendMessageHash(dst, hash []byte) []byte {
	dst, start := openMessage(dst, TypeMessageHash)
	return closeMessage(append(dst, hash...), start)
}
