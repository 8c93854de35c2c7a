package wire

import "bytes"

// Check13 checks TLS 1.3's requirements on a hello beyond its syntax. It does not require
// psk_key_exchange_modes beside a pre_shared_key: see HasPSKModes.
func (h *ClientHello) Check13() Fault {
	// RFC 8446, Section 4.1.2: exactly the null method.
	if len(h.Compressions) != 1 || h.Compressions[0] != 0 {
		return Illegal
	}
	// RFC 8446, Section 9.2. Key exchange without (EC)DHE is never agreed on here, so groups and
	// shares are always required.
	if !h.HasPSK && !h.HasSigAlgs || !h.HasGroups || !h.HasKeyShares {
		return Missing
	}
	return None
}

// Check12 checks TLS 1.2's requirements on a hello beyond its syntax. The caller checks that
// renegotiation_info is empty (RFC 5746, Section 3.6: handshake_failure).
func (h *ClientHello) Check12() Fault {
	// RFC 8422, Section 5.1.2: the one remaining format has to be in the list.
	if h.HasPointFormats && bytes.IndexByte(h.PointFormats, pointUncompressed) < 0 {
		return Illegal
	}
	return None
}

// HasSuite reports whether the client offers a cipher suite.
func (h *ClientHello) HasSuite(id uint16) bool { return contains16(h.Suites, id) }

// Offers reports whether the client offers a version: by supported_versions if present, else by
// legacy_version, which is the highest one and never means TLS 1.3 (RFC 8446, Section 4.2.1).
func (h *ClientHello) Offers(version uint16) bool {
	if h.HasVersions {
		return contains16(h.Versions, version)
	}
	return version <= VersionTLS12 && version <= h.Version
}

// HasGroup reports whether the client offers a group in supported_groups.
func (h *ClientHello) HasGroup(group uint16) bool { return contains16(h.Groups, group) }

// HasScheme reports whether the client accepts a signature scheme in handshake
// messages.
func (h *ClientHello) HasScheme(scheme uint16) bool { return contains16(h.SigAlgs, scheme) }

// HasPSKMode reports whether the client offers a key exchange mode.
func (h *ClientHello) HasPSKMode(mode uint8) bool {
	return bytes.IndexByte(h.PSKModes, mode) >= 0
}

// HasProtocol reports whether the client offers an application protocol.
func (h *ClientHello) HasProtocol(name string) bool {
	for r := Reader(h.ALPN); ; {
		offered, ok := r.Vector8()
		if !ok {
			return false
		}
		if string(offered) == name {
			return true
		}
	}
}

// HasAuthority reports whether the client names a CA, by its distinguished name in DER.
func (h *ClientHello) HasAuthority(name []byte) bool {
	for r := Reader(h.Authorities); ; {
		named, ok := r.Vector16()
		if !ok {
			return false
		}
		if bytes.Equal(named, name) {
			return true
		}
	}
}

// KeyShare returns the client's share for a group.
func (h *ClientHello) KeyShare(group uint16) ([]byte, bool) {
	for r := Reader(h.KeyShares); ; {
		g, share, ok := nextKeyShare(&r)
		if !ok {
			return nil, false
		}
		if g == group {
			return share, true
		}
	}
}

// nextKeyShare takes a KeyShareEntry.
func nextKeyShare(r *Reader) (group uint16, share []byte, ok bool) {
	if group, ok = r.Uint16(); !ok {
		return 0, nil, false
	}
	share, ok = r.Vector16()
	return group, share, ok
}

// PSKs iterates over the pre-shared keys offered.
func (h *ClientHello) PSKs() PSKs {
	return PSKs{identities: h.Identities, binders: h.Binders}
}

// Identity returns the i-th pre-shared key offered, from 0. PSKs is faster for iterating over all
// of them.
func (h *ClientHello) Identity(i int) (identity, binder []byte, ok bool) {
	p := h.PSKs()
	for ; i >= 0; i-- {
		if identity, _, binder, ok = p.Next(); !ok {
			return nil, nil, false
		}
	}
	return identity, binder, ok
}

// PSKs iterates over the pre-shared keys of a ClientHello.
type PSKs struct {
	identities, binders Reader
}

// Next returns the next identity, its obfuscated_ticket_age and its binder.
func (p *PSKs) Next() (identity []byte, age uint32, binder []byte, ok bool) {
	if identity, ok = p.identities.Vector16(); !ok {
		return nil, 0, nil, false
	}
	if age, ok = p.identities.Uint32(); !ok {
		return nil, 0, nil, false
	}
	binder, ok = p.binders.Vector8()
	return identity, age, binder, ok
}
