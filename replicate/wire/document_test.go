package wire

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"
)

// The worked example of docs/WIRE.md is what this code does.
func TestWireDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/WIRE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "```hex\n")
	example, _, closed := strings.Cut(example, "```")
	if !ok || !closed {
		t.Fatal("docs/WIRE.md has no example")
	}
	var doc strings.Builder
	for line := range strings.Lines(example) {
		bytes, _, _ := strings.Cut(line, "#")
		doc.WriteString(strings.Join(strings.Fields(bytes), ""))
	}
	got := unhex(t, doc.String())

	plain := append([]byte{0, 0, 0xf4, 0x24},
		Batch{Seq: 7, Waited: 1500 * time.Microsecond, Records: pack(
			Update{
				Kind: UpdateSession, Key: keyA, Age: time.Second, Left: 299 * time.Second,
				Value: []byte("state"),
			},
		)}.Append(nil)...)
	chain := Chain(unhex(t, "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"))
	secret, err := NewSecret([]byte("a cluster secret for tests"))
	if err != nil {
		t.Fatal(err)
	}
	header := Header{Kind: KindSealed, Epoch: 3, Sender: ShortID{0, 1, 2, 3}, Counter: 1}
	datagram := header.append(nil, secret.Checker())
	nonce := append(unhex(t, "202122232425262728292a2b2c2d2e2f"), 0, 0, 0, 0, 0, 0, 0, 1)
	key := newAEAD()
	key.of(&chain)
	datagram = append(datagram, nonce[:randomLen]...)
	datagram = secret.Checker().finish(key.Seal(datagram, nonce, plain, datagram[:blockLen]))
	want := append(append(append([]byte(nil), plain...), chain[:]...), datagram...)
	if hex.EncodeToString(got) != hex.EncodeToString(want) {
		t.Errorf("docs/WIRE.md has\n%x\nwant\n%x", got, want)
	}

	// A receiver that was given the chain opens it.
	o := new(Opener)
	o.Introduce(&Introduction{Epoch: 3, Chain: chain, Counter: 1, Clock: 0xf424}, time.Hour, 0)
	h, _ := ParseHeader(datagram)
	opened, reason := o.Open(nil, datagram, h, time.Hour)
	if reason != Opened || string(opened) != string(plain) || !secret.Checker().Verify(datagram) {
		t.Errorf("opened as %x, %v", opened, reason)
	}
}
