package accesslog

import (
	"strconv"
	"time"
)

func appendCombined(b []byte, e *Entry) []byte {
	if addr := e.Client.Addr(); addr.IsValid() {
		b = addr.WithZone("").AppendTo(b)
	} else {
		b = append(b, '-')
	}
	b = e.Time.AppendFormat(append(b, " - - ["...), "02/Jan/2006:15:04:05 -0700")
	b = combinedRequest(append(b, "] "...), e)
	b = combinedCount(append(b, ' '), int64(e.Status))
	b = combinedCount(append(b, ' '), e.BytesOut)
	b = combinedText(b, ` "`, e.Referer)
	b = combinedText(b, ` "`, e.UserAgent)

	b = combinedText(b, ` tls="`, e.TLSVersion)
	b = combinedText(b, ` cipher="`, e.Cipher)
	b = combinedText(b, ` resumed="`, e.Resumed)
	b = combinedText(b, ` sni="`, e.ServerName)
	b = combinedText(b, ` backend="`, e.Backend)
	b = combinedText(b, ` cause="`, e.Cause)
	b = combinedText(b, ` reason="`, e.Reason)
	b = combinedSeconds(b, " handshake=", e.Handshake)
	b = combinedSeconds(b, " connect=", e.Connect)
	b = combinedSeconds(b, " first_byte=", e.FirstByte)
	b = combinedSeconds(b, " total=", e.Total)
	return append(b, '\n')
}

func combinedRequest(b []byte, e *Entry) []byte {
	if len(e.Method) == 0 {
		return append(b, `"-"`...)
	}
	b = escapeApache(append(b, '"'), e.Method)
	b = escapeApache(append(b, ' '), e.Target)
	b = escapeApache(append(b, ' '), e.Proto)
	return append(b, '"')
}

func combinedText[T text](b []byte, opening string, s T) []byte {
	b = append(b, opening...)
	if len(s) == 0 {
		b = append(b, '-')
	}
	b = escapeApache(b, s)
	return append(b, '"')
}

func combinedCount(b []byte, n int64) []byte {
	if n == 0 {
		return append(b, '-')
	}
	return strconv.AppendInt(b, n, 10)
}

func combinedSeconds(b []byte, key string, d time.Duration) []byte {
	b = append(b, key...)
	if d == 0 {
		return append(b, '-')
	}
	return appendSeconds(b, d)
}

// escapeApache appends s as Apache's mod_log_config does, so that parsers made for
// its logs read ours.
func escapeApache[T text](b []byte, s T) []byte {
	limit := len(b) + maxText
	for i := 0; i < len(s); {
		if len(b) >= limit {
			return append(b, ellipsis...)
		}
		if n := plainLen(s[i:], limit-len(b)); n > 0 {
			b = append(b, s[i:i+n]...)
			i += n
			continue
		}
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case '\b' <= c && c <= '\v':
			b = append(b, '\\', "btnv"[c-'\b'])
		case c == '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		}
		i++
	}
	return b
}
