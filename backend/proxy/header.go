package proxy

import (
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Header is what a proxy reports about the connection it opened. The strings are as it sent them
// and may hold any bytes.
type Header struct {
	// Local says that the connection's real addresses apply: it is the proxy's own (a health
	// check), or the client's addresses are not IP addresses. Source and Destination are zero then.
	Local bool

	Source, Destination netip.AddrPort // of the client's connection

	// The rest exists in version 2 only. Each is at most 255 bytes long, including those of TLS,
	// and the unique ID 128.

	ALPN      string // the protocol negotiated with the client
	Authority string // the name the client asked for (SNI)
	UniqueID  []byte // of the connection
	TLS       *TLS   // nil if the client did not use TLS
}

// TLS describes the client's TLS with the proxy.
type TLS struct {
	Version string // "TLSv1.3"
	Cipher  string // OpenSSL's name, which receivers expect

	ClientCert bool   // the client sent a certificate, now or when the session was made
	Verified   bool   // and it was verified
	CommonName string // of the certificate's subject

	Resumed bool
	Owner   [4]byte // short id of the node that made the session, 0 if unknown
}

const (
	maxV1Len = 107 // proxy-protocol.txt, Section 2.1
	// room for a client certificate among the TLVs; the protocol's own bound is 64 KiB
	maxV2Len = 4096

	prefixLen      = 16 // of version 2, up to and with the length field
	maxValueLen    = 255
	maxUniqueIDLen = 128 // proxy-protocol.txt, Section 2.2.5
)

// Our own TLV, as in doc.go.
const (
	typeSession    = proxyproto.PP2Type(0xE7)
	sessionLen     = 6
	sessionVersion = 1
	sessionResumed = 1
)

// Bits of pp2_tlv_ssl.client (proxy-protocol.txt, Section 2.2.6).
const (
	clientSSL      = 1
	clientCertConn = 2
	clientCertSess = 4
)

// addressLens maps the known families to the number of their address bytes.
var addressLens = map[proxyproto.AddressFamilyAndProtocol]int{
	proxyproto.UNSPEC: 0,
	proxyproto.TCPv4:  12, proxyproto.UDPv4: 12,
	proxyproto.TCPv6: 36, proxyproto.UDPv6: 36,
	proxyproto.UnixStream: 216, proxyproto.UnixDatagram: 216,
}
