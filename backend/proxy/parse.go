package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

var (
	errNoHeader  = errors.New("proxy: no PROXY protocol header")
	errLong      = errors.New("proxy: header too long")
	errCommand   = errors.New("proxy: unknown version or command")
	errFamily    = errors.New("proxy: unknown address family or protocol")
	errLength    = errors.New("proxy: length does not hold the addresses")
	errTLV       = errors.New("proxy: TLV overruns what contains it")
	errValue     = errors.New("proxy: TLV value of a wrong length")
	errDuplicate = errors.New("proxy: TLV occurs twice")
	errChecksum  = errors.New("proxy: wrong CRC32C")
)

// beginnings are the possible beginnings of a header.
var beginnings = [][]byte{
	proxyproto.SIGV2,
	[]byte("PROXY TCP4 "),
	[]byte("PROXY TCP6 "),
	[]byte("PROXY UNKNOWN"),
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// LooksLike reports whether p begins like a header. If p is shorter than 13 bytes, it reports
// whether p can still become one: the start of a TLS client never can, but "P" also begins HTTP
// requests. For an empty p it reports false.
func LooksLike(p []byte) bool {
	for _, b := range beginnings {
		n := min(len(p), len(b))
		if n > 0 && bytes.Equal(p[:n], b[:n]) {
			return true
		}
	}
	return false
}

// Parse reads the header at the start of p and returns its length: at most 107 in version 1, 4096
// in version 2. Both n and err are zero while p is too short; an error is returned with the first
// byte that shows it, except that lines and TLVs are examined only when the header is complete.
//
// The header does not refer to p. The contents of a LOCAL header are skipped unread, as are unknown
// TLVs. Addresses of UDP are treated like those of TCP. AF_UNSPEC without LOCAL is refused.
func Parse(p []byte) (h Header, n int, err error) {
	n, err = headerLen(p)
	if n == 0 || err != nil {
		return Header{}, 0, err
	}
	if isLocal(p) {
		return Header{Local: true}, n, nil
	}
	// The buffer has the length of a line: a v1 header must fit in it, a v2 header need not.
	read, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(p[:n]), maxV1Len))
	if err != nil {
		return Header{}, 0, err
	}
	h.Source, h.Destination = addrPort(read.SourceAddr), addrPort(read.DestinationAddr)
	h.Local = !h.Source.IsValid()
	if read.Version == 2 {
		if err := h.parseTLVs(p[:n], prefixLen+addressLens[read.TransportProtocol]); err != nil {
			return Header{}, 0, err
		}
	}
	return h, n, nil
}

// headerLen returns the length of the header at the start of p, 0 if the header is incomplete.
func headerLen(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case !LooksLike(p):
		return 0, errNoHeader
	case p[0] == proxyproto.SIGV2[0]:
		return headerLenV2(p)
	}
	n := bytes.IndexByte(p[:min(len(p), maxV1Len)], '\n') + 1
	if n == 0 && len(p) >= maxV1Len {
		return 0, errLong
	}
	return n, nil
}

func headerLenV2(p []byte) (int, error) {
	if len(p) > 12 && proxyproto.ProtocolVersionAndCommand(p[12]).IsUnspec() {
		return 0, errCommand
	}
	if len(p) < 14 {
		return 0, nil
	}
	addressLen, known := addressLens[proxyproto.AddressFamilyAndProtocol(p[13])]
	if isLocal(p) {
		addressLen = 0 // the family is to be ignored: what follows is skipped
	} else if !known {
		return 0, errFamily
	}
	if len(p) < prefixLen {
		return 0, nil
	}
	n := prefixLen + int(binary.BigEndian.Uint16(p[14:]))
	switch {
	case n > maxV2Len:
		return 0, errLong
	case n < prefixLen+addressLen:
		return 0, errLength
	case n > len(p):
		return 0, nil
	}
	return n, nil
}

// isLocal reports whether p, long enough to hold a command, begins a version 2 header of the
// proxy's own connection.
func isLocal(p []byte) bool {
	return p[0] == proxyproto.SIGV2[0] && proxyproto.ProtocolVersionAndCommand(p[12]).IsLocal()
}

