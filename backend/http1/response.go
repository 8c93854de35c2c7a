package http1

// A Response is the head of a response. Its slices point into the parsed bytes; it is reused, with
// its array of fields.
type Response struct {
	Minor  int // of the version: 0 or 1
	Status int // 100 to 599
	Reason []byte
	Fields []Field

	Framing Framing
	Length  int64 // the Content-Length, even if no body follows (HEAD, 304); -1 if none

	KeepAlive bool   // the backend accepts another request on this connection
	Upgrade   []byte // the protocol that follows a 101
}

// Parse reads a head whose length [HeadLen] has returned; method is that of the request. An error
// is an *[Error] whose status is 502.
func (r *Response) Parse(head, method []byte, l *Limits) error {
	if err := r.parse(head, string(method) == "HEAD", l); err != nil {
		return err.(*Error).gateway
	}
	return nil
}

func (r *Response) parse(head []byte, isHead bool, l *Limits) error {
	*r = Response{Fields: r.Fields[:0]}
	if len(head) > l.HeadLen {
		return errHeadLen
	}
	lines, err := r.parseLine(head)
	if err != nil {
		return err
	}
	var s section
	if r.Fields, err = s.parse(lines, r.Fields, l); err != nil {
		return err
	}
	o, err := s.options(r.Fields)
	if err != nil {
		return err
	}
	r.KeepAlive = !o.close && (r.Minor > 0 || o.keepAlive)
	if err := r.parseFraming(&s, isHead); err != nil {
		return err
	}
	if r.Status == 101 {
		if !o.upgrade || s.upgrades != 1 || len(s.upgrade) == 0 {
			return errSwitch
		}
		r.Upgrade = s.upgrade
	}
	return nil
}

// parseLine reads the status line and returns what follows it. The space before
// an empty reason phrase is often missing.
func (r *Response) parseLine(p []byte) (rest []byte, err error) {
	if len(p) < len("HTTP/1.1 200\r\n") {
		return nil, errStatusLine
	}
	if r.Minor, err = parseVersion(p[:8]); err != nil {
		return nil, err
	}
	status, ok := parseDecimal(p[9:12])
	end := valueEnd(p, 12)
	switch {
	case p[8] != ' ' || !ok || p[12] != ' ' && p[12] != '\r' && p[12] != '\n':
		return nil, errStatusLine
	case status < 100 || status > 599:
		return nil, errStatus
	case end+2 > len(p) || p[end] != '\r' || p[end+1] != '\n':
		return nil, badValue(p, end)
	}
	r.Status, r.Reason = int(status), trim(p[12:end])
	return p[end+2:], nil
}

// parseFraming follows RFC 9112, Section 6.3.
func (r *Response) parseFraming(s *section, isHead bool) (err error) {
	if r.Framing, r.Length, err = s.framing(r.Minor); err != nil {
		return err
	}
	if r.Framing != ByLength {
		r.Length = -1
	}
	switch {
	case r.Status < 200 || r.Status == 204:
		// These statuses must not announce a body that they cannot have (RFC 9110, Section 8.6). A
		// backend that announces one may send one.
		if r.Framing == Chunked || r.Length > 0 {
			r.KeepAlive = false
		}
		r.Framing, r.Length = NoBody, -1
	case isHead || r.Status == 304:
		r.Framing = NoBody
	case r.Framing == NoBody:
		r.Framing, r.KeepAlive = UntilClose, false
	}
	return nil
}

// Passes reports whether a field of r is for the client: it concerns more than this hop and does
// not frame the message; framing fields are written anew.
func (r *Response) Passes(f *Field) bool { return !f.HopByHop() && f.kind != contentLength }
