package wire

import (
	"bytes"
	"crypto/tls"
	"testing"
	"unsafe"
)

// within reports whether a slice lies inside the message and cannot be extended beyond itself.
func within(msg, b []byte) bool {
	if cap(b) == 0 {
		return true
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(msg)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return at >= start && at+uintptr(cap(b)) <= start+uintptr(len(msg))
}

// configurations of crypto/tls's client that send different hellos.
func configurations() []*tls.Config {
	return []*tls.Config{
		{ServerName: "www.example.com"},
		{InsecureSkipVerify: true},
		{ServerName: "a.example", MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		{ServerName: "a.example", MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}},
		{ServerName: "a.example", CurvePreferences: []tls.CurveID{tls.CurveP384, tls.X25519}},
		{ServerName: "a.example", SessionTicketsDisabled: true, MinVersion: tls.VersionTLS10},
	}
}

func TestHellosOfStandardLibrary(t *testing.T) {
	for i, c := range configurations() {
		var h ClientHello
		if f := h.Parse(clientHello(t, c)); f != None {
			t.Errorf("configuration %d: Parse: %v", i, f)
			continue
		}
		if f := h.Check12(); f != None {
			t.Errorf("configuration %d: Check12: %v", i, f)
		}
		if h.Offers(VersionTLS13) {
			if f := h.Check13(); f != None {
				t.Errorf("configuration %d: Check13: %v", i, f)
			}
		}
		if got := string(h.ServerName); got != c.ServerName {
			t.Errorf("configuration %d: ServerName: got %q, want %q", i, got, c.ServerName)
		}
		for _, p := range c.NextProtos {
			if !h.HasProtocol(p) {
				t.Errorf("configuration %d: %q is not offered", i, p)
			}
		}
	}
}

func FuzzClientHello(f *testing.F) {
	for _, msg := range hellos(f) {
		f.Add(msg)
	}
	for _, c := range configurations() {
		f.Add(clientHello(f, c))
	}
	f.Add(fullDraft().build())
	f.Fuzz(checkHello)
}

// FuzzExtensions gets deeper than FuzzClientHello, for the lengths around the block
// of extensions are right.
func FuzzExtensions(f *testing.F) {
	for _, e := range fullDraft().exts {
		f.Add(e)
	}
	f.Add(bytes.Join(fullDraft().exts, nil))
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) <= 0xffff {
			checkHello(t, (&draft{
				suites: u16(0x1301), compressions: []byte{0}, exts: [][]byte{block},
			}).build())
		}
	})
}

// checkHello checks the guarantees about a hello that has parsed.
func checkHello(t *testing.T, msg []byte) {
	var h ClientHello
	if h.Parse(msg) != None {
		return
	}
	for i, b := range [][]byte{
		h.Raw, h.Random, h.SessionID, h.Suites, h.Compressions, h.ServerName, h.Groups, h.SigAlgs,
		h.SigAlgsCert, h.PointFormats, h.ALPN, h.Versions, h.PSKModes, h.KeyShares, h.Cookie,
		h.Ticket, h.RenegotiationInfo, h.Identities, h.Binders,
	} {
		if i > 0 && !within(msg, b) {
			t.Fatalf("slice %d is not in the message", i)
		}
	}
	if len(h.Random) != RandomLen || len(h.SessionID) > MaxSessionIDLen || !isList16(h.Suites) {
		t.Fatalf("a fixed field is wrong in %+v", h)
	}
	h.Check13()
	h.Check12()
	checkShares(t, &h)
	checkPSKs(t, &h)
}

// checkShares checks the guarantees about key shares in the simplest way.
func checkShares(t *testing.T, h *ClientHello) {
	seen := make(map[uint16]bool)
	for r := Reader(h.KeyShares); !r.Empty(); {
		group, share, ok := nextKeyShare(&r)
		if !ok || len(share) == 0 || seen[group] {
			t.Fatalf("a key share of %#x is wrong in %x", group, h.KeyShares)
		}
		if h.HasGroups && !h.HasGroup(group) {
			t.Fatalf("a key share of %#x is not in %x", group, h.Groups)
		}
		if got, ok := h.KeyShare(group); !ok || !bytes.Equal(got, share) {
			t.Fatalf("KeyShare(%#x): got %x, %v, want %x", group, got, ok, share)
		}
		seen[group] = true
	}
}

