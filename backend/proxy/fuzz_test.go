package proxy_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"

	"reprise/backend/proxy"
)

// FuzzParse: every proper prefix of an accepted header is incomplete, bytes behind it change
// nothing, and its contents can be written again.
func FuzzParse(f *testing.F) {
	for _, a := range accepted(f) {
		f.Add(a.in)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, err := proxy.Parse(p)
		if n < 0 || n > len(p) || n > 4096 || err != nil && n != 0 {
			t.Fatalf("got %d of %d bytes, %v", n, len(p), err)
		}
		if n == 0 {
			if !reflect.DeepEqual(h, proxy.Header{}) {
				t.Fatalf("not accepted, yet half valid: %+v", h)
			}
			return
		}
		if !proxy.LooksLike(p) {
			t.Fatal("accepted, but does not look like a header")
		}
		for i := range n {
			if _, n, err := proxy.Parse(p[:i]); n != 0 || err != nil {
				t.Fatalf("the first %d bytes: got %d, %v", i, n, err)
			}
		}
		if again, m, err := proxy.Parse(p[:n]); m != n || err != nil || !reflect.DeepEqual(again, h) {
			t.Fatalf("without what follows: got %+v, %d, %v, want %+v, %d", again, m, err, h, n)
		}
		said := proxy.AppendV2(nil, &h)
		if h.Local {
			h = proxy.Header{Local: true}
		}
		if again, m, err := proxy.Parse(said); m != len(said) || err != nil ||
			!reflect.DeepEqual(again, h) {
			t.Fatalf("said again: got %+v, %d, %v, want %+v, %d", again, m, err, h, len(said))
		}
	})
}

// FuzzAppend: any header reads back unchanged, in both versions.
func FuzzAppend(f *testing.F) {
	f.Add([]byte{203, 0, 113, 7}, []byte{192, 0, 2, 1}, uint16(1), uint16(2), "h2", "www.example.test", []byte("id"), byte(15))
	f.Add(make([]byte, 16), []byte{192, 0, 2, 1}, uint16(1), uint16(2), "", "", []byte(nil), byte(0))
	f.Add([]byte(nil), []byte{1}, uint16(1), uint16(2), "", "a", []byte(nil), byte(4))
	f.Fuzz(func(t *testing.T, source, destination []byte, sourcePort, destinationPort uint16, alpn,
		name string, id []byte, flags byte,
	) {
		if len(alpn) > 255 || len(name) > 255 || len(id) > 128 {
			return
		}
		addr := func(b []byte, port uint16) netip.AddrPort {
			if a, ok := netip.AddrFromSlice(b); ok {
				return netip.AddrPortFrom(a.Unmap(), port)
			}
			return netip.AddrPort{}
		}
		h := proxy.Header{
			Source:      addr(source, sourcePort),
			Destination: addr(destination, destinationPort), ALPN: alpn, Authority: name,
		}
		if len(id) > 0 {
			h.UniqueID = id
		}
		if flags&1 != 0 {
			h.TLS = &proxy.TLS{Version: alpn, Cipher: name, CommonName: name, Resumed: flags&2 != 0}
			h.TLS.ClientCert = flags&4 != 0
			h.TLS.Verified = flags&12 == 12
			copy(h.TLS.Owner[:], id)
		}
		v1, v2 := proxy.AppendV1(nil, &h), proxy.AppendV2(nil, &h)
		short := proxy.Header{Source: h.Source, Destination: h.Destination}
		if !h.Source.IsValid() || !h.Destination.IsValid() {
			short = proxy.Header{Local: true}
			h = short
		}
		for _, tt := range []struct {
			wire []byte
			want proxy.Header
		}{{v1, short}, {v2, h}} {
			got, n, err := proxy.Parse(append(bytes.Clone(tt.wire), "after"...))
			if err != nil || n != len(tt.wire) || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("%q: got %+v, %d, %v, want %+v, %d", tt.wire, got, n, err, tt.want, len(tt.wire))
			}
		}
	})
}
