package tlsconn

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestAMillionForgedHandles: what this fleet has not made costs no look-up and no
// question, however well it is formed, or strangers could make a node search and
// send by the million.
func TestAMillionForgedHandles(t *testing.T) {
	s, sessions, clock := sessionServer(t)
	genuine := s.sealer.append(nil, Handle{Owner: NodeID{9, 9, 9, 9}, Expires: clock.Now(), Key: newKey()})
	random := rand.New(rand.NewPCG(1, 2))
	forged := make([]byte, handleLen)
	for range 1_000_000 {
		// Version and key id are right, all else is random: the tag alone decides.
		copy(forged, genuine[:2])
		for i := 2; i < handleLen; i++ {
			forged[i] = byte(random.Uint32())
		}
		if outcome := s.find(new(coroutine), forged); outcome != MissBadHandle {
			t.Fatalf("%x: got %v, want %v", forged, outcome, MissBadHandle)
		}
	}
	for bit := range 8 * handleLen {
		flipped := bytes.Clone(genuine)
		flipped[bit/8] ^= 1 << (bit % 8)
		if outcome := s.find(new(coroutine), flipped); outcome != MissBadHandle {
			t.Errorf("bit %d flipped: got %v, want %v", bit, outcome, MissBadHandle)
		}
	}
	if sessions.finds != 0 || sessions.asks != 0 {
		t.Errorf("%d look-ups and %d questions, want none", sessions.finds, sessions.asks)
	}
	// The genuine one, of another node, is worth both.
	s.current = newPair(t, s, nil).conn
	if outcome := s.find(new(coroutine), genuine); outcome != MissUnknown || sessions.finds != 1 || sessions.asks != 1 {
		t.Errorf("the genuine handle: %v, %d look-ups and %d questions, want %v, 1 and 1", outcome, sessions.finds, sessions.asks, MissUnknown)
	}
}
