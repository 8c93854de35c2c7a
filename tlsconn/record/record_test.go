package record

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

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
						t.Fatalf("record %d, %d bytes, in place %v: type %d, fault %v", i, n, inPlace, typ, f)
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
