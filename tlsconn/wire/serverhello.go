package wire

// RetryRandom is the random that makes a ServerHello a HelloRetryRequest: the
// SHA-256 of "HelloRetryRequest" (RFC 8446, Section 4.1.3).
const RetryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// Downgrade12 ends the random of a server that speaks TLS 1.2 although it supports TLS 1.3, so that
// a client that supports it too detects an attack (RFC 8446, Section 4.1.3).
const Downgrade12 = "DOWNGRD\x01"

// A ServerHello is the server's answer to a ClientHello. Random is 32 bytes,
// SessionID up to 32.
type ServerHello struct {
	Random    []byte
	SessionID []byte // in TLS 1.3 the client's own
	Suite     uint16

	// TLS 1.3 only.
	Group    uint16
	KeyShare []byte // nil: no key_share
	HasPSK   bool
	PSK      uint16 // which identity was accepted

	// TLS 1.2 only.
	ALPN            string // "" for none
	ServerName      bool   // the server name was used (RFC 6066, Section 3)
	EMS             bool
	Ticket          bool // a NewSessionTicket follows (RFC 5077, Section 3.2)
	RenegotiateInfo bool // secure renegotiation is supported (RFC 5746, Section 3.6)
	PointFormats    bool // uncompressed points are supported (RFC 8422, Section 5.2)
}

// Append13 appends a ServerHello of TLS 1.3 (RFC 8446, Section 4.1.3).
func (h *ServerHello) Append13(dst []byte) []byte {
	dst, start := h.open(dst, false)
	dst, exts := open16(dst)
	dst = appendVersion13(dst)
	if h.HasPSK {
		dst = append(append16(dst, ExtPreSharedKey), 0, 2)
		dst = append16(dst, h.PSK)
	}
	if h.KeyShare != nil {
		dst = append16(dst, ExtKeyShare)
		dst = append16(dst, uint16(4+len(h.KeyShare)))
		dst = append16(dst, h.Group)
		dst = appendVector16(dst, h.KeyShare)
	}
	return closeMessage(close16(dst, exts), start)
}

// AppendRetry appends a HelloRetryRequest that asks for a share of Group
// (RFC 8446, Section 4.1.4). Random is not used.
func (h *ServerHello) AppendRetry(dst []byte) []byte {
	dst, start := h.open(dst, true)
	dst, exts := open16(dst)
	dst = appendVersion13(dst)
	dst = append(append16(dst, ExtKeyShare), 0, 2)
	dst = append16(dst, h.Group)
	return closeMessage(close16(dst, exts), start)
}

// Append12 appends a ServerHello of TLS 1.2 (RFC 5246, Section 7.4.1.3). Without extensions it has
// no block for them.
func (h *ServerHello) Append12(dst []byte) []byte {
	dst, start := h.open(dst, false)
	dst, exts := open16(dst)
	if h.ServerName {
		dst = appendEmpty(dst, ExtServerName)
	}
	if h.RenegotiateInfo {
		dst = append(append16(dst, ExtRenegotiationInfo), 0, 1, 0)
	}
	if h.PointFormats {
		dst = append(append16(dst, ExtECPointFormats), 0, 2, 1, pointUncompressed)
	}
	if h.Ticket {
		dst = appendEmpty(dst, ExtSessionTicket)
	}
	if h.EMS {
		dst = appendEmpty(dst, ExtExtendedMasterSecret)
	}
	if h.ALPN != "" {
		dst = appendALPN(dst, h.ALPN)
	}
	if len(dst) == exts {
		return closeMessage(dst[:exts-2], start)
	}
	return closeMessage(close16(dst, exts), start)
}

// open appends the header and the fixed fields.
func (h *ServerHello) open(dst []byte, retry bool) ([]byte, int) {
	dst, start := openMessage(dst, TypeServerHello)
	dst = append16(dst, VersionTLS12)
	if retry {
		dst = append(dst, RetryRandom...)
	} else {
		dst = append(dst, h.Random...)
	}
	dst = appendVector8(dst, h.SessionID)
	dst = append16(dst, h.Suite)
	return append(dst, 0), start // no compression
}

func appendVersion13(dst []byte) []byte {
	dst = append(append16(dst, ExtSupportedVersions), 0, 2)
	return append16(dst, VersionTLS13)
}
