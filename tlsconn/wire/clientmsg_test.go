package wire

import (
	"bytes"
	"testing"
)

func TestChain13(t *testing.T) {
	cert := func(content string, exts ...[]byte) []byte {
		return append(v24([]byte(content)), v16(exts...)...)
	}
	var tooMany []byte
	for range MaxChainLen + 1 {
		tooMany = append(tooMany, cert("a")...)
	}
	for _, test := range []struct {
		name  string
		msg   []byte
		want  Fault
		certs []string
	}{
		{"none", message(TypeCertificate, v8(), v24()), None, nil},
		{"one", message(TypeCertificate, v8(), v24(cert("a"))), None, []string{"a"}},
		{"two", message(TypeCertificate, v8(), v24(cert("a"), cert("b"))), None, []string{"a", "b"}},
		{"most", message(TypeCertificate, v8(), v24(tooMany[6:])), None, nil},
		{"too many", message(TypeCertificate, v8(), v24(tooMany)), Illegal, nil},
		{"of no bytes", message(TypeCertificate, v8(), v24(cert("a"), cert(""))), Decode, nil},
		{"with a context", message(TypeCertificate, v8([]byte{1}), v24(cert("a"))), Decode, nil},
		{"with an extension", message(TypeCertificate, v8(), v24(cert("a", ext(5)))), Unsupported, nil},
		{"with half an extension", message(TypeCertificate, v8(), v24(cert("a", u16(5)))), Decode, nil},
		{"with one twice", message(TypeCertificate, v8(), v24(cert("a", ext(5), ext(5)))), Decode, nil},
		{"without extensions", message(TypeCertificate, v8(), v24(v24([]byte("a")))), Decode, nil},
		{"too long a list", message(TypeCertificate, v8(), v24(cert("a"), []byte{0})), Decode, nil},
		{"bytes left", message(TypeCertificate, v8(), v24(cert("a")), []byte{0}), Decode, nil},
		{"in the form of TLS 1.2", message(TypeCertificate, v24(v24([]byte("a")))), Decode, nil},
		{"empty", message(TypeCertificate), Decode, nil},
		{"another type", message(TypeFinished, v8(), v24()), Decode, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c Chain
			testChain(t, c.Parse13(test.msg), test.want, c.Certs(), test.certs)
		})
	}
}

func TestChain12(t *testing.T) {
	a, b := v24([]byte("a")), v24([]byte("b"))
	for _, test := range []struct {
		name  string
		msg   []byte
		want  Fault
		certs []string
	}{
		{"none", message(TypeCertificate, v24()), None, nil},
		{"one", message(TypeCertificate, v24(a)), None, []string{"a"}},
		{"two", message(TypeCertificate, v24(a, b)), None, []string{"a", "b"}},
		{"too many", message(TypeCertificate, v24(bytes.Repeat(a, MaxChainLen+1))), Illegal, nil},
		{"of no bytes", message(TypeCertificate, v24(a, v24())), Decode, nil},
		{"bytes left in the list", message(TypeCertificate, v24(a, []byte{0, 0})), Decode, nil},
		{"bytes left", message(TypeCertificate, v24(a), []byte{0}), Decode, nil},
		{"empty", message(TypeCertificate), Decode, nil},
		{"header longer than the message", message(TypeCertificate, v24(a))[:9], Decode, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c Chain
			testChain(t, c.Parse12(test.msg), test.want, c.Certs(), test.certs)
		})
	}
}

func testChain(t *testing.T, got, want Fault, certs [][]byte, wantCerts []string) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if wantCerts == nil {
		return
	}
	if len(certs) != len(wantCerts) {
		t.Fatalf("got %d certificates, want %d", len(certs), len(wantCerts))
	}
	for i, c := range certs {
		if string(c) != wantCerts[i] {
			t.Errorf("certificate %d: got %q, want %q", i, c, wantCerts[i])
		}
	}
}

func TestParseCertificateVerify(t *testing.T) {
	signature := v16([]byte("sig"))
	for _, test := range []struct {
		name string
		msg  []byte
		want Fault
	}{
		{"whole", message(TypeCertificateVerify, u16(0x0804), signature), None},
		{"bytes left", message(TypeCertificateVerify, u16(0x0804), signature, []byte{0}), Decode},
		{"half a signature", message(TypeCertificateVerify, u16(0x0804, 4), []byte("sig")), Decode},
		{"half a scheme", message(TypeCertificateVerify, []byte{8}), Decode},
		{"empty", message(TypeCertificateVerify), Decode},
		{"another type", message(TypeFinished, u16(0x0804), signature), Decode},
	} {
		t.Run(test.name, func(t *testing.T) {
			scheme, signature, f := ParseCertificateVerify(test.msg)
			if f != test.want {
				t.Fatalf("got %v, want %v", f, test.want)
			}
			if f == None && (scheme != 0x0804 || string(signature) != "sig") {
				t.Errorf("got %#x, %q", scheme, signature)
			}
		})
	}
}