// addrPort returns the zero value if a is not an IP address. IPv4-mapped IPv6, which occurs in
// headers whose two addresses are of different families, becomes IPv4 again, or rules for IPv4
// networks would miss it.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// parseTLVs reads the TLVs that begin at p[from], p being the whole header. proxyproto's own
// splitter would copy each value and lose its position, which the checksum needs.
func (h *Header) parseTLVs(p []byte, from int) error {
	var seen [256]bool
	var session []byte
	for rest := p[from:]; len(rest) > 0; {
		typ, value, after, err := cutTLV(rest)
		if err != nil {
			return err
		}
		rest = after
		maxLen := maxValueLen
		switch typ {
		case proxyproto.PP2_TYPE_ALPN:
			h.ALPN = string(value)
		case proxyproto.PP2_TYPE_AUTHORITY:
			h.Authority = string(value)
		case proxyproto.PP2_TYPE_UNIQUE_ID:
			h.UniqueID, maxLen = append([]byte(nil), value...), maxUniqueIDLen
		case proxyproto.PP2_TYPE_CRC32C:
			err, maxLen = checksum(p, len(p)-len(rest)-len(value), value), 4
		case proxyproto.PP2_TYPE_SSL:
			h.TLS, err = parseTLS(value)
			maxLen = maxV2Len
		case typeSession:
			session = value
		default:
			continue
		}
		switch {
		case err != nil:
			return err
		case len(value) > maxLen:
			return errValue
		case seen[typ]: // recipients would disagree on which of the two counts
			return errDuplicate
		}
		seen[typ] = true
	}
	if h.TLS != nil && len(session) == sessionLen && session[0] == sessionVersion {
		h.TLS.Resumed = session[1]&sessionResumed != 0
		copy(h.TLS.Owner[:], session[2:])
	}
	return nil
}

// cutTLV splits the first TLV off p.
func cutTLV(p []byte) (typ proxyproto.PP2Type, value, rest []byte, err error) {
	if len(p) < 3 {
		return 0, nil, nil, errTLV
	}
	end := 3 + int(binary.BigEndian.Uint16(p[1:]))
	if end > len(p) {
		return 0, nil, nil, errTLV
	}
	return proxyproto.PP2Type(p[0]), p[3:end], p[end:], nil
}

// checksum verifies the CRC32C over the header p, in which it is at p[at] and counts as zeros
// (proxy-protocol.txt, Section 2.2.3).
func checksum(p []byte, at int, value []byte) error {
	if len(value) != 4 {
		return errValue
	}
	sum := crc32.Checksum(p[:at], castagnoli)
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	sum = crc32.Update(sum, castagnoli, p[at+4:])
	if sum != binary.BigEndian.Uint32(value) {
		return errChecksum
	}
	return nil
}

// parseTLS reads a pp2_tlv_ssl; nil says that the client did not use TLS.
func parseTLS(p []byte) (*TLS, error) {
	if len(p) < 5 {
		return nil, errValue
	}
	if p[0]&clientSSL == 0 {
		return nil, nil
	}
	t := &TLS{ClientCert: p[0]&(clientCertConn|clientCertSess) != 0}
	// HAProxy sends 0, verified, for a client without a certificate too.
	t.Verified = t.ClientCert && binary.BigEndian.Uint32(p[1:]) == 0

	var seen [256]bool
	for rest := p[5:]; len(rest) > 0; {
		typ, value, after, err := cutTLV(rest)
		if err != nil {
			return nil, err
		}
		rest = after
		switch typ {
		case proxyproto.PP2_SUBTYPE_SSL_VERSION:
			t.Version = string(value)
		case proxyproto.PP2_SUBTYPE_SSL_CIPHER:
			t.Cipher = string(value)
		case proxyproto.PP2_SUBTYPE_SSL_CN:
			t.CommonName = string(value)
		default:
			continue
		}
		switch {
		case len(value) > maxValueLen:
			return nil, errValue
		case seen[typ]:
			return nil, errDuplicate
		}
		seen[typ] = true
	}
	return t, nil
}
