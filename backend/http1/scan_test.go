package http1

import (
	"bytes"
	"testing"
)

// TestValueEnd puts each byte at each place of the words it is looked for in.
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

// TestKinds compares each name in other case, and by a neighbour of each of its
// bytes, which is another name.
func TestKinds(t *testing.T) {
	for name, want := range map[string]kind{
		"Host": host, "Content-Length": contentLength, "Expect": expect, "X-Forwarded-For": xForwardedFor, "X-Forwarded-Proto": xForwardedProto,
		"X-Forwarded-Host": xForwardedHost, "X-Forwarded-Port": xForwardedPort, "X-Forwarded-Ssl": xForwardedOther, "Forwarded": forwarded,
		"Connection": connection, "Transfer-Encoding": transferEncoding, "Upgrade": upgrade, "Trailer": trailer, "TE": te, "Keep-Alive": keepAlive,
		"Proxy-Connection": proxyConnection, "Proxy-Authenticate": proxyAuthenticate, "Proxy-Authorization": proxyAuthorization,
		"HTTP2-Settings": http2Settings, "Proxy": masked, "Accept": other, "X-Forwarded-": other, "Hosts": other,
	} {
		for _, p := range [][]byte{[]byte(name), bytes.ToLower([]byte(name)), bytes.ToUpper([]byte(name))} {
			if got := kindOf(p); got != want {
				t.Errorf("%s: got %d, want %d", p, got, want)
			}
		}
		if underscored := bytes.ReplaceAll([]byte(name), []byte("-"), []byte("_")); want != other && string(underscored) != name {
			if got := kindOf(underscored); got != masked {
				t.Errorf("%s: got %d, want %d", underscored, got, masked)
			}
		}
		for i := range name {
			if p := []byte(name); want != xForwardedOther {
				p[i] ^= 3
				if got := kindOf(p); got != other && got != xForwardedOther {
					t.Errorf("%s: got %d, want another kind", p, got)
				}
			}
		}
	}
}
