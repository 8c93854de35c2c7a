package tlsconn_test

import (
	"encoding/binary"
	"slices"
)

// The mutations, each of 4 bytes: what, and three to say where and how.
const (
	opDelete byte = iota
	opDuplicate
	opMove
	opByte
	opCut
	opGrow
	opInsert
	opReplace
	opSessionID
	opSuite
	opSuites
	opSwapSuites
	opCompressions
	opVersion
	opElement
	opAppendElement
	opShare
	opIdentity
	opFixBinder
	opRecords
	opBehind
	opNoBlock
	opHeader
	opCount
)

// Values worth trying.
var (
	someExtensions = []uint16{
		idServerName, idStatusRequest, idGroups, idPointFormats, idSigAlgs, idALPN, idSCT, idEMS,
		idTicket, idPSK,
		idEarlyData, idVersions, idCookie, idPSKModes, idAuthorities, idPostHandshake, idSigAlgsCert,
		idKeyShare,
		idQUIC, idECH, idRenegotiation, 0x0a0a, 21, 22, 28, 1, 0xffff,
	}
	someData = [][]byte{
		nil,
		{0},
		{0, 0},
		{0, 1, 0},
		{1, 0},
		{1, 1},
		{2, 3, 4},
		{2, 3, 3},
		{0, 2, 0, 29},
		{0, 2, 4, 3},
		{0, 3, 2, 'h', '2'},
		{0, 3, 2, 'x', 'x'},
		{0, 6, 0, 0, 3, 'a', '.', 'b'},
		{0, 6, 0, 0, 3, 'a', 'b', '.'},
		{0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'},
		{0, 8, 1, 0, 1, 'a', 0, 0, 1, 'b'},
		{0, 4, 0, 0, 1, 0},
		{1, 0, 0, 0, 0},
		{4, 3, 4, 3, 3},
		{0, 4, 0, 23, 0, 24},
		{0, 4, 0, 0, 1, 'a'},
		{0, 5, 0, 29, 0, 1, 0},
		{1, 0, 0, 1, 0, 32, 0, 0},
		{1},
	}
	someSuites = []uint16{
		0x1301, 0x1302, 0x1303, 0x1304, 0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8, 0xc009, 0xc013,
		0x009c, 0x002f, 0x5600, 0x00ff, 0x0a0a, 0,
	}
	someNumbers = []uint16{
		0x0304, 0x0303, 0x0302, 0x0301, 0x0300, 0x7f1c, 0x0a0a, 23, 24, 25, 29, 30, 0x11ec, 0x11eb, 0x100,
		0x0403, 0x0503, 0x0603,
		0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807, 0x0201, 0x0203, 0x0809, 0, 0xffff,
	}
)

// mutate changes a base as ops say, and returns it as bytes on the wire.
func (w *twin) mutate(b base, ops []byte) []byte {
	h := b.hello.clone()
	max, behind, header := 1<<14, []byte(nil), [4]byte{}
	for ; len(ops) >= 4; ops = ops[4:] {
		op, x, y, z := ops[0]%opCount, int(ops[1]), int(ops[2]), ops[3]
		switch op {
		case opFixBinder:
			h.fixBinder(w.psk, w.sha384)
		case opRecords:
			max = 1 + x + y<<4
		case opBehind:
			behind = append(behind, someBehind[x%len(someBehind)]...)
		case opHeader:
			header = [4]byte{1, byte(x), byte(y), z}
		default:
			h.mutate(op, x, y, z)
		}
	}
	out := h.records(max)
	if header[0] == 1 { // one byte of the first record's or the message's header
		if at := int(header[1]) % 9; at < len(out) {
			out[at] ^= header[2]
		}
	}
	return append(out, behind...)
}

// someBehind are bytes that a client may send after its ClientHello, before it has an answer.
var someBehind = [][]byte{
	{20, 3, 3, 0, 1, 1},
	{21, 3, 3, 0, 2, 1, 0},
	{21, 3, 3, 0, 2, 2, 40},
	{22, 3, 3, 0, 4, 20, 0, 0, 0},
	{22, 3, 3, 0, 1, 1},
	{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20},
	{22, 3, 3, 0, 0},
	{99, 3, 3, 0, 1, 1},
}

func (h *rawHello) clone() *rawHello {
	c := *h
	c.sessionID, c.suites, c.compressions = slices.Clone(h.sessionID), slices.Clone(h.suites),
		slices.Clone(h.compressions)
	c.extensions = nil
	for _, e := range h.extensions {
		c.extensions = append(c.extensions, rawExtension{e.id, slices.Clone(e.data)})
	}
	return &c
}

// mutate does one mutation; it does nothing where there is nothing to do it to.
func (h *rawHello) mutate(op byte, x, y int, z byte) {
	switch op {
	case opSessionID:
		h.sessionID = append(h.sessionID, make([]byte, 64)...)[:x%36]
	case opSuite:
		if n := len(h.suites) / 2; n > 0 {
			binary.BigEndian.PutUint16(h.suites[x%n*2:], someSuites[y%len(someSuites)])
		}
	case opSuites:
		h.suites = h.suites[:x%(len(h.suites)+1)]
	case opSwapSuites:
		if n := len(h.suites) / 2; n > 0 {
			a, b := h.suites[x%n*2:][:2], h.suites[y%n*2:][:2]
			a[0], a[1], b[0], b[1] = b[0], b[1], a[0], a[1]
		}
	case opCompressions:
		h.compressions = [][]byte{{}, {0}, {1}, {0, 1}, {1, 0}, {0, 0}}[x%6]
	case opVersion:
		h.version = someNumbers[x%7]
	case opNoBlock:
		h.noBlock = x%2 == 0
	case opInsert:
		e := rawExtension{someExtensions[x%len(someExtensions)], slices.Clone(someData[y%len(someData)])}
		h.extensions = slices.Insert(h.extensions, int(z)%(len(h.extensions)+1), e)
	default:
		if len(h.extensions) > 0 {
			h.mutateExtension(op, x%len(h.extensions), y, z)
		}
	}
}

func (h *rawHello) mutateExtension(op byte, x, y int, z byte) {
	e := &h.extensions[x]
	switch op {
	case opDelete:
		h.extensions = slices.Delete(h.extensions, x, x+1)
	case opDuplicate:
		h.extensions = slices.Insert(h.extensions, y%(len(h.extensions)+1),
			rawExtension{e.id, slices.Clone(e.data)})
	case opMove:
		moved := *e
		h.extensions = slices.Delete(h.extensions, x, x+1)
		h.extensions = slices.Insert(h.extensions, y%(len(h.extensions)+1), moved)
	case opByte:
		if len(e.data) > 0 {
			e.data[y%len(e.data)] ^= z
		}
	case opCut:
		e.data = e.data[:len(e.data)-min(len(e.data), y%8)]
	case opGrow:
		for range y % 8 {
			e.data = append(e.data, z)
		}
	case opReplace:
		e.data = slices.Clone(someData[y%len(someData)])
	case opElement:
		h.setElement(e, y, someNumbers[int(z)%len(someNumbers)])
	case opAppendElement:
		h.appendElement(e, someNumbers[int(z)%len(someNumbers)])
	case opShare:
		if e := h.find(idKeyShare); e != nil {
			e.mutateShares(y, z)
		}
	case opIdentity:
		if e := h.find(idPSK); e != nil {
			e.mutateIdentities(y, z)
		}
	}
}

// prefixLen is how long the length of an extension's list is.
func (e *rawExtension) prefixLen() int {
	if e.id == idVersions || e.id == idPSKModes || e.id == idPointFormats {
		return 1
	}
	return 2
}

func (h *rawHello) setElement(e *rawExtension, i int, v uint16) {
	at := e.prefixLen()
	if n := (len(e.data) - at) / 2; n > 0 {
		binary.BigEndian.PutUint16(e.data[at+i%n*2:], v)
	}
}

func (h *rawHello) appendElement(e *rawExtension, v uint16) {
	e.data = binary.BigEndian.AppendUint16(e.data, v)
	e.fixLength()
}

// fixLength makes the length before an extension's list right.
func (e *rawExtension) fixLength() {
	if e.prefixLen() == 1 && len(e.data) > 0 {
		e.data[0] = byte(len(e.data) - 1)
	} else if len(e.data) > 1 {
		binary.BigEndian.PutUint16(e.data, uint16(len(e.data)-2))
	}
}

// mutateShares changes what the key shares are, y says how.
func (e *rawExtension) mutateShares(y int, z byte) {
	if len(e.data) < 2 {
		return
	}
	var shares [][]byte
	for d := e.data[2:]; len(d) >= 4; {
		n := 4 + int(binary.BigEndian.Uint16(d[2:]))
		if n > len(d) {
			break
		}
		shares = append(shares, slices.Clone(d[:n]))
		d = d[n:]
	}
	if len(shares) == 0 {
		return
	}
	i := int(z) % len(shares)
	switch y % 7 {
	case 0:
		shares = slices.Delete(shares, i, i+1)
	case 1:
		shares = append(shares, shares[i])
	case 2:
		slices.Reverse(shares)
	case 3:
		binary.BigEndian.PutUint16(shares[i], someNumbers[int(z)%len(someNumbers)])
	case 4:
		clear(shares[i][4:]) // a point that no key exchange may take
	case 5:
		shares[i] = shares[i][:max(4, len(shares[i])-1)]
		binary.BigEndian.PutUint16(shares[i][2:], uint16(len(shares[i])-4))
	case 6:
		shares = append(shares, append(binary.BigEndian.AppendUint16(nil,
			someNumbers[int(z)%len(someNumbers)]), 0, 1, z))
	}
	e.data = append([]byte{0, 0}, slices.Concat(shares...)...)
	e.fixLength()
}

// mutateIdentities changes the sessions that are offered. The first is good.
func (e *rawExtension) mutateIdentities(y int, z byte) {
	if len(e.data) < 2 {
		return
	}
	n := 2 + int(binary.BigEndian.Uint16(e.data))
	if n > len(e.data) {
		return
	}
	identities, binders := slices.Clone(e.data[2:n]), slices.Clone(e.data[n:])
	if len(binders) < 2 {
		return
	}
	unknown := []byte{0, 3, 'x', 'y', 'z', 0, 0, 0, 0}
	other := append([]byte{32}, make([]byte, 32)...)
	switch y % 5 {
	case 0: // an unknown one, before
		identities = append(unknown, identities...)
		binders = append(append([]byte{0, 0}, other...), binders[2:]...)
	case 1: // and behind
		identities, binders = append(identities, unknown...), append(binders, other...)
	case 2: // one too many
		identities = append(identities, unknown...)
	case 3:
		binders = append(binders, other...)
	case 4: // an age of no meaning
		if len(identities) >= 4 {
			identities[len(identities)-1] ^= z
		}
	}
	binary.BigEndian.PutUint16(binders, uint16(len(binders)-2))
	e.data = append(binary.BigEndian.AppendUint16(nil, uint16(len(identities))), identities...)
	e.data = append(e.data, binders...)
}
