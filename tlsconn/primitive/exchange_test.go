package primitive

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	circlx "github.com/cloudflare/circl/dh/x25519"
	circlm "github.com/cloudflare/circl/kem/mlkem/mlkem768"
)

var allGroups = []Group{X25519MLKEM768, X25519, P256, P384}

// unhex decodes hexadecimal digits; the test's author wrote them.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// eachImplementation runs the test with the implementations that are fast here, and with the
// standard library alone.
func eachImplementation(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if err := SelfCheck(); err != nil {
		t.Fatal(err)
	}
	if x25519Pays() || mlkemPays() {
		t.Run("fast", test)
	}
	t.Run("standard", func(t *testing.T) {
		useStandard(t)
		test(t)
	})
}

// useStandard has the standard library serve until the test ends.
func useStandard(tb testing.TB) {
	curve, kem := fastX25519.Swap(false), fastMLKEM.Swap(false)
	tb.Cleanup(func() {
		fastX25519.Store(curve)
		fastMLKEM.Store(kem)
	})
}

// A client is the other end: its share, and the secret for a server's share.
type client struct {
	share []byte
	agree func(share []byte) ([]byte, error)
}

// standardClient is made of the standard library.
func standardClient(g Group) client {
	switch g {
	case X25519MLKEM768:
		kem, curve := must(mlkem.GenerateKey768()), standardClient(X25519)
		return client{
			share: append(kem.EncapsulationKey().Bytes(), curve.share...),
			agree: func(share []byte) ([]byte, error) {
				first, err := kem.Decapsulate(share[:mlkemCiphertextLen])
				if err != nil {
					return nil, err
				}
				second, err := curve.agree(share[mlkemCiphertextLen:])
				return append(first, second...), err
			},
		}
	case X25519:
		return clientOfCurve(ecdh.X25519())
	}
	if g == P384 {
		return clientOfCurve(ecdh.P384())
	}
	return clientOfCurve(ecdh.P256())
}

func clientOfCurve(curve ecdh.Curve) client {
	private := must(curve.GenerateKey(rand.Reader))
	return client{
		share: private.PublicKey().Bytes(),
		agree: func(share []byte) ([]byte, error) {
			public, err := curve.NewPublicKey(share)
			if err != nil {
				return nil, err
			}
			return private.ECDH(public)
		},
	}
}

// circlClient is made of circl, for the groups that it serves.
func circlClient(g Group) client {
	var private, public circlx.Key
	_, _ = rand.Read(private[:])
	circlx.KeyGen(&public, &private)
	agree := func(share []byte) ([]byte, error) {
		peer, shared := circlx.Key(share), circlx.Key{}
		if !circlx.Shared(&shared, &private, &peer) {
			return nil, ErrShare
		}
		return shared[:], nil
	}
	if g == X25519 {
		return client{public[:], agree}
	}
	key, secretKey, err := circlm.GenerateKeyPair(rand.Reader)
	if err != nil {
		panic(err)
	}
	packed := make([]byte, circlm.PublicKeySize)
	key.Pack(packed)
	return client{
		share: append(packed, public[:]...),
		agree: func(share []byte) ([]byte, error) {
			first := make([]byte, circlm.SharedKeySize)
			secretKey.DecapsulateTo(first, share[:mlkemCiphertextLen])
			second, err := agree(share[mlkemCiphertextLen:])
			return append(first, second...), err
		},
	}
}

func TestBothEndsAgree(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, tc := range []struct {
			name   string
			groups []Group
			client func(Group) client
		}{
			{"standard client", allGroups, standardClient},
			{"circl client", []Group{X25519, X25519MLKEM768}, circlClient},
		} {
			for _, g := range tc.groups {
				t.Run(tc.name+"/"+g.String(), func(t *testing.T) {
					var x Exchange
					seen := map[string]bool{}
					for range 20 {
						c := tc.client(g)
						share, secret, err := x.Respond([]byte("before"), g, c.share)
						if err != nil {
							t.Fatal(err)
						}
						share, ok := bytes.CutPrefix(share, []byte("before"))
						if !ok {
							t.Fatal("the share is not appended")
						}
						want, err := c.agree(share)
						if err != nil || !bytes.Equal(secret, want) {
							t.Fatalf("secret %x, want %x, %v", secret, want, err)
						}
						seen[string(share)] = true
					}
					if len(seen) != 20 {
						t.Errorf("%d different shares, want 20", len(seen))
					}
				})
			}
		}
	})
}

