package wire

import "bytes"

// A ClientHello is the content of a client's first message (RFC 8446, Section 4.1.2; RFC 5246,
// Section 7.4.1.2). All slices alias the message. The zero value is ready for Parse, which can be
// called again.
type ClientHello struct {
	Raw          []byte // the whole message, with its header
	Version      uint16 // legacy_version; see Offers
	Random       []byte // 32 bytes
	SessionID    []byte // up to 32 bytes
	Suites       []byte // a list of 16-bit values, at least one
	Compressions []byte // a list with null in it; see Check13

	HasServerName   bool
	HasGroups       bool
	HasSigAlgs      bool
	HasSigAlgsCert  bool
	HasPointFormats bool
	HasALPN         bool
	HasVersions     bool
	HasPSKModes     bool
	HasKeyShares    bool
	HasCookie       bool

	HasTicket            bool // session_ticket is present; Ticket is empty if the client has none
	HasRenegotiationInfo bool // RFC 5746: without EmptyRenegotiation, which means the same
	HasPSK               bool // a pre_shared_key is offered; HasPSKModes says whether modes are
	EMS                  bool // extended_master_secret (RFC 7627)
	EarlyData            bool // early data follows (RFC 8446, Section 4.2.10)
	PostHandshakeAuth    bool
	Fallback             bool // TLS_FALLBACK_SCSV (RFC 7507)
	EmptyRenegotiation   bool // TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746)

	ServerName        []byte // as sent, a trailing dot kept; 1 to 255 visible ASCII characters
	Groups            []byte // 16-bit values, at least one
	SigAlgs           []byte // 16-bit values, at least one
	SigAlgsCert       []byte // 16-bit values, at least one
	PointFormats      []byte // 8-bit values, at least one
	ALPN              []byte // names of 1 to 255 bytes, each after its length; at least one
	Versions          []byte // 16-bit values, at least one
	Authorities       []byte // distinguished names, each after its length; empty if there are none
	PSKModes          []byte // 8-bit values, at least one
	KeyShares         []byte // group, length, share; may be empty (RFC 8446, Section 4.2.8)
	Cookie            []byte // at least one byte
	Ticket            []byte
	RenegotiationInfo []byte // renegotiated_connection; empty in an initial handshake
	Identities        []byte // identity after its length, age; at least one
	Binders           []byte // binder after its length; as many as identities

	// BindersAt is where in Raw the binders begin, with their length: binders cover the hello up to
	// here (RFC 8446, Section 4.2.11.2).
	BindersAt int
}

// Parse sets h to the contents of msg. It checks everything that does not depend on the version;
// Check13 and Check12 check the rest.
func (h *ClientHello) Parse(msg []byte) Fault {
	*h = ClientHello{Raw: msg}
	r, ok := body(msg, TypeClientHello)
	if !ok || !h.parseFixed(&r) {
		return Decode
	}
	for list := h.Suites; len(list) >= 2; list = list[2:] {
		switch uint16(list[0])<<8 | uint16(list[1]) {
		case SuiteFallback:
			h.Fallback = true
		case SuiteEmptyRenegotiation:
			h.EmptyRenegotiation = true
		}
	}
	if f := h.parseExtensions(r); f != None {
		return f
	}
	if bytes.IndexByte(h.Compressions, 0) < 0 {
		return Illegal
	}
	return None
}

// parseFixed takes the fields before the extensions.
func (h *ClientHello) parseFixed(r *Reader) (ok bool) {
	if h.Version, ok = r.Uint16(); !ok {
		return false
	}
	if h.Random, ok = r.Bytes(RandomLen); !ok {
		return false
	}
	if h.SessionID, ok = r.Vector8(); !ok || len(h.SessionID) > MaxSessionIDLen {
		return false
	}
	if h.Suites, ok = r.Vector16(); !ok || !isList16(h.Suites) {
		return false
	}
	h.Compressions, ok = r.Vector8()
	return ok && len(h.Compressions) > 0
}

// parseExtensions parses what follows the fixed fields. TLS 1.2 lets a client omit the whole block
// (RFC 5246, Section 7.4.1.2).
func (h *ClientHello) parseExtensions(r Reader) Fault {
	if r.Empty() {
		return None
	}
	block, ok := r.Vector16()
	if !ok || !r.Empty() || !extensionsAreUnique(block) {
		return Decode
	}
	exts := Reader(block)
	for !exts.Empty() {
		typ, _ := exts.Uint16()
		data, _ := exts.Vector16()
		// The binders cover everything before them, so they are the end of the hello (RFC 8446,
		// Section 4.2.11).
		if typ == ExtPreSharedKey && !exts.Empty() {
			return Illegal
		}
		if f := h.parseExtension(typ, data); f != None {
			return f
		}
	}
	return h.checkKeyShares()
}

// parseExtension parses known extensions and ignores all others (RFC 8446, Section 4.2).
func (h *ClientHello) parseExtension(typ uint16, data Reader) Fault {
	switch typ {
	case ExtServerName:
		return h.parseServerName(data)
	case ExtSupportedGroups:
		return list16(data, &h.Groups, &h.HasGroups)
	case ExtECPointFormats:
		return list8(data, &h.PointFormats, &h.HasPointFormats)
	case ExtSignatureAlgorithms:
		return list16(data, &h.SigAlgs, &h.HasSigAlgs)
	case ExtALPN:
		return h.parseALPN(data)
	case ExtExtendedMasterSecret:
		return flag(data, &h.EMS)
	case ExtSessionTicket: // RFC 5077, Section 3.2: the bare ticket, without a length
		h.HasTicket, h.Ticket = true, data
		return None
	case ExtPreSharedKey:
		return h.parsePSK(data)
	case ExtEarlyData:
		return flag(data, &h.EarlyData)
	case ExtSupportedVersions:
		return h.parseVersions(data)
	case ExtCookie:
		return h.parseCookie(data)
	case ExtPSKKeyExchangeModes:
		return list8(data, &h.PSKModes, &h.HasPSKModes)
	case ExtCertificateAuthorities:
		return h.parseAuthorities(data)
	case ExtPostHandshakeAuth:
		return flag(data, &h.PostHandshakeAuth)
	case ExtSignatureAlgorithmCert:
		return list16(data, &h.SigAlgsCert, &h.HasSigAlgsCert)
	case ExtKeyShare:
		return h.parseKeyShares(data)
	case ExtRenegotiationInfo:
		return h.parseRenegotiationInfo(data)
	default:
		return None
	}
}

