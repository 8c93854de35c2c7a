package wire

// Messages are appended with their lengths open, which are set once the content is there: call open
// before it, and close with the result of open after it.

// openMessage appends the header of a message.
func openMessage(dst []byte, typ uint8) ([]byte, int) {
	dst = append(dst, typ, 0, 0, 0)
	return dst, len(dst)
}

// closeMessage sets the length of the message whose content begins at start.
func closeMessage(dst []byte, start int) []byte {
	put24(dst[start-3:], len(dst)-start)
	return dst
}

// open16 appends room for a length of two bytes.
func open16(dst []byte) ([]byte, int) {
	dst = append(dst, 0, 0)
	return dst, len(dst)
}

// close16 sets the length of the vector that begins at start.
func close16(dst []byte, start int) []byte {
	n := len(dst) - start
	dst[start-2], dst[start-1] = byte(n>>8), byte(n)
	return dst
}

func put24(b []byte, n int) { b[0], b[1], b[2] = byte(n>>16), byte(n>>8), byte(n) }

func append16(dst []byte, v uint16) []byte { return append(dst, byte(v>>8), byte(v)) }

func append32(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// appendVector8 appends a vector of up to 255 bytes after its length.
func appendVector8[B ~string | ~[]byte](dst []byte, b B) []byte {
	return append(append(dst, byte(len(b))), b...)
}

// appendVector16 appends a vector of up to 65535 bytes after its length.
func appendVector16(dst, b []byte) []byte {
	return append(append16(dst, uint16(len(b))), b...)
}

// appendALPN appends the extension that names the protocol chosen
// (RFC 7301, Section 3.1).
func appendALPN(dst []byte, name string) []byte {
	dst = append16(dst, ExtALPN)
	dst = append16(dst, uint16(len(name)+3))
	dst = append16(dst, uint16(len(name)+1))
	return appendVector8(dst, name)
}

// appendEmpty appends an extension without content.
func appendEmpty(dst []byte, typ uint16) []byte {
	return append(append16(dst, typ), 0, 0)
}
