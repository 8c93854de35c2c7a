package proxy_test

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"reprise/backend/proxy"
)

const (
	signature = "0d0a0d0a 00 0d0a 51554954 0a "
	tcp4      = signature + "21 11 "
	local     = signature + "20 00 "
	addrs4    = "cb007107 c0000201 d431 01bb " // 203.0.113.7:54321, 192.0.2.1:443
	addrs6    = "20010db8000000000000000000000007 20010db8000000000000000000000001 d431 01bb "
	mapped    = "00000000000000000000ffffcb007107 20010db8000000000000000000000001 d431 01bb "
)

// wire turns hex digits, spaced for legibility, into bytes.
func wire(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withTLVs returns a header that ends in the given TLVs.
func withTLVs(t testing.TB, digits string) []byte {
	t.Helper()
	tlvs := wire(t, digits)
	return append(wire(t, fmt.Sprintf("%s %04x %s", tcp4, 12+len(tlvs), addrs4)), tlvs...)
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func addrs(source, destination string) proxy.Header {
	return proxy.Header{Source: ap(source), Destination: ap(destination)}
}

// with returns a header of client 203.0.113.7 with a change.
func with(change func(*proxy.Header)) proxy.Header {
	h := addrs("203.0.113.7:54321", "192.0.2.1:443")
	change(&h)
	return h
}

// accepted pairs the bytes of headers with their meaning. It is long because it is a table.
func accepted(t testing.TB) []struct {
	name string
	in   []byte
	want proxy.Header
} {
	line := func(s string) []byte { return []byte(s) }
	v2 := func(digits string) []byte { return wire(t, digits) }
	tlvs := func(digits string) []byte { return withTLVs(t, digits) }
	v4 := addrs("203.0.113.7:54321", "192.0.2.1:443")
	v6 := addrs("[2001:db8::7]:54321", "[2001:db8::1]:443")
	mixed := addrs("203.0.113.7:54321", "[2001:db8::1]:443")
	isLocal := proxy.Header{Local: true}
	return []struct {
		name string
		in   []byte
		want proxy.Header
	}{
		{"v1 IPv4", line("PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\r\n"), v4},
		{"v1 IPv6", line("PROXY TCP6 2001:db8::7 2001:DB8::1 54321 443\r\n"), v6},
		{
			"v1 longest IPv6", line("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
			addrs("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
		},
		{"v1 mapped", line("PROXY TCP6 ::ffff:cb00:7107 2001:db8::1 54321 443\r\n"), mixed},
		{"v1 port 0", line("PROXY TCP4 203.0.113.7 192.0.2.1 0 443\r\n"), addrs("203.0.113.7:0", "192.0.2.1:443")},
		{"v1 unknown", line("PROXY UNKNOWN\r\n"), isLocal},
		{"v1 unknown with addresses", line("PROXY UNKNOWN ::1 ::1 1 2\r\n"), isLocal},
		{"v1 longest", line("PROXY UNKNOWN" + strings.Repeat(" ", 92) + "\r\n"), isLocal},
		{"v2 IPv4", v2(tcp4 + "000c" + addrs4), v4},
		{"v2 IPv6", v2(signature + "21 21 0024" + addrs6), v6},
		{"v2 mapped", v2(signature + "21 21 0024" + mapped), mixed},
		{"v2 UDP", v2(signature + "21 12 000c" + addrs4), v4},
		{"v2 local", v2(local + "0000"), isLocal},
		{"v2 local with a family and no addresses", v2(signature + "20 11 0000"), isLocal},
		{"v2 local with addresses and rubbish", v2(signature + "20 11 0010" + addrs4 + "ffffffff"), isLocal},
		{"v2 local with a family of its own", v2(signature + "20 f7 0003 ffffff"), isLocal},
		{"v2 unix", v2(signature + "21 31 00de" + strings.Repeat("00", 216) + "02 0003 616263"), proxy.Header{Local: true, Authority: "abc"}},
		{"v2 longest", v2(tcp4 + "0ff0" + addrs4 + "04 0fe1" + strings.Repeat("00", 4065)), v4},
		{
			"v2 TLVs", tlvs("04 0000 01 0002 6832 e0 0001 00 02 0001 61 05 0003 00ff00"),
			with(func(h *proxy.Header) { h.ALPN, h.Authority, h.UniqueID = "h2", "a", []byte{0, 255, 0} }),
		},
		{"v2 checksum", tlvs("03 0004 0f3fe75f"), v4},
		{"v2 not TLS", tlvs("20 0005 00 00000000"), v4},
		{
			"v2 TLS without certificate", tlvs("20 000f 01 00000000 21 0007 544c5376312e33 e7 0000"),
			with(func(h *proxy.Header) { h.TLS = &proxy.TLS{Version: "TLSv1.3"} }),
		},
		{
			"v2 TLS with certificate", tlvs("20 0015 05 00000000 22 0001 61 23 0001 62 25 0005 5253413234"),
			with(func(h *proxy.Header) {
				h.TLS = &proxy.TLS{Cipher: "b", CommonName: "a", ClientCert: true, Verified: true}
			}),
		},
		{
			"v2 unverified certificate", tlvs("20 0005 03 00000012"),
			with(func(h *proxy.Header) { h.TLS = &proxy.TLS{ClientCert: true} }),
		},
		{
			"v2 session before TLS", tlvs("e7 0006 01 01 01020304 20 0005 01 00000001"),
			with(func(h *proxy.Header) { h.TLS = &proxy.TLS{Resumed: true, Owner: [4]byte{1, 2, 3, 4}} }),
		},
		{
			"v2 session of another layout", tlvs("e7 0006 02 01 01020304 20 0005 01 00000001"),
			with(func(h *proxy.Header) { h.TLS = &proxy.TLS{} }),
		},
	}
}

// Chunking law: in whatever pieces a header arrives and whatever follows it, its meaning and length
// are the same, and no part of it is taken for the whole.
func TestParse(t *testing.T) {
	for _, tt := range accepted(t) {
		t.Run(tt.name, func(t *testing.T) {
			for _, after := range []string{"", "\x16\x03\x01", "\r\n", string(tt.in)} {
				h, n, err := proxy.Parse(append(tt.in[:len(tt.in):len(tt.in)], after...))
				if err != nil || n != len(tt.in) || !reflect.DeepEqual(h, tt.want) {
					t.Errorf("followed by %q: got %+v (TLS %+v), %d, %v, want %+v, %d", after, h, h.TLS, n, err, tt.want, len(tt.in))
				}
			}
			for i := range tt.in {
				if h, n, err := proxy.Parse(tt.in[:i]); n != 0 || err != nil ||
					!reflect.DeepEqual(h, proxy.Header{}) {
					t.Errorf("the first %d bytes: got %+v, %d, %v, want nothing yet", i, h, n, err)
				}
				if got := proxy.LooksLike(tt.in[:i]); got != (i > 0) {
					t.Errorf("LooksLike of the first %d bytes: got %v", i, got)
				}
			}
		})
	}
}

// A malformed header is refused at the byte given, not before. It is long because it is a table.
func TestParseRefuses(t *testing.T) {
	line := func(s string) []byte { return []byte(s) }
	v2 := func(digits string) []byte { return wire(t, digits) }
	whole := -1
	tests := []struct {
		name string
		in   []byte
		at   int // length of the shortest part that is refused
	}{
		{"TLS", v2("16 0301 0200 01"), 1},
		{"GET", line("GET / HTTP/1.1\r\n"), 1},
		{"POST", line("POST / HTTP/1.1\r\n"), 2},
		{"empty line", line("\r\nGET / HTTP/1.1\r\n"), 3},
		{"leading space", line(" PROXY UNKNOWN\r\n"), 1},
		{"lower case", line("proxy UNKNOWN\r\n"), 1},
		{"v1 no family", line("PROXY \r\n"), 7},
		{"v1 other family", line("PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n"), 8},
		{"v1 family in lower case", line("PROXY tcp4 203.0.113.7 192.0.2.1 1 2\r\n"), 7},
		{"v1 tab", line("PROXY\tTCP4 203.0.113.7 192.0.2.1 1 2\r\n"), 6},
		{"v1 two spaces", line("PROXY TCP4  203.0.113.7 192.0.2.1 1 2\r\n"), whole},
		{"v1 unknown family that begins so", line("PROXY UNKNOWNS\r\n"), whole},
		{"v1 IPv6 as IPv4", line("PROXY TCP4 ::1 ::1 1 2\r\n"), whole},
		{"v1 IPv4 as IPv6", line("PROXY TCP6 203.0.113.7 192.0.2.1 1 2\r\n"), whole},
		{"v1 mixed families", line("PROXY TCP4 203.0.113.7 ::1 1 2\r\n"), whole},
		{"v1 zone", line("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), whole},
		{"v1 octal address", line("PROXY TCP4 203.0.113.07 192.0.2.1 1 2\r\n"), whole},
		{"v1 short address", line("PROXY TCP4 203.0.113 192.0.2.1 1 2\r\n"), whole},
		{"v1 name", line("PROXY TCP4 localhost 192.0.2.1 1 2\r\n"), whole},
		{"v1 leading zero in a port", line("PROXY TCP4 203.0.113.7 192.0.2.1 080 2\r\n"), whole},
		{"v1 port too large", line("PROXY TCP4 203.0.113.7 192.0.2.1 65536 2\r\n"), whole},
		{"v1 signed port", line("PROXY TCP4 203.0.113.7 192.0.2.1 +1 2\r\n"), whole},
		{"v1 negative port", line("PROXY TCP4 203.0.113.7 192.0.2.1 1 -2\r\n"), whole},
		{"v1 missing port", line("PROXY TCP4 203.0.113.7 192.0.2.1 1\r\n"), whole},
		{"v1 more than ports", line("PROXY TCP4 203.0.113.7 192.0.2.1 1 2 3\r\n"), whole},
		{"v1 trailing space", line("PROXY TCP4 203.0.113.7 192.0.2.1 1 2 \r\n"), whole},
		{"v1 NUL", line("PROXY TCP4 203.0.113.7\x00 192.0.2.1 1 2\r\n"), whole},
		{"v1 bare LF", line("PROXY TCP4 203.0.113.7 192.0.2.1 1 2\n"), whole},
		{"v1 bare CR", line("PROXY TCP4 203.0.113.7\r192.0.2.1 1 2\r\n"), whole},
		{"v1 too long", line("PROXY UNKNOWN" + strings.Repeat(" ", 93) + "\r\n"), 107},
		{"v1 endless", line("PROXY TCP4 " + strings.Repeat("1", 500)), 107},
		{"v2 signature with one byte off", v2("0d0a0d0a 00 0d0a 51554955 0a 21 11 000c" + addrs4), 11},
		{"v2 version 1", v2(signature + "11 11 000c" + addrs4), 13},
		{"v2 version 3", v2(signature + "31 11 000c" + addrs4), 13},
		{"v2 other command", v2(signature + "22 11 000c" + addrs4), 13},
		{"v2 other family", v2(signature + "21 41 000c" + addrs4), 14},
		{"v2 other transport", v2(signature + "21 13 000c" + addrs4), 14},
		{"v2 family without transport", v2(signature + "21 10 000c" + addrs4), 14},
		{"v2 unspecified, not local", v2(signature + "21 00 0000"), whole},
		{"v2 no addresses", v2(tcp4 + "0000"), 16},
		{"v2 short addresses", v2(tcp4 + "000b" + addrs4), 16},
		{"v2 IPv4 addresses for IPv6", v2(signature + "21 21 000c" + addrs4), 16},
		{"v2 too long", v2(tcp4 + "0ff1" + addrs4), 16},
		{"v2 longest length", v2(tcp4 + "ffff" + addrs4), 16},
		{"v2 local and too long", v2(local + "ffff"), 16},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.at == whole {
				tt.at = len(tt.in)
			}
			for i := range len(tt.in) + 1 {
				h, n, err := proxy.Parse(tt.in[:i])
				if n != 0 || !reflect.DeepEqual(h, proxy.Header{}) || (err != nil) != (i >= tt.at) {
					t.Fatalf("%d bytes: got %+v, %d, %v, want an error from %d bytes on", i, h, n, err, tt.at)
				}
			}
		})
	}
}

// A malformed TLV is detected when the header is complete.
func TestParseRefusesTLVs(t *testing.T) {
	tests := []struct{ name, tlvs, want string }{
		{"TLV of one byte", "04", "overruns"},
		{"TLV without a length", "0400", "overruns"},
		{"TLV overruns the header", "02 0002 61", "overruns"},
		{"unknown TLV overruns the header", "e0 ffff 61", "overruns"},
		{"second TLV overruns the header", "04 0000 02 0001", "overruns"},
		{"two authorities", "02 0001 61 02 0001 62", "twice"},
		{"long authority", "02 0100" + strings.Repeat("61", 256), "wrong length"},
		{"long unique id", "05 0081" + strings.Repeat("61", 129), "wrong length"},
		{"wrong checksum", "03 0004 0f3fe75e", "CRC32C"},
		{"checksum over another header", "03 0004 0f3fe75f 02 0001 61", "CRC32C"},
		{"short checksum", "03 0003 0f3fe7", "wrong length"},
		{"long checksum", "03 0005 0f3fe75f00", "wrong length"},
		{"short TLS", "20 0004 01 000000", "wrong length"},
		{"TLV overruns TLS", "20 0009 01 00000000 21 0002 61", "overruns"},
		{"TLV of one byte in TLS", "20 0006 01 00000000 21", "overruns"},
		{"two common names", "20 000d 05 00000000 22 0001 61 22 0001 62", "twice"},
		{"two TLS", "20 0005 01 00000000 20 0005 00 00000000", "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := withTLVs(t, tt.tlvs)
			h, n, err := proxy.Parse(p)
			if n != 0 || !reflect.DeepEqual(h, proxy.Header{}) || err == nil ||
				!strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %d, %v, want an error with %q", h, n, err, tt.want)
			}
			if _, n, err := proxy.Parse(p[:len(p)-1]); n != 0 || err != nil {
				t.Errorf("one byte less: got %d, %v, want nothing yet", n, err)
			}
		})
	}
}

func TestLooksLike(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want bool
	}{
		{"nothing", "", false},
		{"a header's first byte, or POST's", "P", true},
		{"POST", "PO", false},
		{"PROPFIND", "PROPFIND / HTTP/1.1\r\n", false},
		{"a method of that name", "PROXY / HTTP/1.1\r\n", false},
		{"an invalid header all the same", "PROXY TCP4 rubbish", true},
		{"v1 unknown", "PROXY UNKNOWN\r\n", true},
		{"v2 of another version", "\r\n\r\n\x00\r\nQUIT\n\x31", true},
		{"two empty lines", "\r\n\r\n", true},
		{"three empty lines", "\r\n\r\n\r\n", false},
		{"ClientHello", "\x16\x03\x01", false},
	}
	for _, tt := range tests {
		if got := proxy.LooksLike([]byte(tt.in)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