func TestEphemeralAgrees(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, g := range []Group{X25519, P256, P384} {
			t.Run(g.String(), func(t *testing.T) {
				for range 10 {
					var e Ephemeral
					public, err := e.Generate([]byte("before"), g)
					if err != nil {
						t.Fatal(err)
					}
					c := standardClient(g)
					want, err := c.agree(public[len("before"):])
					if err != nil {
						t.Fatal(err)
					}
					secret, err := e.Agree([]byte("before"), c.share)
					if want := append([]byte("before"), want...); err != nil || !bytes.Equal(secret, want) {
						t.Fatalf("secret %x, %v, want %x", secret, err, want)
					}
					e.Clear()
					if e != (Ephemeral{}) {
						t.Fatal("Clear left something")
					}
					if _, err := e.Agree(nil, c.share); !errors.Is(err, ErrGroup) {
						t.Errorf("after Clear: %v, want %v", err, ErrGroup)
					}
				}
			})
		}
		var e Ephemeral
		if _, err := e.Generate(nil, X25519MLKEM768); !errors.Is(err, ErrGroup) {
			t.Errorf("X25519MLKEM768 in TLS 1.2: %v, want %v", err, ErrGroup)
		}
	})
}

func TestInvalidShares(t *testing.T) {
	hybrid := standardClient(X25519MLKEM768).share
	changed := func(b []byte, i int, v byte) []byte {
		b = slices.Clone(b)
		b[i] = v
		return b
	}
	type refused struct {
		name  string
		group Group
		share []byte
	}
	cases := []refused{
		{"not on the curve", P256, changed(standardClient(P256).share, 64, 0)},
		{"compressed", P256, append([]byte{2}, standardClient(P256).share[1:33]...)},
		{"infinity", P256, []byte{0}},
		{"infinity, padded", P256, make([]byte, 65)},
		{"not on the curve", P384, changed(standardClient(P384).share, 96, 0)},
		{"of another curve", P384, standardClient(P256).share},
		{"key not reduced", X25519MLKEM768, changed(changed(hybrid, 0, 0xff), 1, 0xff)},
		{"last not reduced", X25519MLKEM768, changed(changed(hybrid, 1151, 0xff), 1150, 0xff)},
		{"X25519 first", X25519MLKEM768, append(bytes.Repeat([]byte{0xff}, 32), hybrid[:1184]...)},
		{"low order", X25519MLKEM768, append(slices.Clone(hybrid[:mlkemKeyLen]), make([]byte, 32)...)},
	}
	low := edgePoints()
	for i, p := range low {
		standard := must(ecdh.X25519().NewPrivateKey([]byte("any key: the secret is of zeros.")))
		if _, err := standard.ECDH(must(ecdh.X25519().NewPublicKey(p[:]))); err == nil {
			continue
		}
		cases = append(cases, refused{"low order", X25519, low[i][:]})
	}
	if got, want := len(cases)-10, 14; got != want { // seven, and each with the ignored bit
		t.Errorf("%d points of low order, want %d", got, want)
	}
	for _, g := range allGroups {
		share := standardClient(g).share
		cases = append(cases,
			refused{"empty", g, nil},
			refused{"a byte short", g, share[:len(share)-1]},
			refused{"a byte more", g, append(slices.Clone(share), 0)})
	}
	eachImplementation(t, func(t *testing.T) {
		for _, tc := range cases {
			t.Run(tc.group.String()+" "+tc.name, func(t *testing.T) {
				wantErrShare(t, tc.group, tc.share)
			})
		}
	})
}

// wantErrShare has a share refused, by a server and by a client.
func wantErrShare(t *testing.T, group Group, share []byte) {
	var x Exchange
	dst, _, err := x.Respond([]byte("before"), group, share)
	if !errors.Is(err, ErrShare) || string(dst) != "before" {
		t.Errorf("%q, %v, want %q, %v", dst, err, "before", ErrShare)
	}
	var e Ephemeral
	if group == X25519MLKEM768 {
		return
	}
	if _, err := e.Generate(nil, group); err != nil {
		t.Fatal(err)
	}
	dst, err = e.Agree([]byte("before"), share)
	if !errors.Is(err, ErrShare) || string(dst) != "before" {
		t.Errorf("Ephemeral: %q, %v, want %q, %v", dst, err, "before", ErrShare)
	}
}

