package wire

const (
	windowBlockBits = 64
	windowBlocks    = 32 // a power of two

	// windowLen is how far behind the newest counter another may be and still be distinguished from
	// a replay. It is one block less than the bits: the newest block is only partly in use.
	windowLen = (windowBlocks - 1) * windowBlockBits
)

// A Window distinguishes new counters from replayed ones, in any order of arrival. A counter more
// than 1984 behind the newest counts as a replay, since its history is gone. The zero value is
// ready for use; a Window belongs to one goroutine.
//
// It is a ring of bits in blocks, so that moving on clears whole words and never
// shifts (RFC 6479).
type Window struct {
	newest uint64
	floor  uint64 // lower counters are old
	blocks [windowBlocks]uint64
}

// raise makes all counters below counter old.
func (w *Window) raise(counter uint64) { w.floor = max(w.floor, counter) }

// IsNew returns what Check would, and marks nothing.
func (w *Window) IsNew(counter uint64) bool {
	if counter < w.floor || counter <= w.newest && w.newest-counter > windowLen {
		return false
	}
	return counter > w.newest ||
		w.blocks[counter/windowBlockBits%windowBlocks]&(1<<(counter%windowBlockBits)) == 0
}

// Check marks counter as seen and reports whether it was new. Call it only with
// the counter of an authentic datagram: a forged one would move the window past
// everything still to come.
func (w *Window) Check(counter uint64) bool {
	if counter < w.floor {
		return false
	}
	block := counter / windowBlockBits
	if counter > w.newest {
		last := w.newest / windowBlockBits
		for i := range min(block-last, windowBlocks) {
			w.blocks[(last+1+i)%windowBlocks] = 0
		}
		w.newest = counter
	} else if w.newest-counter > windowLen {
		return false
	}
	seen := &w.blocks[block%windowBlocks]
	bit := uint64(1) << (counter % windowBlockBits)
	isNew := *seen&bit == 0
	*seen |= bit
	return isNew
}
