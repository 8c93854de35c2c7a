package primitive

import (
	"bytes"
	"errors"
	"testing"

	circl "github.com/cloudflare/circl/dh/x448"
)

// RFC 7748, Section 6.2.
func TestX448Vector(t *testing.T) {
	alice := x448{circl.Key(unhex("9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28d" +
		"d9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b"))}
	bob := x448{circl.Key(unhex("1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d" +
		"6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d"))}
	want := unhex("07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282b" +
		"b60c0b56fd2464c335543936521c24403085d59a449a5037514a879d")
	var alicePublic, bobPublic circl.Key
	circl.KeyGen(&alicePublic, &alice.private)
	circl.KeyGen(&bobPublic, &bob.private)
	var a, b [x448Len]byte
	if !alice.agree(&a, bobPublic[:]) || !bob.agree(&b, alicePublic[:]) {
		t.Fatal("a share of the vector is refused")
	}
	if !bytes.Equal(a[:], want) || !bytes.Equal(b[:], want) {
		t.Errorf("got %x and %x, want %x", a, b, want)
	}
}

func TestX448RefusesInvalidShares(t *testing.T) {
	one := append([]byte{1}, make([]byte, x448Len-1)...)
	for _, peer := range [][]byte{
		nil, make([]byte, x448Len-1), make([]byte, x448Len), one,
		make([]byte, x448Len+1),
	} {
		var x Exchange
		if share, secret, err := x.Respond(nil, X448, peer); !errors.Is(err, ErrShare) || share != nil ||
			secret != nil {
			t.Errorf("%d bytes: share %x, %v", len(peer), share, err)
		}
		var e Ephemeral
		if _, err := e.Generate(nil, X448); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Agree(nil, peer); !errors.Is(err, ErrShare) {
			t.Errorf("%d bytes in TLS 1.2: %v", len(peer), err)
		}
	}
}

func TestX448BothVersions(t *testing.T) {
	var client x448
	clientShare := client.generate(nil)
	var x Exchange
	share, secret, err := x.Respond([]byte("before"), X448, clientShare)
	if err != nil {
		t.Fatal(err)
	}
	var want [x448Len]byte
	if !client.agree(&want, share[len("before"):]) || !bytes.Equal(secret, want[:]) {
		t.Error("client and server have different secrets")
	}
	var e Ephemeral
	public, err := e.Generate(nil, X448)
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Agree(nil, clientShare)
	if err != nil || !client.agree(&want, public) || !bytes.Equal(got, want[:]) {
		t.Errorf("client and server have different secrets in TLS 1.2: %v", err)
	}
}
