package wire

// Uniqueness is checked by pairwise comparison while there are few values, and in a bitmap when
// there are more, so that the cost for a hello of thousands of extensions or key shares is linear
// in their number. The bitmap takes 8 KB of stack, which would be expensive to clear for every
// hello.

// maxCompared is the number of extensions or comparisons up to which the bitmap is not used.
const (
	maxComparedExtensions = 48
	maxComparedShares     = 512
)

// A set16 is a set of 16-bit values.
type set16 [1 << 16 / 64]uint64

func (s *set16) has(v uint16) bool { return s[v/64]>>(v%64)&1 != 0 }

// add reports whether v was not in the set.
func (s *set16) add(v uint16) bool {
	isNew := !s.has(v)
	s[v/64] |= 1 << (v % 64)
	return isNew
}

// extensionsAreUnique reports whether a block is well-formed and has no extension twice (RFC 8446,
// Section 4.2). Duplicates count as a syntax error, as in BoringSSL: no standard names the alert.
func extensionsAreUnique(block []byte) bool {
	var types [maxComparedExtensions]uint16
	n := 0
	for r := Reader(block); !r.Empty(); n++ {
		typ, ok := r.Uint16()
		if !ok {
			return false
		}
		if _, ok = r.Vector16(); !ok {
			return false
		}
		if n == len(types) {
			return manyExtensionsAreUnique(block)
		}
		for _, t := range types[:n] {
			if t == typ {
				return false
			}
		}
		types[n] = typ
	}
	return true
}

//go:noinline
func manyExtensionsAreUnique(block []byte) bool {
	var seen set16
	for r := Reader(block); !r.Empty(); {
		typ, ok := r.Uint16()
		if !ok || !seen.add(typ) {
			return false
		}
		if _, ok = r.Vector16(); !ok {
			return false
		}
	}
	return true
}

// checkKeyShares refuses two shares of a group and shares of a group that is not
// in supported_groups (RFC 8446, Section 4.2.8).
func (h *ClientHello) checkKeyShares() Fault {
	shares := 0
	for r := Reader(h.KeyShares); ; shares++ {
		group, _, ok := nextKeyShare(&r)
		if !ok {
			return None
		}
		if (shares+1)*(shares+1+len(h.Groups)/2) > maxComparedShares {
			return h.checkManyKeyShares()
		}
		if h.HasGroups && !contains16(h.Groups, group) {
			return Illegal
		}
		others := Reader(h.KeyShares)
		for range shares {
			if other, _, _ := nextKeyShare(&others); other == group {
				return Illegal
			}
		}
	}
}

//go:noinline
func (h *ClientHello) checkManyKeyShares() Fault {
	var groups, seen set16
	for r := Reader(h.Groups); !r.Empty(); {
		group, _ := r.Uint16()
		groups.add(group)
	}
	for r := Reader(h.KeyShares); ; {
		group, _, ok := nextKeyShare(&r)
		if !ok {
			return None
		}
		if h.HasGroups && !groups.has(group) || !seen.add(group) {
			return Illegal
		}
	}
}
