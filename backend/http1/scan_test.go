package http1

import (
	"bytes"
	"testing"
)

// TestValueEnd puts each byte at each position of the eight bytes examined at once.
func TestValueEnd(t *testing.T) {
	for _, filler := range []byte{'a', ' ', '\t', '~', 0x80, 0xff} {
		for b := range 256 {
			for at := range 18 {
				p := bytes.Repeat([]byte{filler}, 18)
				p[at] = byte(b)
				want := len(p)
				if b < ' ' && b != '\t' || b == 0x7f {
					want = at
				}
				if got := valueEnd(p, 0); got != want {
					t.Fatalf("%q: got %d, want %d", p, got, want)
				}
				if got := valueEnd(p, at); got != want {
					t.Fatalf("%q from %d: got %d, want %d", p, at, got, want)
				}
			}
		}
	}
}

// TestKinds checks each name in the other case, and with each of its bytes replaced by the next
// one, which makes another name.
func TestKinds(t *testing.T) {
	for name, want := range map[string]kind{
		"Host": host, "Date": date, "Content-Length": contentLength, "Expect": expect, "X-Forwarded-For": xForwardedFor, "X-Forwarded-Proto": xForwardedProto,
		"X-Forwarded-Host": xForwardedHost, "X-Forwarded-Port": xForwardedPort, "X-Forwarded-Ssl": xForwardedOther, "Forwarded": forwarded,
		"Connection": connection, "Transfer-Encoding": transferEncoding, "Upgrade": upgrade, "Trailer": trailer, "TE": te, "Keep-Alive": keepAlive,
		"Proxy-Connection": proxyConnection, "Proxy-Authenticate": proxyAuthenticate, "Proxy-Authorization": proxyAuthorization,
		"X-Real-IP": vouched, "Client-IP": vouched, "X-Client-IP": vouched, "X-Forwarded": vouched, "Client-Cert": vouched, "X-Scheme": vouched,
		"X-Url-Scheme": vouched, "True-Client-IP": vouched, "Front-End-Https": vouched, "Client-Cert-Chain": vouched, "X-Cluster-Client-IP": vouched,
		"X-SSL-": vouched, "X-SSL-Client-CN": vouched, "SSL-Client-Verify": vouched, "X-Client-Cert": vouched, "X-Client-Cert-DN": vouched,
		"X-Client": other, "X-SSL": other, "Client-Certs": other, "SSL-Clients": other,
		"HTTP2-Settings": http2Settings, "Proxy": masked, "Accept": other, "X-Forwarded-": other, "Hosts": other,
	} {
		for _, p := range [][]byte{
			[]byte(name), bytes.ToLower([]byte(name)),
			bytes.ToUpper([]byte(name)),
		} {
			if got := kindOf(p); got != want {
				t.Errorf("%s: got %d, want %d", p, got, want)
			}
		}
		for _, b := range "!#$%&'*+.^_`|~" { // what a name may have besides
			for i := range name {
				if p := []byte(name); want != other && p[i] == '-' {
					p[i] = byte(b)
					if got := kindOf(p); got != masked && (i < len(name)-1 || got != other) {
						t.Errorf("%s: got %d, want %d", p, got, masked)
					}
				}
			}
		}
		for i := range name {
			if p := []byte(name); want != xForwardedOther && want != vouched && want != other &&
				p[i] != '-' {
				p[i] ^= 3
				if got := kindOf(p); got != other && got != xForwardedOther {
					t.Errorf("%s: got %d, want another kind", p, got)
				}
			}
		}
	}
}
