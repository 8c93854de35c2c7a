package wire

import (
	"testing"
	"time"
)

// A datagram of an epoch that is a few steps ahead opens; of one further ahead no key
// is derived.
func TestStepsAheadAreBounded(t *testing.T) {
	for ahead := range 128 {
		s, o := pairOf(t)
		for i := range ahead {
			s.sealText("unheard", time.Duration(i+1)*RatchetEvery)
		}
		chain := o.chain
		d := s.sealText("text", time.Duration(ahead)*RatchetEvery)
		_, reason := o.openText(d, time.Duration(ahead)*RatchetEvery)
		if ahead > maxAhead {
			if reason != KeyGone || o.chain != chain || o.nextChain != (Chain{}) {
				t.Errorf("%d ahead: %v, or a key was derived", ahead, reason)
			}
		} else if reason != Opened {
			t.Errorf("%d ahead: %v", ahead, reason)
		}
	}
}
