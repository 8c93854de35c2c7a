package http1

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
)

// Facts are what the gateway knows of a client's connection, for the values that [Rules] give to
// fields. They are made once for each connection and immutable; its requests share them.
type Facts struct {
	Client     netip.AddrPort // the zero value: unknown, or a unix socket
	Protocol   string         // "TLSv1.3"; "" without TLS, like all below
	Cipher     string
	ServerName string // SNI, "" if none
	Resumed    bool

	// Of the client's verified certificate; "" without one.
	Subject, Issuer string // as in RFC 4514
	Serial          string // hex
	Fingerprint     string // SHA-256 of the DER, hex

	// ID is random. With the number of a request it makes REQUEST_ID.
	ID [12]byte
}

// variable is the kind of a ${NAME} in a value. The names are those of package uwsgi, and so of
// Apache and nginx.
type variable uint8

const (
	noVariable variable = iota
	remoteAddr
	remotePort
	sslProtocol
	sslCipher
	sslServerName
	sslSessionResumed
	sslClientVerify
	sslClientSubject
	sslClientIssuer
	sslClientSerial
	sslClientFingerprint
	requestID
)

var variables = map[string]variable{
	"REMOTE_ADDR": remoteAddr, "REMOTE_PORT": remotePort,
	"SSL_PROTOCOL": sslProtocol, "SSL_CIPHER": sslCipher, "SSL_SERVER_NAME": sslServerName,
	"SSL_SESSION_RESUMED": sslSessionResumed,
	"SSL_CLIENT_VERIFY":   sslClientVerify, "SSL_CLIENT_S_DN": sslClientSubject,
	"SSL_CLIENT_I_DN":     sslClientIssuer,
	"SSL_CLIENT_M_SERIAL": sslClientSerial, "SSL_CLIENT_FINGERPRINT": sslClientFingerprint,
	"REQUEST_ID": requestID,
}

// append appends the value of a variable for the nth request of a connection.
func (v variable) append(dst []byte, f *Facts, nth uint32) []byte {
	switch v {
	case remoteAddr:
		if f.Client.IsValid() {
			return f.Client.Addr().Unmap().WithZone("").AppendTo(dst)
		}
		return dst
	case remotePort:
		if f.Client.IsValid() {
			return strconv.AppendUint(dst, uint64(f.Client.Port()), 10)
		}
		return dst
	case requestID:
		var id [16]byte
		copy(id[:], f.ID[:])
		binary.BigEndian.PutUint32(id[12:], nth)
		return hex.AppendEncode(dst, id[:])
	}
	return appendPrintable(dst, v.text(f))
}

func (v variable) text(f *Facts) string {
	switch v {
	case sslProtocol:
		return f.Protocol
	case sslCipher:
		return f.Cipher
	case sslServerName:
		return f.ServerName
	case sslClientSubject:
		return f.Subject
	case sslClientIssuer:
		return f.Issuer
	case sslClientSerial:
		return f.Serial
	case sslClientFingerprint:
		return f.Fingerprint
	}
	switch {
	case f.Protocol == "":
		return ""
	case v == sslSessionResumed && f.Resumed:
		return "Resumed"
	case v == sslSessionResumed:
		return "Initial"
	case f.Fingerprint == "":
		return "NONE"
	}
	return "SUCCESS"
}

// appendPrintable appends a text chosen by others. A byte that is not printable ASCII becomes a
// backslash and two hex digits, which RFC 4514, Section 2.4, allows for any byte: so a
// distinguished name keeps its meaning, and its end cannot be taken for white space. A name can
// neither end the line nor be read in two ways, because RFC 4514 has escaped its backslashes and
// separators already.
func appendPrintable(dst []byte, text string) []byte {
	const digits = "0123456789ABCDEF"
	escaped := false // by a backslash in the text
	for i := range len(text) {
		b := text[i]
		switch printable := ' ' <= b && b <= '~'; {
		case escaped && (!printable || b == ' '):
			dst = append(dst, digits[b>>4], digits[b&15])
		case !printable:
			dst = append(dst, '\\', digits[b>>4], digits[b&15])
		default:
			dst = append(dst, b)
		}
		escaped = b == '\\' && !escaped
	}
	return dst
}
