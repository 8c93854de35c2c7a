package proxy_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"reprise/backend/proxy"
)

// full is a header in which everything is set.
func full() proxy.Header {
	return with(func(h *proxy.Header) {
		h.ALPN, h.Authority, h.UniqueID = "h2", "www.example.test", []byte("0123456789abcdef")
		h.TLS = &proxy.TLS{
			Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256",
			ClientCert: true, Verified: true, CommonName: "client1",
			Resumed: true, Owner: [4]byte{0xde, 0xad, 0xbe, 0xef},
		}
	})
}

func TestAppendV1(t *testing.T) {
	mixed := addrs("203.0.113.7:1", "[2001:db8::1]:2")
	tests := []struct {
		name string
		h    proxy.Header
		want string
	}{
		{"IPv4", addrs("203.0.113.7:54321", "192.0.2.1:443"), "PROXY TCP4 203.0.113.7 192.0.2.1 54321 443\r\n"},
		{"IPv6", addrs("[2001:db8::7]:0", "[::1]:65535"), "PROXY TCP6 2001:db8::7 ::1 0 65535\r\n"},
		{"IPv4 to IPv6", mixed, "PROXY TCP6 ::ffff:cb00:7107 2001:db8::1 1 2\r\n"},
		{"mapped", addrs("[::ffff:203.0.113.7]:1", "192.0.2.1:2"), "PROXY TCP4 203.0.113.7 192.0.2.1 1 2\r\n"},
		{"zone", addrs("[fe80::1%eth0]:1", "[::1]:2"), "PROXY TCP6 fe80::1 ::1 1 2\r\n"},
		{"local", proxy.Header{Local: true, Source: mixed.Source, Destination: mixed.Destination}, "PROXY UNKNOWN\r\n"},
		{"no addresses", proxy.Header{}, "PROXY UNKNOWN\r\n"},
		{"one address", proxy.Header{Source: mixed.Source}, "PROXY UNKNOWN\r\n"},
	}
	for _, tt := range tests {
		if got := string(proxy.AppendV1([]byte("before"), &tt.h)); got != "before"+tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, "before"+tt.want)
		}
	}
}

func TestAppendV2(t *testing.T) {
	v4 := addrs("203.0.113.7:54321", "192.0.2.1:443")
	tls := func(tls proxy.TLS) proxy.Header { return with(func(h *proxy.Header) { h.TLS = &tls }) }
	tests := []struct {
		name string
		h    proxy.Header
		want string
	}{
		{"IPv4", v4, tcp4 + "000c" + addrs4},
		{"IPv6", addrs("[2001:db8::7]:54321", "[2001:db8::1]:443"), signature + "21 21 0024" + addrs6},
		{"IPv4 to IPv6", addrs("203.0.113.7:54321", "[2001:db8::1]:443"), signature + "21 21 0024" + mapped},
		{"local", proxy.Header{Local: true, Source: v4.Source, Destination: v4.Destination, ALPN: "h2"}, local + "0000"},
		{"no addresses", proxy.Header{TLS: &proxy.TLS{}}, local + "0000"},
		{"full handshake", tls(proxy.TLS{ClientCert: true, Verified: true}), tcp4 + "0014" + addrs4 + "20 0005 07 00000000"},
		{"resumed", tls(proxy.TLS{ClientCert: true, Verified: true, Resumed: true}), tcp4 + "001d" + addrs4 + "20 0005 05 00000000 e7 0006 01 01 00000000"},
		{"no certificate", tls(proxy.TLS{Verified: true, Owner: [4]byte{1, 2, 3, 4}}), tcp4 + "001d" + addrs4 + "20 0005 01 00000001 e7 0006 01 00 01020304"},
		{"all", full(), tcp4 + "0075" + addrs4 +
			"01 0002 6832 02 0010 7777772e6578616d706c652e74657374 05 0010 30313233343536373839616263646566" +
			"20 0032 05 00000000 21 0007 544c5376312e33 22 0007 636c69656e7431 23 0016 544c535f4145535f3132385f47434d5f534841323536" +
			"e7 0006 01 01 deadbeef"},
		{"values too long", with(func(h *proxy.Header) {
			h.ALPN, h.Authority, h.UniqueID = strings.Repeat("a", 256), strings.Repeat("a", 256), make([]byte, 129)
			h.TLS = &proxy.TLS{
				Version: strings.Repeat("a", 256), Cipher: strings.Repeat("a", 256),
				CommonName: strings.Repeat("a", 65536),
			}
		}), tcp4 + "0014" + addrs4 + "20 0005 01 00000001"},
	}
	for _, tt := range tests {
		want := append([]byte("before"), wire(t, tt.want)...)
		if got := proxy.AppendV2([]byte("before"), &tt.h); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", tt.name, got, want)
		}
	}
}

// The longest header that can be written is accepted.
func TestAppendLongest(t *testing.T) {
	long := strings.Repeat("a", 255)
	h := addrs("[2001:db8::7]:54321", "[2001:db8::1]:443")
	h.ALPN, h.Authority, h.UniqueID = long, long, bytes.Repeat([]byte("a"), 128)
	h.TLS = &proxy.TLS{Version: long, Cipher: long, CommonName: long, Resumed: true}
	p := proxy.AppendV2(nil, &h)
	if got, n, err := proxy.Parse(p); err != nil || n != len(p) || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, %d, %v, want %+v, %d", got, n, err, h, len(p))
	}
}

func TestNoAllocation(t *testing.T) {
	h := full()
	buf := make([]byte, 0, 512)
	ipv6 := addrs("203.0.113.7:1", "[2001:db8::1]:2")
	allocs := testing.AllocsPerRun(100, func() {
		buf = proxy.AppendV1(buf[:0], &h)
		buf = proxy.AppendV1(buf[:0], &ipv6)
		buf = proxy.AppendV2(buf[:0], &h)
		proxy.LooksLike(buf)
	})
	if allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}

func BenchmarkAppend(b *testing.B) {
	h := full()
	for name, appendTo := range map[string]func([]byte, *proxy.Header) []byte{
		"version=1": proxy.AppendV1,
		"version=2": proxy.AppendV2,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = appendTo(buf[:0], &h)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	h, plain := full(), proxy.Header{
		Source:      netip.MustParseAddrPort("203.0.113.7:1"),
		Destination: netip.MustParseAddrPort("192.0.2.1:2"),
	}
	for name, p := range map[string][]byte{
		"version=1":           proxy.AppendV1(nil, &h),
		"version=2/tlvs=none": proxy.AppendV2(nil, &plain),
		"version=2/tlvs=all":  proxy.AppendV2(nil, &h),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, n, err := proxy.Parse(p); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
