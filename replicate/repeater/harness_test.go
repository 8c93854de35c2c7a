package repeater

import (
	"encoding/hex"
	"strings"
	"testing"

	"reprise/replicate/wire"
)

// clusterKey is the repeater key of one of some cluster secrets.
func clusterKey(t testing.TB, i byte) []byte {
	t.Helper()
	return secretOf(t, i).RepeaterKey()
}

func secretOf(t testing.TB, i byte) wire.Secret {
	t.Helper()
	s, err := wire.NewSecret([]byte{i, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var counters = make(map[testing.TB]*wire.Sender)

// sealed is a datagram of a node of the fleet of clusterKey 1, each time a new one.
func sealed(t testing.TB, messages []byte) []byte {
	s := counters[t]
	if s == nil {
		s = wire.NewSender(wire.NewChecker(clusterKey(t, 1)), wire.ShortID{1}, 0)
		counters[t] = s
	}
	return s.Seal(nil, append(make([]byte, wire.PlainHeaderLen), messages...), 0)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
