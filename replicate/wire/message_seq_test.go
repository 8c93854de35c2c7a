package wire

import (
	"math"
	"testing"
)

// Numbers of batches that no node reaches make a message malformed.
func TestNumbersOfBatchesAreBounded(t *testing.T) {
	for _, seq := range []uint64{0, 1, maxSeq - 1, maxSeq, math.MaxUint64} {
		for name, b := range map[string][]byte{
			"batch":            Batch{Seq: seq}.Append(nil),
			"heartbeat newest": Heartbeat{Newest: seq}.Append(nil),
			"heartbeat oldest": Heartbeat{Oldest: seq}.Append(nil),
			"echo newest":      Echo{Newest: seq}.Append(nil),
			"echo oldest":      Echo{Oldest: seq}.Append(nil),
			"repair":           Repair{Ranges: Ranges(nil).Append(Range{1, 1}).Append(Range{seq, 1})}.Append(nil),
		} {
			if _, ok := ParseMessages(b); ok != (seq < maxSeq) {
				t.Errorf("%s of number %d: well formed: %v", name, seq, ok)
			}
		}
		// What has no numbers of batches is bounded by nothing.
		if _, ok := ParseMessages(Ask{Question: seq}.Append(nil)); !ok {
			t.Errorf("a question of number %d is malformed", seq)
		}
	}
}
