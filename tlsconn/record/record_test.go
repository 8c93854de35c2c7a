package record

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"reprise/tlsconn/primitive"
)

var allSuites = slices.Concat(primitive.Suites13, primitive.Suites12)

// newPair returns both ends of one direction.
func newPair(suite *primitive.Suite) (out, in *Half) {
	key := bytes.Repeat([]byte{0x4b}, suite.AEAD.KeyLen())
	iv := bytes.Repeat([]byte{0x17}, IVLen(suite))
	out, in = new(Half), new(Half)
	out.Set(suite, key, iv)
	in.Set(suite, key, iv)
	return out, in
}

func TestRoundTrip(t *testing.T) {
	for _, suite := range append([]*primitive.Suite{nil}, allSuites...) {
		name := "plaintext"
		out, in := new(Half), new(Half)
		if suite != nil {
			name = suite.OpenSSLName
			out, in = newPair(suite)
		}
		t.Run(name, func(t *testing.T) {
			var s Scratch
			for i, n := range []int{1, 2, 100, MaxPlain - 1, MaxPlain} {
				for _, inPlace := range []bool{true, false} {
					plain := bytes.Repeat([]byte{byte(n), 0}, n)[:n]
					sealed := out.Seal(&s, []byte("before"), Handshake, 0x0303, plain)
					record := sealed[len("before"):]
					if got, want := len(record), out.SealedLen(n); got != want {
						t.Fatalf("%d bytes: record of %d bytes, want %d", n, got, want)
					}
					var dst []byte
					if !inPlace {
						dst = make([]byte, 0, len(record))
					}
					typ, got, f := in.Open(&s, dst, record[:HeaderLen], record[HeaderLen:])
					if f != None || typ != Handshake || !bytes.Equal(got, plain) {
						t.Fatalf("%d bytes, in place %v: type %d, %v", n, inPlace, typ, f)
					}
					if i%2 == 0 {
						out.Rest()
						in.Rest()
					}
				}
			}
			if got, want := fmt.Sprint(out.Seq(), in.Seq()), "10 10"; suite != nil && got != want {
				t.Errorf("sequence numbers %s, want %s", got, want)
			}
		})
	}
}

// unhex decodes hexadecimal digits with spaces; the test's author wrote them.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// TestRFC8448 seals and opens the first record of application data of the client
// in RFC 8448, Section 3.
func TestRFC8448(t *testing.T) {
	key := unhex("17 42 2d da 59 6e d5 d9 ac d8 90 e3 c6 3f 50 51")
	iv := unhex("5b 78 92 3d ee 08 57 90 33 e5 23 d9")
	want := unhex(`17 03 03 00 43 a2 3f 70 54 b6 2c 94
		d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc ab 3f 2b
		98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62
		92 a2 97 70 14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4`)
	plain := make([]byte, 50)
	for i := range plain {
		plain[i] = byte(i)
	}
	var out, in Half
	var s Scratch
	out.Set(primitive.SuiteByID(0x1301), key, iv)
	in.Set(primitive.SuiteByID(0x1301), key, iv)
	got := out.Seal(&s, nil, ApplicationData, 0x0301, plain)
	if !bytes.Equal(got, want) {
		t.Errorf("Seal: %x, want %x", got, want)
	}
	typ, opened, f := in.Open(&s, nil, want[:HeaderLen], want[HeaderLen:])
	if typ != ApplicationData || !bytes.Equal(opened, plain) || f != None {
		t.Errorf("Open: %d %x %v, want %d %x", typ, opened, f, ApplicationData, plain)
	}
}

func TestPlaintextRecords(t *testing.T) {
	var h Half
	var s Scratch
	got := h.Seal(&s, []byte("x"), Alert, 0x0301, []byte{2, 40})
	if want := []byte{'x', 21, 3, 1, 0, 2, 2, 40}; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
	if h.Protected() || h.Seq() != 0 || h.Exhausted() {
		t.Error("plaintext has keys")
	}
}

// sealInner seals a TLSInnerPlaintext as it is: content, type and padding.
func sealInner(t *testing.T, h *Half, inner []byte) []byte {
	t.Helper()
	var s Scratch
	h.mixedNonce(&s)
	h.seq++
	n := len(inner) + primitive.TagLen
	header := []byte{byte(ApplicationData), 3, 3, byte(n >> 8), byte(n)}
	return h.state().Seal(header, s.nonce[:], inner, header)
}