// parseServerName takes the one host_name of a list and ignores names of undefined types: they
// begin with their length, too (RFC 6066, Section 3).
func (h *ClientHello) parseServerName(data Reader) Fault {
	list, ok := data.Vector16()
	if !ok || !data.Empty() || len(list) == 0 {
		return Decode
	}
	fault := None
	for r := Reader(list); !r.Empty(); {
		typ, _ := r.Uint8()
		name, ok := r.Vector16()
		if !ok || typ == nameTypeHost && len(name) == 0 {
			return Decode
		}
		switch {
		case typ != nameTypeHost:
		case h.HasServerName || !isHostName(name):
			fault = Illegal // unless the rest is worse
		case len(name) > maxServerNameLen:
			fault = Unrecognized
		default:
			h.HasServerName, h.ServerName = true, name
		}
	}
	return fault
}

// isHostName reports whether a name consists of visible ASCII characters. Others cannot be in a
// host name, and could do harm in logs.
func isHostName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

func (h *ClientHello) parseALPN(data Reader) Fault {
	list, ok := data.Vector16()
	if !ok || !data.Empty() || len(list) == 0 {
		return Decode
	}
	for r := Reader(list); !r.Empty(); {
		if name, ok := r.Vector8(); !ok || len(name) == 0 {
			return Decode
		}
	}
	h.HasALPN, h.ALPN = true, list
	return None
}

func (h *ClientHello) parseVersions(data Reader) Fault {
	list, ok := data.Vector8()
	if !ok || !data.Empty() || !isList16(list) {
		return Decode
	}
	h.HasVersions, h.Versions = true, list
	return None
}

func (h *ClientHello) parseCookie(data Reader) Fault {
	cookie, ok := data.Vector16()
	if !ok || !data.Empty() || len(cookie) == 0 {
		return Decode
	}
	h.HasCookie, h.Cookie = true, cookie
	return None
}

func (h *ClientHello) parseRenegotiationInfo(data Reader) Fault {
	info, ok := data.Vector8()
	if !ok || !data.Empty() {
		return Decode
	}
	h.HasRenegotiationInfo, h.RenegotiationInfo = true, info
	return None
}

// parseAuthorities takes the CAs from which a client prefers our certificate (RFC 8446, Section
// 4.2.4).
func (h *ClientHello) parseAuthorities(data Reader) Fault {
	list, ok := data.Vector16()
	if !ok || !data.Empty() || len(list) == 0 {
		return Decode
	}
	for r := Reader(list); !r.Empty(); {
		if name, ok := r.Vector16(); !ok || len(name) == 0 {
			return Decode
		}
	}
	h.Authorities = list
	return None
}

func (h *ClientHello) parseKeyShares(data Reader) Fault {
	list, ok := data.Vector16()
	if !ok || !data.Empty() {
		return Decode
	}
	for r := Reader(list); !r.Empty(); {
		if _, share, ok := nextKeyShare(&r); !ok || len(share) == 0 {
			return Decode
		}
	}
	h.HasKeyShares, h.KeyShares = true, list
	return None
}

// parsePSK parses identities and binders (RFC 8446, Section 4.2.11). It is the last extension, so
// its binders are the last bytes of the message. The caller checks their lengths when comparing: in
// TLS 1.2 the extension has no meaning.
func (h *ClientHello) parsePSK(data Reader) Fault {
	identities, ok := data.Vector16()
	if !ok || len(identities) == 0 {
		return Decode
	}
	binders, ok := data.Vector16()
	if !ok || !data.Empty() || len(binders) == 0 {
		return Decode
	}
	p := PSKs{identities: identities, binders: binders}
	for !p.identities.Empty() && !p.binders.Empty() {
		identity, _, _, ok := p.Next()
		if !ok || len(identity) == 0 {
			return Decode
		}
	}
	if !p.identities.Empty() || !p.binders.Empty() {
		return Illegal
	}
	h.HasPSK, h.Identities, h.Binders = true, identities, binders
	h.BindersAt = len(h.Raw) - len(binders) - 2
	return None
}

// isList16 reports whether a list holds whole 16-bit values, at least one.
func isList16(list []byte) bool { return len(list) >= 2 && len(list)%2 == 0 }

func list16(data Reader, list *[]byte, has *bool) Fault {
	l, ok := data.Vector16()
	if !ok || !data.Empty() || !isList16(l) {
		return Decode
	}
	*list, *has = l, true
	return None
}

func list8(data Reader, list *[]byte, has *bool) Fault {
	l, ok := data.Vector8()
	if !ok || !data.Empty() || len(l) == 0 {
		return Decode
	}
	*list, *has = l, true
	return None
}

// flag parses an extension without content.
func flag(data Reader, has *bool) Fault {
	if !data.Empty() {
		return Decode
	}
	*has = true
	return None
}
