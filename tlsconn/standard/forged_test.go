package standard

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"reprise/tlsconn"
)

// TestAMillionForgedHandles: what this fleet has not made costs no look-up and no
// question, however well it is formed, or strangers could make a node search and
// send by the million.
func TestAMillionForgedHandles(t *testing.T) {
	s, sessions, _ := sessionServer(t)
	genuine := s.sealer.Append(nil, tlsconn.Handle{Owner: tlsconn.NodeID{9, 9, 9, 9}, Key: tlsconn.NewKey()})
	random := rand.New(rand.NewPCG(1, 2))
	forged := make([]byte, tlsconn.HandleLen)
	for range 1_000_000 {
		// Version and key id are right, all else is random: the tag alone decides.
		forged[0] = genuine[0]
		for i := 1; i < tlsconn.HandleLen; i++ {
			forged[i] = byte(random.Uint32())
		}
		if outcome := s.find(new(coroutine), forged); outcome != tlsconn.MissBadHandle {
			t.Fatalf("%x: got %v, want %v", forged, outcome, tlsconn.MissBadHandle)
		}
	}
	for bit := range 8 * tlsconn.HandleLen {
		flipped := bytes.Clone(genuine)
		flipped[bit/8] ^= 1 << (bit % 8)
		if outcome := s.find(new(coroutine), flipped); outcome != tlsconn.MissBadHandle {
			t.Errorf("bit %d flipped: got %v, want %v", bit, outcome, tlsconn.MissBadHandle)
		}
	}
	if sessions.finds != 0 || sessions.asks != 0 {
		t.Errorf("%d look-ups and %d questions, want none", sessions.finds, sessions.asks)
	}
	// The genuine one, of another node, is worth both.
	s.current = newPair(t, s, nil).conn
	if outcome := s.find(new(coroutine), genuine); outcome != tlsconn.MissUnknown || sessions.finds != 1 || sessions.asks != 1 {
		t.Errorf("the genuine handle: %v, %d look-ups and %d questions, want %v, 1 and 1", outcome, sessions.finds, sessions.asks, tlsconn.MissUnknown)
	}
}
