package http1

// A Connection field must not name a field meant for all recipients (RFC 9110, Section 7.6.1), yet
// a gateway that obeys one that does removes a cookie, a condition or a proxy's statement about the
// client at the sender's wish (CVE-2022-31813). So fields with a kind of their own, and those
// below, stay. Only the two ends know the meaning of other fields, and those may be named.
var (
	endToEndFields = set(
		"accept", "age", "allow", "authentication-info", "authorization", "cache-control", "cookie",
		"date", "dnt", "etag", "expires", "from",
		"idempotency-key", "last-modified", "link", "location", "max-forwards", "origin", "pragma",
		"priority", "proxy-authentication-info", "range",
		"referer", "retry-after", "server", "server-timing", "set-cookie",
		"strict-transport-security", "traceparent", "tracestate",
		"user-agent", "vary", "via", "warning", "want-digest", "digest", "www-authenticate",
		"x-correlation-id", "x-csrf-token", "x-http-method-override",
		"x-remote-user", "x-request-id", "x-requested-with",
	)
	endToEndPrefixes = []string{
		"accept-", "access-control-", "content-", "if-", "sec-",
		"x-content-", "x-frame-",
	}
)

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// maxEndToEndLen is the length of the longest name or prefix above.
const maxEndToEndLen = len("proxy-authentication-info")

// isEndToEnd reports whether a field of kind other is meant for all recipients.
func isEndToEnd(name []byte) bool {
	var lower [maxEndToEndLen]byte
	n := min(len(name), maxEndToEndLen)
	for i, b := range name[:n] {
		lower[i] = folded[b]
	}
	if len(name) == n && endToEndFields[string(lower[:n])] {
		return true
	}
	for _, prefix := range endToEndPrefixes {
		if n > len(prefix) && string(lower[:len(prefix)]) == prefix {
			return true
		}
	}
	return false
}
