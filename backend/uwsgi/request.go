package uwsgi

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"reprise/backend/http1"
)

// Vars has the sources of a request's variables other than the request.
type Vars struct {
	// ServerName is SERVER_NAME. If empty, the Host field without its port is used, and Host for an
	// HTTP/1.0 client that sends none.
	ServerName string
	Host       string
	ServerPort int            // that the client connected to
	Remote     netip.AddrPort // the client; zero if it has no IP address
	// the client is a proxy whose Forwarded and X-Forwarded-* are believed
	Trusted bool
	Length  int64 // CONTENT_LENGTH, whatever the client's field says; -1 for none
	HTTP2   bool  // the client speaks HTTP/2
	TLS     *TLS  // nil without TLS

	Rules *http1.Rules // further changes to its fields
	Facts *http1.Facts // for their values
	Nth   uint32       // number of the request on its connection
}

// TLS describes the client's TLS.
type TLS struct {
	Protocol   string // "TLSv1.3"
	Cipher     string // OpenSSL's name, as in Apache and nginx
	ServerName string // SNI, "" if none
	Resumed    bool
	Client     *Client // nil without a verified client certificate
}

const (
	prefixLen  = 4     // of a packet, before its variables
	maxVarsLen = 65535 // the length has two bytes
)

// The reasons are a closed list, like those of package http1.
var (
	errEscape = &http1.Error{Status: 400, Reason: "malformed escape in the path"}
	errNUL    = &http1.Error{Status: 400, Reason: "NUL in the path"}
	errDotDot = &http1.Error{Status: 400, Reason: "dot-dot segment in the path"}
	errLong   = &http1.Error{Status: 431, Reason: "variables exceed a uwsgi packet"}
)

// AppendRequest appends the packet that begins a request; the body follows it. An error is an
// *[http1.Error], and dst is returned unchanged.
func AppendRequest(dst []byte, r *http1.Request, v *Vars) ([]byte, error) {
	start := len(dst)
	p := append(dst, 0, 0, 0, 0)
	p = appendVar(p, "REQUEST_METHOD", r.Method)
	p, err := appendPath(p, r.Path)
	if err != nil {
		return dst, err
	}
	p = appendTarget(p, r, v.HTTP2)
	p = appendServer(p, r, v)
	if v.TLS != nil {
		p = v.TLS.append(p)
	}
	if v.Remote.IsValid() {
		var text [64]byte // with a zone
		p = appendVar(p, "REMOTE_ADDR", v.Remote.Addr().Unmap().AppendTo(text[:0]))
		p = appendInt(p, "REMOTE_PORT", int64(v.Remote.Port()))
	}
	if v.Length >= 0 {
		p = appendInt(p, "CONTENT_LENGTH", v.Length)
	}
	p = appendFields(p, r, v, start+prefixLen+maxVarsLen)

	varsLen := len(p) - start - prefixLen
	if varsLen > maxVarsLen { // this includes variables whose length is wrong
		return dst, errLong
	}
	binary.LittleEndian.PutUint16(p[start+1:], uint16(varsLen))
	return p, nil
}

// appendPath appends PATH_INFO, the decoded path.
func appendPath(p, path []byte) ([]byte, error) {
	p, start := beginVar(p, "PATH_INFO")
	for {
		percent := bytes.IndexByte(path, '%')
		if percent < 0 {
			break
		}
		if percent+2 >= len(path) {
			return nil, errEscape
		}
		high, low := hexDigits[path[percent+1]], hexDigits[path[percent+2]]
		if high < 0 || low < 0 {
			return nil, errEscape
		}
		p = append(append(p, path[:percent]...), byte(high)<<4|byte(low))
		path = path[percent+3:]
	}
	p = append(p, path...)
	if bytes.IndexByte(p[start:], 0) >= 0 {
		return nil, errNUL
	}
	if hasDotDot(p[start:]) {
		return nil, errDotDot
	}
	return endVar(p, start), nil
}

