package wire

// Types of handshake messages (RFC 8446, Section 4; RFC 5246, Section 7.4).
const (
	TypeHelloRequest        uint8 = 0
	TypeClientHello         uint8 = 1
	TypeServerHello         uint8 = 2
	TypeNewSessionTicket    uint8 = 4
	TypeEndOfEarlyData      uint8 = 5
	TypeEncryptedExtensions uint8 = 8
	TypeCertificate         uint8 = 11
	TypeServerKeyExchange   uint8 = 12
	TypeCertificateRequest  uint8 = 13
	TypeServerHelloDone     uint8 = 14
	TypeCertificateVerify   uint8 = 15
	TypeClientKeyExchange   uint8 = 16
	TypeFinished            uint8 = 20
	TypeKeyUpdate           uint8 = 24
	TypeMessageHash         uint8 = 254
)

// Protocol versions.
const (
	VersionTLS10 uint16 = 0x0301
	VersionTLS11 uint16 = 0x0302
	VersionTLS12 uint16 = 0x0303
	VersionTLS13 uint16 = 0x0304
)

// Types of extensions (IANA, TLS ExtensionType Values).
const (
	ExtServerName             uint16 = 0
	ExtStatusRequest          uint16 = 5
	ExtSupportedGroups        uint16 = 10
	ExtECPointFormats         uint16 = 11
	ExtSignatureAlgorithms    uint16 = 13
	ExtALPN                   uint16 = 16
	ExtExtendedMasterSecret   uint16 = 23
	ExtSessionTicket          uint16 = 35
	ExtPreSharedKey           uint16 = 41
	ExtEarlyData              uint16 = 42
	ExtSupportedVersions      uint16 = 43
	ExtCookie                 uint16 = 44
	ExtPSKKeyExchangeModes    uint16 = 45
	ExtCertificateAuthorities uint16 = 47
	ExtPostHandshakeAuth      uint16 = 49
	ExtSignatureAlgorithmCert uint16 = 50
	ExtKeyShare               uint16 = 51
	ExtRenegotiationInfo      uint16 = 0xff01
)

// Signalling cipher suite values, which are not suites.
const (
	SuiteEmptyRenegotiation uint16 = 0x00ff // RFC 5746, Section 3.3
	SuiteFallback           uint16 = 0x5600 // RFC 7507
)

// Key exchange modes of pre-shared keys (RFC 8446, Section 4.2.9).
const (
	ModePSK    uint8 = 0
	ModePSKDHE uint8 = 1
)

// Values of KeyUpdate (RFC 8446, Section 4.6.3).
const (
	UpdateNotRequested uint8 = 0
	UpdateRequested    uint8 = 1
)

const (
	// HeaderLen is the length of a handshake message's header: type and length.
	HeaderLen = 4
	// RandomLen is the length of both hellos' randoms.
	RandomLen = 32
	// MaxSessionIDLen is the longest session ID.
	MaxSessionIDLen = 32
	// Finished12Len is the length of TLS 1.2's verify_data.
	Finished12Len = 12

	maxServerNameLen  = 255 // RFC 1035, Section 2.3.4
	nameTypeHost      = 0
	pointUncompressed = 0
)

// Header returns the type of the handshake message at the start of b and its
// whole length with the header. ok is false as long as the header is not whole.
func Header(b []byte) (typ uint8, n int, ok bool) {
	if len(b) < HeaderLen {
		return 0, 0, false
	}
	return b[0], HeaderLen + int(b[1])<<16 + int(b[2])<<8 + int(b[3]), true
}

// body returns the content of a message, or false if it is of another type or its header states
// another length.
func body(msg []byte, typ uint8) (Reader, bool) {
	t, n, ok := Header(msg)
	if !ok || t != typ || n != len(msg) {
		return nil, false
	}
	return Reader(msg[HeaderLen:]), true
}
