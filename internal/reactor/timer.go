package reactor

import "math/bits"

// A wheel keeps timers in levels of 64 slots: level 0 has slots of one tick,
// each further level of 64 times as many. A timer sits in the level of the
// highest digit, to the base of 64, in which its deadline differs from now, and
// moves down as that time comes near. Setting and stopping are O(1) whatever
// the number of timers. (Varghese and Lauck, "Hashed and hierarchical timing
// wheels", 1987.)
type wheel struct {
	now    uint64
	levels [wheelLevels]wheelLevel
}

type wheelLevel struct {
	used  uint64 // bit i: slot i has a timer
	slots [wheelSlots]*Timer
}

const (
	wheelBits   = 6
	wheelSlots  = 1 << wheelBits
	wheelLevels = 10 // 2^60 ticks: now never gets to the end
	wheelSpan   = 1<<(wheelBits*wheelLevels) - 1
)

// A Timer is embedded in what it wakes. The zero value is stopped.
type Timer struct {
	deadline   uint64
	next, prev *Timer // prev is nil for the first of a slot
	level      uint8
	slot       uint8
	set        bool
	Owner      Handler
}

// IsSet reports whether t is armed for a tick, and for which.
func (t *Timer) IsSet() (tick uint64, ok bool) { return t.deadline, t.set }

// set arms t for the tick deadline, or the next one if that has passed.
func (w *wheel) set(t *Timer, deadline uint64) {
	w.stop(t)
	t.deadline = min(max(deadline, w.now+1), wheelSpan)
	w.insert(t)
}

func (w *wheel) insert(t *Timer) {
	differ := (w.now ^ t.deadline) | (wheelSlots - 1)
	level := (bits.Len64(differ) - 1) / wheelBits
	slot := t.deadline >> (level * wheelBits) % wheelSlots
	t.level, t.slot, t.set = uint8(level), uint8(slot), true

	l := &w.levels[level]
	t.prev, t.next = nil, l.slots[slot]
	if t.next != nil {
		t.next.prev = t
	}
	l.slots[slot] = t
	l.used |= 1 << slot
}

// stop disarms t.
func (w *wheel) stop(t *Timer) {
	if !t.set {
		return
	}
	l := &w.levels[t.level]
	if t.next != nil {
		t.next.prev = t.prev
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else if l.slots[t.slot] = t.next; t.next == nil {
		l.used &^= 1 << t.slot
	}
	t.next, t.prev, t.set = nil, nil, false
}

// next returns the tick at which advance must be called again, at the latest;
// false if no timer is set. It may be before the first deadline, when timers
// have to move to a lower level.
func (w *wheel) next() (tick uint64, ok bool) {
	level, slot, ok := w.first()
	if !ok {
		return 0, false
	}
	return w.start(level, slot), true
}

// len counts the timers that are set.
func (w *wheel) len() (n int) {
	for i := range w.levels {
		for _, first := range w.levels[i].slots {
			for t := first; t != nil; t = t.next {
				n++
			}
		}
	}
	return n
}

// first finds the slot that comes up first. A lower level always comes before a
// higher one, because a timer's level is that of the first digit that differs.
func (w *wheel) first() (level int, slot uint64, ok bool) {
	for level := range w.levels {
		if used := w.levels[level].used; used != 0 {
			at := w.now >> (level * wheelBits) % wheelSlots
			ahead := bits.TrailingZeros64(bits.RotateLeft64(used, -int(at)))
			return level, (at + uint64(ahead)) % wheelSlots, true
		}
	}
	return 0, 0, false
}

// start is the tick at which a slot begins.
func (w *wheel) start(level int, slot uint64) uint64 {
	width := uint64(1) << (level * wheelBits)
	turn := width << wheelBits
	return w.now&^(turn-1) + slot*width
}

// advance moves to the tick now and calls fire for each timer whose deadline
// has come. fire may set and stop timers. If it returns false, the others wait for the
// next call, and advance returns false too.
func (w *wheel) advance(now uint64, fire func(*Timer) (goOn bool)) bool {
	for {
		level, slot, ok := w.first()
		if !ok {
			break
		}
		tick := w.start(level, slot)
		if tick > now {
			break
		}
		w.now = max(w.now, tick)
		for t := w.levels[level].slots[slot]; t != nil; t = w.levels[level].slots[slot] {
			w.stop(t)
			if t.deadline > w.now {
				w.insert(t)
			} else if !fire(t) {
				return false
			}
		}
	}
	w.now = max(w.now, now)
	return true
}
