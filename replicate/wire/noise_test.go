package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/flynn/noise"
)

// The vectors are those of flynn/noise 1.1.0 (vectors.txt), of
// Noise_NNpsk0_25519_ChaChaPoly_SHA256.
func TestHandshakeVectors(t *testing.T) {
	const hello = "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
	const welcome = "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
	for _, v := range []struct{ name, prologue, hello, helloSealed, welcome, welcomeSealed string }{
		{
			"empty", "",
			"", "e7136508cb8178281204abd62e9f2a3e",
			"", "922f3b7824001193c077abd8b7a73030",
		},
		{
			"with payloads", "",
			"test_msg_0", "7c78f22f8cea986f934a675201c7f431a539e50c9be46986fa89",
			"test_msg_1", "6913ea64c74c2f63ee5e814fda25301b9508e4685ee02e9852fd",
		},
		{
			"with a prologue", "notsecret",
			"", "6e96a20116b68fd776478e81d11779ca",
			"", "66f51bc44f88917daa53fb4529499b55",
		},
		{
			"with both", "notsecret",
			"test_msg_0", "7c78f22f8cea986f934ab17c2484a24a990a6473d588a4f20e99",
			"test_msg_1", "6913ea64c74c2f63ee5e32a5358320d459322d624c9ccc975fa0",
		},
	} {
		t.Run(v.name, func(t *testing.T) {
			psk := []byte("!verysecretverysecretverysecret!")
			a, b := newHandshake(psk, []byte(v.prologue)), newHandshake(psk, []byte(v.prologue))
			for i := range 32 {
				a.secret[i], b.secret[i] = byte(0x20+i), byte(0x41+i)
			}
			first := a.appendHello(nil, []byte(v.hello))
			if want := unhex(t, hello+v.helloSealed); !bytes.Equal(first, want) {
				t.Fatalf("got  %x\nwant %x", first, want)
			}
			public, payload, ok := b.readHello(first)
			if !ok || string(payload) != v.hello {
				t.Fatalf("%q, %v", payload, ok)
			}
			second, ok := b.appendWelcome(nil, &public, []byte(v.welcome))
			if want := unhex(t, welcome+v.welcomeSealed); !ok || !bytes.Equal(second, want) {
				t.Fatalf("got  %x\nwant %x", second, want)
			}
			if payload, ok = a.readWelcome(second); !ok || string(payload) != v.welcome {
				t.Fatalf("%q, %v", payload, ok)
			}
			third := a.sealProof(nil, []byte("yellowsubmarine"), nil)
			if want := unhex(t, "b349a522c145762c7c737ac1d1425ce1fb25c7cca626177ee4ceed3cd6fb3d"); !bytes.Equal(third, want) {
				t.Fatalf("got  %x\nwant %x", third, want)
			}
			if payload, ok = b.openProof(third, nil); !ok || string(payload) != "yellowsubmarine" {
				t.Fatalf("%q, %v", payload, ok)
			}
		})
	}
}

