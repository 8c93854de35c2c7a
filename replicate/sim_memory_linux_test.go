//go:build !race

// The race detector's memory is too large to be searched.

package replicate

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"reprise/replicate/wire"
)

// Introductions are recorded; minutes later all memory of the process becomes known,
// also what the collector has yet to give away and what is on stacks. No key in it
// opens an introduction, which would hand over the chain that all later keys of its
// sender come from. Keys are looked for as they are, and as HMAC pads them.
func TestMemoryDoesNotOpenIntroductions(t *testing.T) {
	s := newSim(t, 1)
	a := s.nodes[0]
	var proofs [][]byte
	s.tap = func(d []byte) {
		if wire.Kind(d[1]) == wire.KindProof {
			proofs = append(proofs, slices.Clone(d))
		}
	}
	s.add(nil)
	s.run(2 * time.Second)
	for i := range 240 {
		a.publish(simKey(i), "session")
		s.run(time.Second)
	}
	if len(proofs) == 0 {
		t.Fatal("no introduction was recorded")
	}
	marker := bytes.Repeat([]byte("a key that is left in memory"), 2)[:32]
	memory := processMemory(t)
	if !bytes.Contains(memory, marker) {
		t.Fatal("the search does not find what is there")
	}
	t.Logf("%d MB of memory, %d proofs", len(memory)>>20, len(proofs))
	for at := 0; at+32 <= len(memory); at += 8 {
		found := memory[at : at+32]
		if bytes.Count(found, []byte{0}) > 8 {
			continue
		}
		for _, pad := range []byte{0, 0x36, 0x5c} {
			key := [32]byte(found)
			for i := range key {
				key[i] ^= pad
			}
			aead, _ := chacha20poly1305.New(key[:])
			for _, p := range proofs {
				const sealedAt = wire.HeaderLen + 4
				if _, err := aead.Open(nil, make([]byte, 12), p[sealedAt:],
					slices.Concat(p[:16], p[wire.HeaderLen:sealedAt])); err == nil {
					t.Fatalf("a key in memory (pad %02x) opens an introduction of four minutes ago", pad)
				}
			}
		}
	}
	runtime.KeepAlive(marker)
}

// processMemory returns what this process can write to, but for pages of zeros.
func processMemory(t *testing.T) (all []byte) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skip(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skip(err)
	}
	defer mem.Close()
	page := make([]byte, 4096)
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var lo, hi int64
		var access string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &lo, &hi, &access); err != nil {
			continue // above half of all addresses: the kernel's
		}
		if !strings.HasPrefix(access, "rw") || strings.Contains(lines.Text(), "/") {
			continue
		}
		for at := lo; at < hi; at += 4096 {
			if _, err := mem.ReadAt(page, at); err == nil && bytes.Count(page, []byte{0}) < 4096 {
				all = append(all, page...)
			}
			if len(all) > 64<<20 {
				return all
			}
		}
	}
	return all
}