// seal12Any seals any length in TLS 1.2.
func seal12Any(t *testing.T, h *Half, typ Type, plain []byte) []byte {
	t.Helper()
	var s Scratch
	return h.seal12(&s, nil, typ, plain, h.SealedLen(len(plain))-HeaderLen)
}

func TestTLS13InnerPlaintext(t *testing.T) {
	content := []byte("content")
	with := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	zeros := func(n int) []byte { return make([]byte, n) }
	for _, tc := range []struct {
		name  string
		inner []byte
		typ   Type
		want  []byte
		fault Fault
	}{
		{"no padding", with(content, []byte{22}), Handshake, content, None},
		{"padding of 1", with(content, []byte{23}, zeros(1)), ApplicationData, content, None},
		{"padding of 8", with(content, []byte{23}, zeros(8)), ApplicationData, content, None},
		{"padding of 15", with(content, []byte{21}, zeros(15)), Alert, content, None},
		{"longest padding", with(content, []byte{23}, zeros(MaxPlain-7)), ApplicationData, content, None},
		{"zeros in front", with(zeros(20), []byte{23}, zeros(9)), ApplicationData, zeros(20), None},
		{"empty data", []byte{23}, ApplicationData, nil, None},
		{"empty data, padded", with([]byte{23}, zeros(100)), ApplicationData, nil, None},
		{"full", with(zeros(MaxPlain), []byte{23}), ApplicationData, zeros(MaxPlain), None},
		{"content too long", with(zeros(MaxPlain+1), []byte{23}), 0, nil, Overflow},
		{"padding too long", with(content, []byte{23}, zeros(MaxPlain-6)), 0, nil, Overflow},
		{"empty", nil, 0, nil, Unexpected},
		{"zero", zeros(1), 0, nil, Unexpected},
		{"zeros", zeros(MaxPlain + 1), 0, nil, Unexpected},
		{"empty handshake", with([]byte{22}, zeros(3)), 0, nil, Unexpected},
		{"empty alert", []byte{21}, 0, nil, Unexpected},
		{"protected change_cipher_spec", []byte{1, 20}, 0, nil, Unexpected},
		{"heartbeat", with(content, []byte{24}), 0, nil, Unexpected},
		{"type 255", with(content, []byte{255}), 0, nil, Unexpected},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, suite := range primitive.Suites13 {
				out, in := newPair(suite)
				record := sealInner(t, out, tc.inner)
				var s Scratch
				typ, got, f := in.Open(&s, nil, record[:HeaderLen], record[HeaderLen:])
				if typ != tc.typ || !bytes.Equal(got, tc.want) || f != tc.fault {
					t.Errorf("type %d, %d bytes, %v; want %d, %d, %v",
						typ, len(got), f, tc.typ, len(tc.want), tc.fault)
				}
			}
		})
	}
}

