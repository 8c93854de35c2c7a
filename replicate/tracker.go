package replicate

import "reprise/replicate/wire"

// trackedLen is how far behind the newest a batch may be and still be awaited; older ones are given
// up. It bounds a tracker's memory and a sender's window.
const trackedLen = 8192

// A tracker records which of a sender's batches have arrived. The zero value is empty and expects
// batch 1.
type tracker struct {
	next   uint64 // all before it have arrived or been given up; starts at 1 (see from)
	newest uint64 // the highest number known to exist
	got    [trackedLen / 64]uint64

	arrivedLen, repeatedLen, givenUpLen uint64
}

// from makes the tracker expect batch seq next.
func (t *tracker) from(seq uint64) { t.next, t.newest = seq, max(seq, 1)-1 }

func (t *tracker) bit(seq uint64) (word *uint64, mask uint64) {
	return &t.got[seq/64%uint64(len(t.got))], 1 << (seq % 64)
}

// arrived records batch seq and reports whether it is new.
func (t *tracker) arrived(seq uint64) bool {
	if seq < t.next {
		t.repeatedLen++
		return false
	}
	t.announce(seq)
	word, mask := t.bit(seq)
	if *word&mask != 0 {
		t.repeatedLen++
		return false
	}
	*word |= mask
	t.arrivedLen++
	t.advance()
	return true
}

// announce records that batches up to newest exist.
func (t *tracker) announce(newest uint64) {
	t.newest = max(t.newest, newest)
	if t.newest >= trackedLen {
		t.giveUp(t.newest - trackedLen + 1)
	}
}

// giveUp stops waiting for batches before seq, because the sender no longer has them.
func (t *tracker) giveUp(seq uint64) {
	// A jump larger than the window would only visit clear bits again.
	if seq > t.next+trackedLen {
		for i := range t.got {
			t.givenUpLen += 64
			for word := t.got[i]; word != 0; word &= word - 1 {
				t.givenUpLen--
			}
			t.got[i] = 0
		}
		t.givenUpLen += seq - t.next - trackedLen
		t.next = seq
		return
	}
	for t.next < seq {
		word, mask := t.bit(t.next)
		if *word&mask == 0 {
			t.givenUpLen++
		}
		*word &^= mask
		t.next++
	}
	t.advance()
}

// advance moves next over batches that have arrived.
func (t *tracker) advance() {
	for {
		word, mask := t.bit(t.next)
		if *word&mask == 0 {
			return
		}
		*word &^= mask
		t.next++
	}
}

// missing appends up to most runs of batches that exist and have not arrived.
func (t *tracker) missing(spans []wire.Range, most int) []wire.Range {
	for seq := t.next; seq <= t.newest && len(spans) < most; seq++ {
		word, mask := t.bit(seq)
		if *word&mask != 0 {
			continue
		}
		if n := len(spans); n > 0 && spans[n-1].First+uint64(spans[n-1].Count) == seq {
			spans[n-1].Count++
			continue
		}
		spans = append(spans, wire.Range{First: seq, Count: 1})
	}
	return spans
}

// complete reports whether nothing is missing.
func (t *tracker) complete() bool { return t.next > t.newest }
