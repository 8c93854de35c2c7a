package primitive

import (
	"bytes"
	"crypto/tls"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestSuites(t *testing.T) {
	all := slices.Concat(Suites13, Suites12)
	if len(all) != 9 {
		t.Fatalf("%d suites, want 9", len(all))
	}
	for _, s := range all {
		if SuiteByID(s.ID) != s {
			t.Errorf("SuiteByID(%#x) is not %s", s.ID, s.Name)
		}
		// crypto/tls leaves the hash out of two names.
		if name := tls.CipherSuiteName(s.ID); name != s.Name && name+"_SHA256" != s.Name {
			t.Errorf("%#x is %s, crypto/tls calls it %s", s.ID, s.Name, name)
		}
		for _, part := range []struct {
			text string
			want bool
		}{
			{"_AES_128_GCM_", s.AEAD == AES128GCM},
			{"_AES_256_GCM_", s.AEAD == AES256GCM},
			{"_CHACHA20_POLY1305_", s.AEAD == ChaCha20Poly1305},
			{"_SHA384", s.Hash == SHA384},
			{"_SHA256", s.Hash == SHA256},
			{"_ECDSA_", s.ECDSA},
			{"_RSA_", !s.ECDSA && !s.TLS13},
			{"_ECDHE_", !s.TLS13},
		} {
			if strings.Contains(s.Name, part.text) != part.want {
				t.Errorf("%s: %s: %v", s.Name, part.text, !part.want)
			}
		}
	}
	for id := range 1 << 16 {
		if s := SuiteByID(uint16(id)); s != nil && !slices.Contains(all, s) {
			t.Errorf("%s is in no list", s.Name)
		}
	}
}

func TestSuitesArePreferredByProcessor(t *testing.T) {
	for _, tc := range []struct {
		hasAES bool
		last   AEAD
		first  AEAD
	}{
		{true, ChaCha20Poly1305, AES128GCM},
		{false, AES256GCM, ChaCha20Poly1305},
	} {
		tls13, tls12 := preferred(tc.hasAES)
		for _, list := range [][]*Suite{tls13, tls12} {
			if got := list[0].AEAD; got != tc.first {
				t.Errorf("AES %v: first %v, want %v", tc.hasAES, got, tc.first)
			}
			if got := list[len(list)-1].AEAD; got != tc.last {
				t.Errorf("AES %v: last %v, want %v", tc.hasAES, got, tc.last)
			}
		}
		if len(tls13) != 3 || len(tls12) != 6 {
			t.Errorf("AES %v: %d and %d suites, want 3 and 6", tc.hasAES, len(tls13), len(tls12))
		}
	}
}

func TestNamesAreOpenSSLs(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl to ask")
	}
	out, err := exec.Command("openssl", "ciphers", "-stdname", "ALL").Output()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 2 { // NAME - NAME ...
			names[f[0]] = f[2]
		}
	}
	for _, s := range slices.Concat(Suites13, Suites12) {
		if got := names[s.Name]; got != s.OpenSSLName {
			t.Errorf("%s is %q, openssl calls it %q", s.Name, s.OpenSSLName, got)
		}
	}
}

func TestAEADs(t *testing.T) {
	for _, a := range []AEAD{AES128GCM, AES256GCM, ChaCha20Poly1305} {
		aead := a.New(make([]byte, a.KeyLen()))
		if aead.NonceSize() != NonceLen || aead.Overhead() != TagLen || a.KeyLen() > MaxKeyLen {
			t.Errorf("%d: nonce of %d, tag of %d, key of %d bytes",
				a, aead.NonceSize(), aead.Overhead(), a.KeyLen())
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d: a key of the wrong length is taken", a)
				}
			}()
			a.New(make([]byte, 24)) // good for AES, but not for these
		}()
	}
}

func TestHashes(t *testing.T) {
	for _, tc := range []struct {
		hash Hash
		want []byte // of "abc": FIPS 180-2, Appendices B and C
	}{
		{SHA256, unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")},
		{SHA384, unhex("cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed" +
			"8086072ba1e7cc2358baeca134c825a7")},
	} {
		h := tc.hash.New()
		h.Write([]byte("abc"))
		if got := h.Sum(nil); !bytes.Equal(got, tc.want) || len(got) != tc.hash.Len() {
			t.Errorf("%x (%d), want %x", got, tc.hash.Len(), tc.want)
		}
	}
}
