package proxy

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"github.com/pires/go-proxyproto"
)

// AppendV1 appends h as version 1: the addresses, or UNKNOWN if h is local or an address is not
// set.
func AppendV1(dst []byte, h *Header) []byte {
	source, destination, ok := h.addrs()
	if !ok {
		return append(dst, "PROXY UNKNOWN\r\n"...)
	}
	family := "PROXY TCP6 "
	if source.Is4() {
		family = "PROXY TCP4 "
	}
	dst = append(dst, family...)
	dst = append(appendText(dst, source), ' ')
	dst = append(appendText(dst, destination), ' ')
	dst = append(strconv.AppendUint(dst, uint64(h.Source.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(h.Destination.Port()), 10)
	return append(dst, "\r\n"...)
}

// AppendV2 appends h as version 2. Without both addresses it is LOCAL; receivers ignore the rest of
// that, so nothing else is sent. A TLV is left out when its value is empty or longer than [Header]
// allows.
func AppendV2(dst []byte, h *Header) []byte {
	dst = append(dst, proxyproto.SIGV2...)
	source, destination, ok := h.addrs()
	if !ok {
		return append(dst, byte(proxyproto.LOCAL), byte(proxyproto.UNSPEC), 0, 0)
	}
	family := proxyproto.TCPv6
	if source.Is4() {
		family = proxyproto.TCPv4
	}
	dst = append(dst, byte(proxyproto.PROXY), byte(family), 0, 0)
	start := len(dst)
	dst = appendBytes(dst, source)
	dst = appendBytes(dst, destination)
	dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
	dst = binary.BigEndian.AppendUint16(dst, h.Destination.Port())

	dst = appendTLV(dst, proxyproto.PP2_TYPE_ALPN, h.ALPN)
	dst = appendTLV(dst, proxyproto.PP2_TYPE_AUTHORITY, h.Authority)
	if len(h.UniqueID) <= maxUniqueIDLen {
		dst = appendTLV(dst, proxyproto.PP2_TYPE_UNIQUE_ID, h.UniqueID)
	}
	if h.TLS != nil {
		dst = h.TLS.append(dst)
	}
	binary.BigEndian.PutUint16(dst[start-2:], uint16(len(dst)-start))
	return dst
}

// append appends the TLV of TLS and, if it has any content, our own.
func (t *TLS) append(dst []byte) []byte {
	client, verify := byte(clientSSL), uint32(1)
	if t.ClientCert {
		client |= clientCertSess
		if !t.Resumed {
			client |= clientCertConn
		}
		if t.Verified {
			verify = 0
		}
	}
	dst = append(dst, byte(proxyproto.PP2_TYPE_SSL), 0, 0)
	start := len(dst)
	dst = append(dst, client)
	dst = binary.BigEndian.AppendUint32(dst, verify)
	dst = appendTLV(dst, proxyproto.PP2_SUBTYPE_SSL_VERSION, t.Version)
	dst = appendTLV(dst, proxyproto.PP2_SUBTYPE_SSL_CN, t.CommonName)
	dst = appendTLV(dst, proxyproto.PP2_SUBTYPE_SSL_CIPHER, t.Cipher)
	binary.BigEndian.PutUint16(dst[start-2:], uint16(len(dst)-start))

	if !t.Resumed && t.Owner == [4]byte{} {
		return dst
	}
	dst = append(dst, byte(typeSession), 0, sessionLen, sessionVersion, 0)
	if t.Resumed {
		dst[len(dst)-1] = sessionResumed
	}
	return append(dst, t.Owner[:]...)
}

// addrs returns the two addresses in one family, since a header can hold only one: IPv4 if both
// are, else IPv6.
func (h *Header) addrs() (source, destination netip.Addr, ok bool) {
	if h.Local || !h.Source.IsValid() || !h.Destination.IsValid() {
		return netip.Addr{}, netip.Addr{}, false
	}
	source, destination = h.Source.Addr().Unmap(), h.Destination.Addr().Unmap()
	if source.Is4() != destination.Is4() {
		source, destination = netip.AddrFrom16(source.As16()), netip.AddrFrom16(destination.As16())
	}
	return source.WithZone(""), destination.WithZone(""), true
}

// appendText appends a as version 1 writes it: IPv4-mapped IPv6 also uses only hex digits and
// colons.
func appendText(dst []byte, a netip.Addr) []byte {
	if !a.Is4In6() {
		return a.AppendTo(dst)
	}
	b := a.As16()
	dst = append(dst, "::ffff:"...)
	dst = strconv.AppendUint(dst, uint64(binary.BigEndian.Uint16(b[12:])), 16)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(binary.BigEndian.Uint16(b[14:])), 16)
}

func appendBytes(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return append(dst, b[:]...)
	}
	b := a.As16()
	return append(dst, b[:]...)
}

func appendTLV[V string | []byte](dst []byte, typ proxyproto.PP2Type, value V) []byte {
	if len(value) == 0 || len(value) > maxValueLen {
		return dst
	}
	return append(append(dst, byte(typ), 0, byte(len(value))), value...)
}