// hexDigits holds the values of hex digits, -1 for other bytes.
var hexDigits = func() (t [256]int8) {
	for b := range t {
		t[b] = -1
	}
	for i, b := range []byte("0123456789abcdef") {
		t[b] = int8(i)
		t[bytes.ToUpper([]byte{b})[0]] = int8(i)
	}
	return t
}()

// hasDotDot reports whether path contains a dot-dot segment.
func hasDotDot(path []byte) bool {
	if !bytes.Contains(path, []byte("..")) {
		return false
	}
	for segment := range bytes.SplitSeq(path, []byte("/")) {
		if string(segment) == ".." {
			return true
		}
	}
	return false
}

func appendTarget(p []byte, r *http1.Request, isHTTP2 bool) []byte {
	p, start := beginVar(p, "REQUEST_URI") // in origin form, if the target is in another
	p = append(p, r.Path...)
	if r.Query != nil {
		p = append(append(p, '?'), r.Query...)
	}
	p = endVar(p, start)
	p = appendVar(p, "QUERY_STRING", r.Query)
	switch {
	case isHTTP2:
		return appendVar(p, "SERVER_PROTOCOL", "HTTP/2.0")
	case r.Minor == 0:
		return appendVar(p, "SERVER_PROTOCOL", "HTTP/1.0")
	}
	return appendVar(p, "SERVER_PROTOCOL", "HTTP/1.1")
}

func appendServer(p []byte, r *http1.Request, v *Vars) []byte {
	p = appendVar(p, "SCRIPT_NAME", "")
	switch {
	case v.ServerName != "":
		p = appendVar(p, "SERVER_NAME", v.ServerName)
	case r.Host == nil:
		p = appendVar(p, "SERVER_NAME", v.Host)
	default:
		p = appendVar(p, "SERVER_NAME", withoutPort(r.Host))
	}
	p = appendInt(p, "SERVER_PORT", int64(v.ServerPort))
	return appendVar(p, "UWSGI_ROUTER", "http")
}

// withoutPort returns the host of host [ ":" port ]; IPv6 keeps its brackets (RFC 3875, Section
// 4.1.14).
func withoutPort(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i > bytes.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}

func (t *TLS) append(p []byte) []byte {
	p = appendVar(p, "HTTPS", "on")
	if t.Client != nil {
		p = append(p, t.Client.vars...)
	}
	p = appendVar(p, "SSL_PROTOCOL", t.Protocol)
	p = appendVar(p, "SSL_CIPHER", t.Cipher)
	if t.Resumed {
		p = appendVar(p, "SSL_SESSION_RESUMED", "Resumed")
	} else {
		p = appendVar(p, "SSL_SESSION_RESUMED", "Initial")
	}
	if t.ServerName != "" {
		p = appendVar(p, "SSL_SERVER_NAME", t.ServerName)
	}
	if t.Client == nil {
		p = appendVar(p, "SSL_CLIENT_VERIFY", "NONE")
	}
	return p
}

func appendVar[V string | []byte](p []byte, key string, value V) []byte {
	p = binary.LittleEndian.AppendUint16(p, uint16(len(key)))
	p = append(p, key...)
	p = binary.LittleEndian.AppendUint16(p, uint16(len(value)))
	return append(p, value...)
}

func appendInt(p []byte, key string, value int64) []byte {
	var digits [20]byte
	return appendVar(p, key, strconv.AppendInt(digits[:0], value, 10))
}

// beginVar appends a key. The value is to be appended next; endVar, which gets the value's start,
// ends it.
func beginVar(p []byte, key string) (_ []byte, start int) {
	p = appendVar(p, key, "")
	return p, len(p)
}

func endVar(p []byte, start int) []byte {
	binary.LittleEndian.PutUint16(p[start-2:], uint16(len(p)-start))
	return p
}
