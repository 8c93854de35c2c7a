package wire

// MaxChainLen bounds the certificates in a client's message. Each costs us memory and parsing; real
// chains have three.
const MaxChainLen = 16

// A Chain is the content of a client's Certificate message. The zero value is ready for a parse.
type Chain struct {
	certs [MaxChainLen][]byte
	n     int
}

// Certs returns the certificates in DER, the client's own one first; none if the client has none.
// They alias the message; the list belongs to the Chain.
func (c *Chain) Certs() [][]byte { return c.certs[:c.n] }

// Parse13 parses TLS 1.3's Certificate (RFC 8446, Section 4.4.2). Its request context must be
// empty, as in all our requests, and so must be the extensions of each certificate, since we
// request none.
func (c *Chain) Parse13(msg []byte) Fault {
	*c = Chain{}
	r, ok := body(msg, TypeCertificate)
	if !ok {
		return Decode
	}
	if context, ok := r.Vector8(); !ok || len(context) > 0 {
		return Decode
	}
	list, ok := r.Vector24()
	if !ok || !r.Empty() {
		return Decode
	}
	fault := None
	for r = list; !r.Empty(); {
		cert, ok := r.Vector24()
		if !ok {
			return Decode
		}
		extensions, ok := r.Vector16()
		if !ok || !extensionsAreUnique(extensions) {
			return Decode
		}
		if f := c.add(cert); f != None {
			return f
		}
		if len(extensions) > 0 {
			fault = Unsupported // unless the rest is worse
		}
	}
	return fault
}

// Parse12 parses TLS 1.2's Certificate (RFC 5246, Section 7.4.2).
func (c *Chain) Parse12(msg []byte) Fault {
	*c = Chain{}
	r, ok := body(msg, TypeCertificate)
	if !ok {
		return Decode
	}
	list, ok := r.Vector24()
	if !ok || !r.Empty() {
		return Decode
	}
	for r = list; !r.Empty(); {
		cert, ok := r.Vector24()
		if !ok {
			return Decode
		}
		if f := c.add(cert); f != None {
			return f
		}
	}
	return None
}

func (c *Chain) add(cert []byte) Fault {
	switch {
	case len(cert) == 0:
		return Decode
	case c.n == len(c.certs):
		return Illegal
	}
	c.certs[c.n] = cert
	c.n++
	return None
}

// ParseCertificateVerify parses a CertificateVerify of either version (RFC 8446,
// Section 4.4.3; RFC 5246, Section 7.4.8).
func ParseCertificateVerify(msg []byte) (scheme uint16, signature []byte, f Fault) {
	r, ok := body(msg, TypeCertificateVerify)
	if !ok {
		return 0, nil, Decode
	}
	if scheme, ok = r.Uint16(); !ok {
		return 0, nil, Decode
	}
	if signature, ok = r.Vector16(); !ok || !r.Empty() {
		return 0, nil, Decode
	}
	return scheme, signature, None
}

// ParseClientKeyExchange returns the client's public value of an (EC)DHE exchange
// in TLS 1.2 (RFC 8422, Section 5.7).
func ParseClientKeyExchange(msg []byte) (public []byte, f Fault) {
	r, ok := body(msg, TypeClientKeyExchange)
	if !ok {
		return nil, Decode
	}
	if public, ok = r.Vector8(); !ok || !r.Empty() || len(public) == 0 {
		return nil, Decode
	}
	return public, None
}

// ParseFinished returns the verify_data of a Finished, which must have n bytes: Finished12Len, or
// in TLS 1.3 the length of the hash.
func ParseFinished(msg []byte, n int) (verifyData []byte, f Fault) {
	r, ok := body(msg, TypeFinished)
	if !ok || len(r) != n {
		return nil, Decode
	}
	return r, None
}

// ParseKeyUpdate reports whether a KeyUpdate requests one of ours (RFC 8446, Section 4.6.3).
func ParseKeyUpdate(msg []byte) (requested bool, f Fault) {
	r, ok := body(msg, TypeKeyUpdate)
	if !ok || len(r) != 1 {
		return false, Decode
	}
	if r[0] > UpdateRequested {
		return false, Illegal
	}
	return r[0] == UpdateRequested, None
}

// ParseEmpty parses a message without content, like EndOfEarlyData.
func ParseEmpty(msg []byte, typ uint8) Fault {
	if r, ok := body(msg, typ); !ok || !r.Empty() {
		return Decode
	}
	return None
}
