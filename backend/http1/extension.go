package http1

func (b *Body) beginExtension() {
	if b.state = extensionStart; b.response {
		b.state = extension
	}
}

// extensionByte goes on by one byte in chunk extensions, which nobody needs and
// which are dropped. Those of a client have to be what RFC 9112, Section 7.1.1, has,
// without the white space that it calls bad: who skips over anything up to the end
// of the line meets others who end the line, or the extension, elsewhere.
func (b *Body) extensionByte(c byte) *Error {
	if b.extLen++; c == '\r' {
		switch b.state {
		case extension, extensionName, extensionToken, extensionEnd:
			b.state = chunkSizeLF
			return nil
		}
		return errChunkExtension
	}
	next := b.afterExtension(c)
	if classes[c]&isValue == 0 || b.extLen > maxExtensionLen || next == complete {
		return errChunkExtension
	}
	b.state = next
	return nil
}

// afterExtension returns what is expected behind c, complete if c may not be there.
func (b *Body) afterExtension(c byte) bodyState {
	isPart := classes[c]&isToken != 0
	switch b.state {
	case extension:
		return extension
	case extensionStart:
		if isPart {
			return extensionName
		}
	case extensionName:
		switch {
		case isPart:
			return extensionName
		case c == '=':
			return extensionEqual
		case c == ';':
			return extensionStart
		}
	case extensionEqual:
		switch {
		case isPart:
			return extensionToken
		case c == '"':
			return extensionString
		}
	case extensionString:
		switch c {
		case '"':
			return extensionEnd
		case '\\':
			return extensionPair
		}
		return extensionString
	case extensionPair:
		return extensionString
	case extensionToken, extensionEnd:
		switch {
		case isPart && b.state == extensionToken:
			return extensionToken
		case c == ';':
			return extensionStart
		}
	}
	return complete
}