func TestParseClientKeyExchange(t *testing.T) {
	for _, test := range []struct {
		name string
		msg  []byte
		want Fault
	}{
		{"whole", message(TypeClientKeyExchange, v8([]byte("key"))), None},
		{"bytes left", message(TypeClientKeyExchange, v8([]byte("key")), []byte{0}), Decode},
		{"half a key", message(TypeClientKeyExchange, []byte{4}, []byte("key")), Decode},
		{"key of no bytes", message(TypeClientKeyExchange, v8()), Decode},
		{"empty", message(TypeClientKeyExchange), Decode},
		{"another type", message(TypeFinished, v8([]byte("key"))), Decode},
	} {
		t.Run(test.name, func(t *testing.T) {
			public, f := ParseClientKeyExchange(test.msg)
			if f != test.want {
				t.Fatalf("got %v, want %v", f, test.want)
			}
			if f == None && string(public) != "key" {
				t.Errorf("got %q", public)
			}
		})
	}
}

func TestParseFinished(t *testing.T) {
	for _, test := range []struct {
		name string
		msg  []byte
		n    int
		want Fault
	}{
		{"TLS 1.2", message(TypeFinished, filled(12, 1)), Finished12Len, None},
		{"TLS 1.3", message(TypeFinished, filled(48, 1)), 48, None},
		{"too short", message(TypeFinished, filled(31, 1)), 32, Decode},
		{"too long", message(TypeFinished, filled(33, 1)), 32, Decode},
		{"empty", message(TypeFinished), 32, Decode},
		{"another type", message(TypeKeyUpdate, filled(32, 1)), 32, Decode},
	} {
		t.Run(test.name, func(t *testing.T) {
			verify, f := ParseFinished(test.msg, test.n)
			if f != test.want {
				t.Fatalf("got %v, want %v", f, test.want)
			}
			if f == None && !bytes.Equal(verify, filled(test.n, 1)) {
				t.Errorf("got %x", verify)
			}
		})
	}
}

func TestParseKeyUpdate(t *testing.T) {
	for _, test := range []struct {
		name      string
		msg       []byte
		requested bool
		want      Fault
	}{
		{"not requested", message(TypeKeyUpdate, []byte{0}), false, None},
		{"requested", message(TypeKeyUpdate, []byte{1}), true, None},
		{"unknown", message(TypeKeyUpdate, []byte{2}), false, Illegal},
		{"too long", message(TypeKeyUpdate, []byte{0, 0}), false, Decode},
		{"empty", message(TypeKeyUpdate), false, Decode},
	} {
		t.Run(test.name, func(t *testing.T) {
			requested, f := ParseKeyUpdate(test.msg)
			if requested != test.requested || f != test.want {
				t.Errorf("got %v, %v, want %v, %v", requested, f, test.requested, test.want)
			}
		})
	}
}

func TestParseEmpty(t *testing.T) {
	if f := ParseEmpty(message(TypeEndOfEarlyData), TypeEndOfEarlyData); f != None {
		t.Errorf("got %v", f)
	}
	if f := ParseEmpty(message(TypeEndOfEarlyData, []byte{0}), TypeEndOfEarlyData); f != Decode {
		t.Errorf("with content: got %v, want %v", f, Decode)
	}
}

func TestHeader(t *testing.T) {
	for n := range HeaderLen {
		if _, _, ok := Header(make([]byte, n)); ok {
			t.Errorf("%d bytes are a header", n)
		}
	}
	typ, n, ok := Header([]byte{TypeFinished, 1, 2, 3, 99})
	if typ != TypeFinished || n != 4+0x010203 || !ok {
		t.Errorf("got %d, %#x, %v", typ, n, ok)
	}
}

func TestFaultsAreNamedAfterAlerts(t *testing.T) {
	seen := make(map[string]bool)
	for f := None; f <= Unrecognized; f++ {
		if name := f.String(); seen[name] || name == "unknown fault" {
			t.Errorf("fault %d is called %q", f, name)
		} else {
			seen[name] = true
		}
	}
	if got := Fault(200).String(); got != "unknown fault" {
		t.Errorf("got %q", got)
	}
}
