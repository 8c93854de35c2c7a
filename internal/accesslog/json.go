package accesslog

import (
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

func appendJSON(b []byte, e *Entry) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, '"')
	b = jsonClient(b, e.Client)
	b = jsonText(b, "listener", e.Listener)
	b = jsonText(b, "router", e.Router)

	b = jsonText(b, "tls", e.TLSVersion)
	b = jsonText(b, "cipher", e.Cipher)
	b = jsonText(b, "sni", e.ServerName)
	b = jsonText(b, "alpn", e.ALPN)
	b = jsonText(b, "resumed", e.Resumed)
	b = jsonText(b, "outcome", e.Outcome)
	b = jsonText(b, "client_cert", e.ClientCert)

	b = jsonText(b, "method", e.Method)
	b = jsonText(b, "target", e.Target)
	b = jsonText(b, "proto", e.Proto)
	b = jsonText(b, "host", e.Host)
	b = jsonCount(b, "status", e.Status)
	b = jsonText(b, "referer", e.Referer)
	b = jsonText(b, "user_agent", e.UserAgent)

	b = jsonText(b, "backend", e.Backend)
	b = jsonCount(b, "retries", e.Retries)
	if e.KeptAlive {
		b = append(jsonKey(b, "kept_alive"), "true"...)
	}
	b = jsonText(b, "cause", e.Cause)
	b = jsonText(b, "reason", e.Reason)

	b = jsonCount(b, "request", e.Request)
	b = jsonCount(b, "stream", int(e.Stream))
	b = strconv.AppendInt(jsonKey(b, "bytes_in"), e.BytesIn, 10)
	b = strconv.AppendInt(jsonKey(b, "bytes_out"), e.BytesOut, 10)
	b = jsonSeconds(b, "handshake", e.Handshake)
	b = jsonSeconds(b, "connect", e.Connect)
	b = jsonSeconds(b, "first_byte", e.FirstByte)
	b = jsonSeconds(b, "total", e.Total)
	return append(b, "}\n"...)
}

func jsonKey(b []byte, key string) []byte {
	b = append(b, `,"`...)
	b = append(b, key...)
	return append(b, `":`...)
}

// jsonClient leaves out an invalid address: clients of a unix socket have none.
func jsonClient(b []byte, client netip.AddrPort) []byte {
	if !client.IsValid() {
		return b
	}
	var buf [64]byte // longer only with the zone of a link-local address
	return jsonText(b, "client", client.AppendTo(buf[:0]))
}

func jsonText[T text](b []byte, key string, s T) []byte {
	if len(s) == 0 {
		return b
	}
	b = append(jsonKey(b, key), '"')
	b = escapeJSON(b, s)
	return append(b, '"')
}

func jsonCount(b []byte, key string, n int) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(jsonKey(b, key), int64(n), 10)
}

func jsonSeconds(b []byte, key string, d time.Duration) []byte {
	if d == 0 {
		return b
	}
	return appendSeconds(jsonKey(b, key), d)
}

// escapeJSON appends s as the inside of a JSON string (RFC 8259, Section 7). It escapes more than
// JSON requires, namely all that is not printable: to a terminal U+009B starts a command, U+2028
// ends a line for some readers, and U+202E reverses the text after it.
func escapeJSON[T text](b []byte, s T) []byte {
	limit := len(b) + maxText
	for i := 0; i < len(s); {
		if len(b) >= limit {
			return append(b, ellipsis...)
		}
		size := plainLen(s[i:], limit-len(b))
		switch c := s[i]; {
		case size > 0:
			b = append(b, s[i:i+size]...)
		case c == '"' || c == '\\':
			b, size = append(b, '\\', c), 1
		case c < utf8.RuneSelf:
			b, size = escapeUTF16(b, uint16(c)), 1
		default:
			b, size = escapeRune(b, string(s[i:min(i+utf8.UTFMax, len(s))]))
		}
		i += size
	}
	return b
}

// escapeRune appends the character s starts with and returns its length in s. An invalid byte
// becomes U+FFFD, as with readers of JSON.
func escapeRune(b []byte, s string) ([]byte, int) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case strconv.IsPrint(r):
		b = utf8.AppendRune(b, r)
	case r > 0xffff:
		r -= 0x10000
		b = escapeUTF16(b, uint16(0xd800+r>>10))
		b = escapeUTF16(b, uint16(0xdc00+r&0x3ff))
	default:
		b = escapeUTF16(b, uint16(r))
	}
	return b, size
}

func escapeUTF16(b []byte, u uint16) []byte {
	return append(b, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}
