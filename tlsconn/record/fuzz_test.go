package record

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzOpen has any header and fragment opened: no panic, and what does open has
// been sealed.
func FuzzOpen(f *testing.F) {
	var s Scratch
	for i, suite := range allSuites {
		out, _ := newPair(suite)
		f.Add(uint8(i), out.Seal(&s, nil, Handshake, 0, []byte("handshake")), true)
		f.Add(uint8(i), []byte{23, 3, 3, 0, 0}, false)
	}
	f.Add(uint8(255), []byte{22, 3, 1, 0, 1, 1}, true)
	f.Fuzz(func(t *testing.T, which uint8, record []byte, inPlace bool) {
		if len(record) < HeaderLen {
			return
		}
		var s Scratch
		h := new(Half)
		var sealed []byte
		if int(which) < len(allSuites) {
			var out *Half
			out, h = newPair(allSuites[which])
			sealed = out.Seal(&s, nil, Handshake, 0, []byte("handshake"))
		}
		header, fragment := record[:HeaderLen], slices.Clone(record[HeaderLen:])
		var dst []byte
		if !inPlace {
			dst = make([]byte, 0, len(fragment))
		}
		typ, plain, fault := h.Open(&s, dst, header, fragment)
		switch {
		case fault != None:
			if typ != 0 || plain != nil {
				t.Errorf("%v with type %d and %d bytes", fault, typ, len(plain))
			}
		case len(plain) > MaxPlain || len(plain) > len(fragment):
			t.Errorf("%d bytes from %d", len(plain), len(fragment))
		case !permitted(typ, len(plain)):
			t.Errorf("type %d with %d bytes", typ, len(plain))
		case sealed != nil && !bytes.Equal(record[HeaderLen:], sealed[HeaderLen:]):
			t.Errorf("% x opens, which was never sealed", record)
		}
	})
}

// FuzzSealOpen seals, opens, and opens again with one bit changed.
func FuzzSealOpen(f *testing.F) {
	for i := range allSuites {
		f.Add(uint8(i), uint8(ApplicationData), []byte("data"), uint16(7), uint32(40+i))
		f.Add(uint8(i), uint8(Alert), []byte{1, 0}, uint16(0), uint32(0))
	}
	f.Fuzz(func(t *testing.T, which, typ uint8, plain []byte, skip uint16, bit uint32) {
		suite := allSuites[int(which)%len(allSuites)]
		if len(plain) > MaxPlain || suite.TLS13 && Type(typ) == ChangeCipherSpec ||
			!permitted(Type(typ), len(plain)) {
			return
		}
		var s Scratch
		out, in := newPair(suite)
		out.seq, in.seq = uint64(skip)<<40, uint64(skip)<<40
		record := out.Seal(&s, nil, Type(typ), 0, plain)
		length := int(record[3])<<8 | int(record[4])
		if len(record) != out.SealedLen(len(plain)) || len(record) != HeaderLen+length {
			t.Fatalf("record of %d bytes, header % x", len(record), record[:HeaderLen])
		}
		changed := slices.Clone(record)
		n := int(bit % uint32(8*len(record)))
		changed[n/8] ^= 1 << (n % 8)
		before := *in
		got, opened, fault := in.Open(&s, nil, record[:HeaderLen], record[HeaderLen:])
		if got != Type(typ) || !bytes.Equal(opened, plain) || fault != None {
			t.Fatalf("type %d, %d bytes, %v", got, len(opened), fault)
		}
		*in = before
		// The length is Open's to believe in TLS 1.2, the caller found the fragment by it.
		if !suite.TLS13 && (n/8 == 3 || n/8 == 4) {
			return
		}
		if _, _, fault := in.Open(&s, nil, changed[:HeaderLen], changed[HeaderLen:]); fault == None {
			t.Errorf("opens with bit %d changed", n)
		}
	})
}