// checkPSKs checks that identities and binders come in pairs, and end the message.
func checkPSKs(t *testing.T, h *ClientHello) {
	if !h.HasPSK {
		return
	}
	p := h.PSKs()
	n := 0
	for ; ; n++ {
		id, _, binder, ok := p.Next()
		if !ok {
			break
		}
		if len(id) == 0 {
			t.Fatalf("PSK %d: got %x, %x", n, id, binder)
		}
	}
	if n == 0 || len(p.identities) > 0 || len(p.binders) > 0 {
		t.Fatalf("%d PSKs leave %x and %x", n, p.identities, p.binders)
	}
	if rest := h.Raw[h.BindersAt:]; !bytes.Equal(rest, v16(h.Binders)) {
		t.Fatalf("BindersAt: %x follows", rest)
	}
}

func FuzzCertificate13(f *testing.F) {
	chain, err := AppendCertificate13(nil, [][]byte{[]byte("leaf"), []byte("issuer")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chain)
	f.Add(message(TypeCertificate, v8(), v24()))
	f.Add(message(TypeCertificate, v8(), v24(v24([]byte("a")), v16(ext(5, []byte("b"))))))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var c Chain
		if c.Parse13(msg) != None {
			return
		}
		checkCerts(t, msg, c.Certs())
		if again, err := AppendCertificate13(nil, c.Certs()); err != nil || !bytes.Equal(again, msg) {
			t.Fatalf("got %x, %v, want %x", again, err, msg)
		}
	})
}

func FuzzCertificate12(f *testing.F) {
	chain, err := AppendCertificate12(nil, [][]byte{[]byte("leaf"), []byte("issuer")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chain)
	f.Add(message(TypeCertificate, v24()))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var c Chain
		if c.Parse12(msg) != None {
			return
		}
		checkCerts(t, msg, c.Certs())
		if again, err := AppendCertificate12(nil, c.Certs()); err != nil || !bytes.Equal(again, msg) {
			t.Fatalf("got %x, %v, want %x", again, err, msg)
		}
	})
}

func checkCerts(t *testing.T, msg []byte, certs [][]byte) {
	for _, c := range certs {
		if len(c) == 0 || !within(msg, c) {
			t.Fatalf("%x is not in the message", c)
		}
	}
}

func FuzzCertificateVerify(f *testing.F) {
	f.Add(AppendCertificateVerify(nil, 0x0804, []byte("signature")))
	f.Fuzz(func(t *testing.T, msg []byte) {
		scheme, signature, fault := ParseCertificateVerify(msg)
		if fault != None {
			return
		}
		if !within(msg, signature) {
			t.Fatal("the signature is not in the message")
		}
		if again := AppendCertificateVerify(nil, scheme, signature); !bytes.Equal(again, msg) {
			t.Fatalf("got %x, want %x", again, msg)
		}
	})
}

func FuzzClientKeyExchange(f *testing.F) {
	f.Add(message(TypeClientKeyExchange, v8([]byte("key"))))
	f.Fuzz(func(t *testing.T, msg []byte) {
		public, fault := ParseClientKeyExchange(msg)
		if fault != None {
			return
		}
		if !within(msg, public) {
			t.Fatal("the key is not in the message")
		}
		if again := message(TypeClientKeyExchange, v8(public)); !bytes.Equal(again, msg) {
			t.Fatalf("got %x, want %x", again, msg)
		}
	})
}

func FuzzFinished(f *testing.F) {
	f.Add(AppendFinished(nil, filled(32, 1)), 32)
	f.Add(AppendFinished(nil, filled(12, 1)), 12)
	f.Fuzz(func(t *testing.T, msg []byte, n int) {
		verify, fault := ParseFinished(msg, n)
		if fault != None {
			return
		}
		if len(verify) != n || !bytes.Equal(AppendFinished(nil, verify), msg) {
			t.Fatalf("got %x of %x", verify, msg)
		}
	})
}

func FuzzKeyUpdate(f *testing.F) {
	f.Add(AppendKeyUpdate(nil, true))
	f.Add(AppendKeyUpdate(nil, false))
	f.Fuzz(func(t *testing.T, msg []byte) {
		requested, fault := ParseKeyUpdate(msg)
		if fault == None && !bytes.Equal(AppendKeyUpdate(nil, requested), msg) {
			t.Fatalf("got %v of %x", requested, msg)
		}
	})
}