func TestOpenFaults(t *testing.T) {
	var s Scratch
	open := func(h *Half, typ Type, n int) Fault {
		header := []byte{byte(typ), 3, 3, byte(n >> 8), byte(n)}
		_, plain, f := h.Open(&s, nil, header, make([]byte, n))
		if f != None && plain != nil {
			t.Errorf("%v and %d bytes", f, len(plain))
		}
		return f
	}
	for _, tc := range []struct {
		suite uint16
		name  string
		typ   Type
		n     int
		want  Fault
	}{
		{0, "full", Handshake, MaxPlain, None},
		{0, "too long", Handshake, MaxPlain + 1, Overflow},
		{0, "empty handshake", Handshake, 0, Unexpected},
		{0, "empty alert", Alert, 0, Unexpected},
		{0, "empty change_cipher_spec", ChangeCipherSpec, 0, Unexpected},
		{0, "unknown type", 24, 1, Unexpected},
		{0, "type 0", 0, 1, Unexpected},
		{0x1301, "longest", ApplicationData, Max13, BadMAC},
		{0x1301, "too long", ApplicationData, Max13 + 1, Overflow},
		{0x1301, "65535", ApplicationData, 65535, Overflow},
		{0x1301, "empty", ApplicationData, 0, BadMAC},
		{0x1301, "shorter than a tag", ApplicationData, 15, BadMAC},
		{0x1301, "a tag only", ApplicationData, 16, BadMAC},
		{0x1301, "not application data outside", Handshake, 100, Unexpected},
		{0x1303, "too long", ApplicationData, Max13 + 1, Overflow},
		{0xc02b, "longest", ApplicationData, Max12, BadMAC},
		{0xc02b, "too long", ApplicationData, Max12 + 1, Overflow},
		{0xc02b, "empty", ApplicationData, 0, BadMAC},
		{0xc02b, "shorter than nonce and tag", ApplicationData, 23, BadMAC},
		{0xc02b, "nonce and tag only", ApplicationData, 24, BadMAC},
		{0xcca9, "longest", ApplicationData, Max12, BadMAC},
		{0xcca9, "shorter than a tag", ApplicationData, 15, BadMAC},
		{0xcca9, "too long", ApplicationData, Max12 + 1, Overflow},
	} {
		t.Run(fmt.Sprintf("%#x %s", tc.suite, tc.name), func(t *testing.T) {
			h := new(Half)
			if tc.suite != 0 {
				_, h = newPair(primitive.SuiteByID(tc.suite))
			}
			if got := open(h, tc.typ, tc.n); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestTLS12Plaintext(t *testing.T) {
	for _, suite := range primitive.Suites12 {
		for _, tc := range []struct {
			name string
			typ  Type
			n    int
			want Fault
		}{
			{"full", ApplicationData, MaxPlain, None},
			{"too long", ApplicationData, MaxPlain + 1, Overflow},
			{"empty data", ApplicationData, 0, None}, // RFC 5246, Section 6.2.1 allows it
			{"empty handshake", Handshake, 0, Unexpected},
			{"empty alert", Alert, 0, Unexpected},
			{"unknown type", 24, 1, Unexpected},
		} {
			t.Run(suite.OpenSSLName+" "+tc.name, func(t *testing.T) {
				out, in := newPair(suite)
				record := seal12Any(t, out, tc.typ, make([]byte, tc.n))
				var s Scratch
				_, got, f := in.Open(&s, nil, record[:HeaderLen], record[HeaderLen:])
				if f != tc.want || f == None && len(got) != tc.n {
					t.Errorf("%d bytes, %v, want %d, %v", len(got), f, tc.n, tc.want)
				}
			})
		}
	}
}

func TestOrderMatters(t *testing.T) {
	for _, suite := range allSuites {
		t.Run(suite.OpenSSLName, func(t *testing.T) {
			var s Scratch
			out, in := newPair(suite)
			first := out.Seal(&s, nil, ApplicationData, 0, []byte("first"))
			second := out.Seal(&s, nil, ApplicationData, 0, []byte("second"))
			for _, tc := range []struct {
				name    string
				records [][]byte
				want    Fault
			}{
				{"in order", [][]byte{first, second}, None},
				{"the other first", [][]byte{second}, BadMAC},
				{"twice", [][]byte{first, first}, BadMAC},
			} {
				*in = Half{}
				in.Set(suite, out.key[:suite.AEAD.KeyLen()], out.iv[:IVLen(suite)])
				f := None
				for _, record := range tc.records {
					record = slices.Clone(record)
					_, _, f = in.Open(&s, nil, record[:HeaderLen], record[HeaderLen:])
				}
				if f != tc.want {
					t.Errorf("%s: %v, want %v", tc.name, f, tc.want)
				}
			}
		})
	}
}

// TestBadRecordsCanBeSkipped is what a server does with early data that it has
// refused (RFC 8446, Section 4.2.10).
func TestBadRecordsCanBeSkipped(t *testing.T) {
	for _, suite := range primitive.Suites13 {
		var s Scratch
		out, in := newPair(suite)
		early := new(Half)
		otherKey := bytes.Repeat([]byte{0xea}, suite.AEAD.KeyLen())
		early.Set(suite, otherKey, make([]byte, IVLen(suite)))
		for _, dst := range [][]byte{nil, make([]byte, 0, 100)} {
			for range 3 {
				record := early.Seal(&s, nil, ApplicationData, 0, []byte("early"))
				if _, _, f := in.Open(&s, dst, record[:HeaderLen], record[HeaderLen:]); f != BadMAC {
					t.Fatalf("%s: %v, want %v", suite.Name, f, BadMAC)
				}
			}
			record := out.Seal(&s, nil, Handshake, 0, []byte("finished"))
			_, plain, f := in.Open(&s, dst, record[:HeaderLen], record[HeaderLen:])
			if string(plain) != "finished" {
				t.Errorf("%s: %q, %v", suite.Name, plain, f)
			}
		}
	}
}

// TestScratchIsShared has two connections take turns with one scratch.
func TestScratchIsShared(t *testing.T) {
	var s Scratch
	for _, a := range allSuites {
		for _, b := range allSuites {
			outA, inA := newPair(a)
			outB, inB := newPair(b)
			for range 3 {
				ra := outA.Seal(&s, nil, ApplicationData, 0, []byte("of a"))
				rb := outB.Seal(&s, nil, ApplicationData, 0, []byte("of b"))
				_, pa, fa := inA.Open(&s, nil, ra[:HeaderLen], ra[HeaderLen:])
				_, pb, fb := inB.Open(&s, nil, rb[:HeaderLen], rb[HeaderLen:])
				if string(pa) != "of a" || string(pb) != "of b" {
					t.Fatalf("%s, %s: %q %v, %q %v", a.Name, b.Name, pa, fa, pb, fb)
				}
			}
		}
	}
}

func TestExhausted(t *testing.T) {
	for _, suite := range allSuites {
		h, _ := newPair(suite)
		want := uint64(1) << 62
		if suite.TLS13 && suite.AEAD != primitive.ChaCha20Poly1305 {
			want = 1 << 24 // below 2^24.5 (RFC 8446, Section 5.5)
		}
		h.seq = want - 1
		if h.Exhausted() {
			t.Errorf("%s: exhausted after %d records", suite.Name, h.seq)
		}
		h.Seal(new(Scratch), nil, ApplicationData, 0, nil)
		if !h.Exhausted() {
			t.Errorf("%s: not exhausted after %d records", suite.Name, h.seq)
		}
		h.Set(suite, h.key[:suite.AEAD.KeyLen()], h.iv[:IVLen(suite)])
	}
}

func TestClearWipes(t *testing.T) {
	h, _ := newPair(primitive.SuiteByID(0x1302))
	h.Seal(new(Scratch), nil, ApplicationData, 0, nil)
	key, iv := h.key[:], h.iv[:]
	h.Clear()
	if !bytes.Equal(key, make([]byte, len(key))) || !bytes.Equal(iv, make([]byte, len(iv))) {
		t.Error("keys are left")
	}
	if h.Protected() || h.aead != nil || h.Seq() != 0 {
		t.Error("the half is still protected")
	}
}

// TestSetForgetsTheOldKeys has nothing of a longer key stay behind a shorter one,
// and the old state not serve.
func TestSetForgetsTheOldKeys(t *testing.T) {
	var s Scratch
	h, _ := newPair(primitive.SuiteByID(0x1302))
	h.Seal(&s, nil, ApplicationData, 0, nil)
	out, in := newPair(primitive.SuiteByID(0x1301))
	h.Set(out.suite, out.key[:16], out.iv[:])
	if !bytes.Equal(h.key[16:], make([]byte, 16)) {
		t.Error("half of the old key is left")
	}
	record := h.Seal(&s, nil, ApplicationData, 0, []byte("new"))
	_, plain, f := in.Open(&s, nil, record[:HeaderLen], record[HeaderLen:])
	if string(plain) != "new" {
		t.Errorf("%q, %v", plain, f)
	}
}

func TestSetRefusesWrongLengths(t *testing.T) {
	for _, suite := range allSuites {
		for _, tc := range []struct{ key, iv int }{
			{suite.AEAD.KeyLen() - 1, IVLen(suite)},
			{suite.AEAD.KeyLen(), 16 - IVLen(suite)}, // the other one
			{suite.AEAD.KeyLen(), 0},
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: key of %d, IV of %d bytes are taken", suite.Name, tc.key, tc.iv)
					}
				}()
				new(Half).Set(suite, make([]byte, tc.key), make([]byte, tc.iv))
			}()
		}
	}
}

// TestSize keeps idle connections small: there are two halves to each.
func TestSize(t *testing.T) {
	if got, most := unsafe.Sizeof(Half{}), uintptr(100); got > most {
		t.Errorf("a Half has %d bytes, want %d at most", got, most)
	}
}
