package http1

// Framing is how a message's end is marked (RFC 9112, Section 6).
type Framing uint8

const (
	NoBody     Framing = iota // with the head
	ByLength                  // after Content-Length bytes, which may be none
	Chunked                   // with the last chunk
	UntilClose                // with the connection: responses only
)

// framing evaluates the length fields of a head (RFC 9112, Section 6.3). Whatever two recipients
// are known to read in two ways is an error.
func (s *section) framing(minor int) (f Framing, length int64, err error) {
	switch {
	case s.codings > 0 && s.lengths > 0:
		return 0, 0, errTwoFramings
	case s.codings > 1:
		return 0, 0, errManyCodings
	case s.lengths > 1:
		return 0, 0, errManyLengths
	case s.codings == 1 && minor == 0:
		return 0, 0, errOldCoding
	case s.codings == 1:
		return Chunked, 0, checkCoding(s.coding)
	case s.lengths == 1:
		length, ok := parseDecimal(s.length)
		if !ok {
			return 0, 0, errLength
		}
		return ByLength, length, nil
	}
	return NoBody, 0, nil
}

// checkCoding accepts chunked alone: with it, the end of the body can be found without
// understanding anything else. Well-formed unknown codings get a 501 (RFC 9112, Section 6.1); if
// chunked is not the last coding, the end cannot be found (Section 6.3).
func checkCoding(list []byte) error {
	if equalFold(list, "chunked") {
		return nil
	}
	known, last := false, false // whether chunked is among the codings, and comes last
	count := 0
	for len(list) > 0 {
		var coding []byte
		if coding, list = cutElement(list); len(coding) == 0 {
			continue
		}
		if span(coding, 0, isToken) != len(coding) {
			return errCoding
		}
		count++
		last = equalFold(coding, "chunked")
		known = known || last
	}
	if count == 0 || known && !last {
		return errCoding
	}
	return errUnknownCoding
}
