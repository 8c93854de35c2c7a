package replicate

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"
)

// The worked example of docs/WIRE.md is what this code does.
func TestWireDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/WIRE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "```hex\n")
	example, _, closed := strings.Cut(example, "```")
	if !ok || !closed {
		t.Fatal("docs/WIRE.md has no example")
	}
	secret := testSecret(t, "a cluster secret for tests")
	sender := ID(unhex(t, "000102030405060708090a0b0c0d0e0f"))
	plaintext := Batch{Seq: 7, Made: 1_000_000, Records: pack(
		Update{Kind: UpdateSession, Key: keyA, Left: 5 * time.Minute, Value: []byte("state")},
	)}.Append(nil)
	datagram := NewSealer(secret, sender).Seal(nil, plaintext)
	want := hex.EncodeToString(plaintext) + hex.EncodeToString(datagram)
	var got strings.Builder
	for line := range strings.Lines(example) {
		bytes, _, _ := strings.Cut(line, "#")
		got.WriteString(strings.Join(strings.Fields(bytes), ""))
	}
	if got.String() != want {
		t.Errorf("docs/WIRE.md has\n%s\nwant\n%s", got.String(), want)
	}
}
