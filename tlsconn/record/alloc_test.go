package record

import (
	"fmt"
	"testing"
)

// TestNothingIsAllocated holds records to no allocation once there is a state.
func TestNothingIsAllocated(t *testing.T) {
	for _, suite := range allSuites {
		for _, n := range []int{0, 100, MaxPlain} {
			t.Run(fmt.Sprintf("%s/%d", suite.OpenSSLName, n), func(t *testing.T) {
				var s Scratch
				out, in := newPair(suite)
				plain := make([]byte, n)
				buf := make([]byte, 0, out.SealedLen(n))
				dst := make([]byte, 0, out.SealedLen(n))
				fault := None
				if got := testing.AllocsPerRun(100, func() {
					record := out.Seal(&s, buf, ApplicationData, 0, plain)
					if _, _, f := in.Open(&s, dst, record[:HeaderLen], record[HeaderLen:]); f != None {
						fault = f
					}
					record = out.Seal(&s, buf, ApplicationData, 0, plain)
					if _, _, f := in.Open(&s, nil, record[:HeaderLen], record[HeaderLen:]); f != None {
						fault = f
					}
				}); got != 0 || fault != None {
					t.Errorf("%v allocations, %v, want 0", got, fault)
				}
			})
		}
	}
}