func TestUnknownGroups(t *testing.T) {
	for _, g := range []Group{0, 25, 31, 0x6399, 0x2a2a} {
		if g.Known() {
			t.Errorf("%v is known", g)
		}
		if _, _, err := new(Exchange).Respond(nil, g, make([]byte, 32)); !errors.Is(err, ErrGroup) {
			t.Errorf("%v: %v, want %v", g, err, ErrGroup)
		}
		if _, err := new(Ephemeral).Generate(nil, g); !errors.Is(err, ErrGroup) {
			t.Errorf("%v: %v, want %v", g, err, ErrGroup)
		}
	}
	for _, g := range allGroups {
		if !g.Known() {
			t.Errorf("%v is not known", g)
		}
	}
}

func TestClearWipes(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, g := range allGroups {
			var x Exchange
			_, secret, err := x.Respond(nil, g, standardClient(g).share)
			if err != nil {
				t.Fatal(err)
			}
			x.Clear()
			if !reflect.DeepEqual(x, Exchange{}) || !bytes.Equal(secret, make([]byte, len(secret))) {
				t.Errorf("%v: Clear left something", g)
			}
		}
	})
}

// TestRFC7748 checks the fast implementation with the vectors of RFC 7748.
func TestRFC7748(t *testing.T) {
	var c x25519
	for _, tc := range []struct{ name, private, peer, want string }{
		{
			"5.2, first",
			"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
			"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
			"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
		},
		{
			"5.2, second", // the peer has the bit set that is to be ignored
			"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
			"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
			"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
		},
		{
			"6.1, Alice",
			"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
			"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
			"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
		},
	} {
		var got [32]byte
		private, peer := [32]byte(unhex(tc.private)), [32]byte(unhex(tc.peer))
		if !c.agree(&got, &private, &peer) || hex.EncodeToString(got[:]) != tc.want {
			t.Errorf("%s: %x, want %s", tc.name, got, tc.want)
		}
	}
	private := [32]byte(unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
	var public [32]byte
	c.base(&public, &private)
	if got, want := hex.EncodeToString(public[:]),
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"; got != want {
		t.Errorf("6.1, Bob: %s, want %s", got, want)
	}
	k, u := [32]byte{9}, [32]byte{9}
	for i := range 1000 {
		next := [32]byte{}
		c.agree(&next, &k, &u)
		if i == 0 {
			if c.base(&public, &k); public != next {
				t.Errorf("base %x, want %x", public, next)
			}
		}
		k, u = next, k
	}
	if got, want := hex.EncodeToString(k[:]),
		"684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"; got != want {
		t.Errorf("5.2, 1000 times: %s, want %s", got, want)
	}
}

// FuzzRespond holds what serves against the standard library: both take a share
// or both refuse it, and none panics.
func FuzzRespond(f *testing.F) {
	for _, g := range allGroups {
		f.Add(uint16(g), standardClient(g).share)
		f.Add(uint16(g), []byte{4})
	}
	for _, p := range edgePoints() {
		f.Add(uint16(X25519), p[:])
	}
	if err := SelfCheck(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, group uint16, share []byte) {
		var x Exchange
		before := slices.Clone(share)
		answer, secret, err := x.Respond(nil, Group(group), share)
		if !bytes.Equal(share, before) {
			t.Error("the client's share was changed")
		}
		if err != nil && len(answer) > 0 || err == nil && (len(answer) == 0 || len(secret) < 32) {
			t.Errorf("share of %d bytes, secret of %d, %v", len(answer), len(secret), err)
		}
		curve, kem := fastX25519.Swap(false), fastMLKEM.Swap(false)
		_, _, want := x.Respond(nil, Group(group), share)
		fastX25519.Store(curve)
		fastMLKEM.Store(kem)
		if !errors.Is(err, want) {
			t.Errorf("%v, the standard library %v", err, want)
		}
	})
}
