package tlsconn_test

import (
	"crypto/rand"
	"crypto/tls"
	"testing"

	"reprise/tlsconn"
)

// TestAMillionForgedHandles: a handle that this fleet has not made is refused by its tag, however
// well formed, or clients could make a node search and send by the million.
func TestAMillionForgedHandles(t *testing.T) {
	sealer := handleKeys(t, testSecret).Sealer()
	genuine := sealer.Append(nil, tlsconn.Handle{Owner: testOwner, Key: tlsconn.NewKey()})
	forged := make([]byte, tlsconn.HandleLen)
	for range 1_000_000 {
		// Version and key id are right, all else is random: the tag alone decides.
		rand.Read(forged)
		forged[0] = genuine[0]
		if h, ok := sealer.Open(forged); ok {
			t.Fatalf("%x: accepted as %+v", forged, h)
		}
	}
}

// A handle of an unknown node is worth a look-up and a question, a forged one neither.
func TestForgedHandlesCostNoQuestion(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		s, sessions, _ := e.sessionServer(t)
		client, _ := clientOf(tls.VersionTLS13)
		newPair(t, s, client).doHandshake()
		genuine := handleKeys(t, testSecret).Sealer().Append(nil,
			tlsconn.Handle{Owner: tlsconn.NodeID{9, 9, 9, 9}, Key: tlsconn.NewKey()})
		for bit := range 8 * tlsconn.HandleLen {
			if got := offer(t, s, client, flip(genuine, bit)); got != tlsconn.MissBadHandle {
				t.Errorf("bit %d flipped: got %v, want %v", bit, got, tlsconn.MissBadHandle)
			}
		}
		if sessions.finds != 0 || sessions.asks != 0 {
			t.Errorf("%d look-ups and %d questions, want none", sessions.finds, sessions.asks)
		}
		if got := offer(t, s, client, genuine); got != tlsconn.MissUnknown || sessions.finds != 1 ||
			sessions.asks != 1 {
			t.Errorf("the genuine handle: %v, %d look-ups and %d questions, want %v, 1 and 1", got, sessions.finds, sessions.asks, tlsconn.MissUnknown)
		}
	})
}