// oracle is the same handshake by a library.
func oracle(t *testing.T, isInitiator bool, psk, prologue []byte) *noise.HandshakeState {
	t.Helper()
	state, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256),
		Random:      rand.Reader, Pattern: noise.HandshakeNN, Initiator: isInitiator, Prologue: prologue,
		PresharedKey: psk, PresharedKeyPlacement: 0,
	})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func TestHandshakeAgreesWithALibrary(t *testing.T) {
	for range 100 {
		psk, payload, proof, extra := randomBytes(32), randomBytes(150), randomBytes(200), randomBytes(28)
		beginning, end := randomBytes(20), randomBytes(40)
		prologue := bytes.Join([][]byte{beginning, end}, nil)

		// We begin.
		ours, theirs := newHandshake(psk, beginning, end), oracle(t, false, psk, prologue)
		if _, _, _, err := theirs.ReadMessage(nil, ours.appendHello(nil, nil)); err != nil {
			t.Fatal(err)
		}
		welcome, in, _, err := theirs.WriteMessage(nil, payload)
		if err != nil {
			t.Fatal(err)
		}
		damaged := bytes.Clone(welcome)
		damaged[40]++
		if _, ok := ours.readWelcome(damaged); ok {
			t.Fatal("a damaged welcome is taken")
		}
		if got, ok := ours.readWelcome(welcome); !ok || !bytes.Equal(got, payload) {
			t.Fatalf("%x, %v", got, ok)
		}
		if !bytes.Equal(ours.hash[:], theirs.ChannelBinding()) {
			t.Fatalf("hash %x, want %x", ours.hash, theirs.ChannelBinding())
		}
		if got, err := in.Decrypt(nil, extra, ours.sealProof(nil, proof, extra)); err != nil ||
			!bytes.Equal(got, proof) {
			t.Fatalf("%x, %v", got, err)
		}

		// The library begins.
		ours, theirs = newHandshake(psk, beginning, end), oracle(t, true, psk, prologue)
		hello, _, _, err := theirs.WriteMessage(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		public, _, ok := ours.readHello(hello)
		if !ok {
			t.Fatal("not opened")
		}
		if welcome, ok = ours.appendWelcome(nil, &public, payload); !ok {
			t.Fatal("not answered")
		}
		got, out, _, err := theirs.ReadMessage(nil, welcome)
		if err != nil || !bytes.Equal(got, payload) {
			t.Fatalf("%x, %v", got, err)
		}
		if !bytes.Equal(ours.hash[:], theirs.ChannelBinding()) {
			t.Fatalf("hash %x, want %x", ours.hash, theirs.ChannelBinding())
		}
		sealed, err := out.Encrypt(nil, extra, proof)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok = ours.openProof(sealed, extra); !ok || !bytes.Equal(got, proof) {
			t.Fatalf("%x, %v", got, ok)
		}
	}
}

// Public keys with which everybody agrees on zeros are refused, by both sides.
func TestLowOrderKeysAreRefused(t *testing.T) {
	psk := randomBytes(32)
	for _, point := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	} {
		other := newHandshake(psk)
		n := newHandshake(psk)
		public := n.readEphemeral(append(unhex(t, point), make([]byte, 16)...))
		if _, ok := n.appendWelcome(nil, &public, nil); ok {
			t.Errorf("%s: answered", point)
		}
		other.appendHello(nil, nil)
		if _, ok := other.readWelcome(append(unhex(t, point), make([]byte, 16)...)); ok {
			t.Errorf("%s: welcome", point)
		}
	}
}

// When a handshake has ended, however it did, nothing is left of it, and the key of
// zeros that is left opens nothing.
func TestHandshakeIsWiped(t *testing.T) {
	psk := randomBytes(32)
	met := func() (a, b *handshake, welcome, proof []byte) {
		a, b = newHandshake(psk), newHandshake(psk)
		public, _, _ := b.readHello(a.appendHello(nil, nil))
		welcome, _ = b.appendWelcome(nil, &public, nil)
		a.readWelcome(welcome)
		return a, b, welcome, a.sealProof(nil, nil, nil)
	}
	a, b, welcome, proof := met()
	if _, ok := b.openProof(proof, nil); !ok {
		t.Fatal("not proved")
	}
	begun := newHandshake(psk)
	begun.appendHello(nil, nil)
	begun.wipe()
	for name, n := range map[string]*handshake{"initiator": a, "responder": b, "begun": begun} {
		if n.chain != [32]byte{} || n.temp != [32]byte{} || n.secret != [32]byte{} ||
			n.shared != [32]byte{} || n.aead.isSet() {
			t.Errorf("%s: keys are left: %+v", name, n)
		}
		if _, ok := n.openProof(n.aead.Seal(nil, zeroNonce[:], nil, nil), nil); ok {
			t.Errorf("%s: the key of zeros opens a proof", name)
		}
		if _, ok := n.readWelcome(welcome); ok {
			t.Errorf("%s: a welcome is taken after the end", name)
		}
		if _, _, ok := n.readHello(append(welcome, 0)); ok {
			t.Errorf("%s: a hello is taken after the end", name)
		}
	}
}

func TestHMAC(t *testing.T) {
	for keyLen := range 70 {
		for messageLen := range hmacLen + 1 {
			key, message := randomBytes(keyLen), randomBytes(messageLen)
			h := hmac.New(sha256.New, key)
			h.Write(message)
			var got [32]byte
			if hmacSum(&got, key, message[:messageLen/2], message[messageLen/2:]); !bytes.Equal(got[:],
				h.Sum(nil)) {
				t.Fatalf("key of %d bytes, message of %d", keyLen, messageLen)
			}
		}
	}
	key, message := make([]byte, 32), make([]byte, 32)
	var out [32]byte
	// What is on the heap cannot be wiped.
	if n := testing.AllocsPerRun(100, func() { hmacSum(&out, key, message) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
