package http1

func (b *Body) beginExtension() {
	if b.state = extensionStart; b.response {
		b.state = extension
	}
}

// extensionByte consumes one byte of a chunk extension. Extensions are dropped. A client's must
// match RFC 9112, Section 7.1.1, without the white space that it calls bad: a recipient that skips
// to the end of the line disagrees with others about where the line, or the extension, ends.
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

// afterExtension returns the state behind c, complete if c is not allowed there.
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
