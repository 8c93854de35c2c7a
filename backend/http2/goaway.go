package http2

// goingAway is the progress of a connection's shutdown (RFC 9113, Section 6.8).
type goingAway uint8

const (
	staying goingAway = iota
	told              // the first GOAWAY is sent: requests under way are still served
	final             // the last stream is named
)

// Shutdown announces the end of the connection and serves the requests under way: if refused, they
// would have to be sent again. The last stream is named when the client has received the
// announcement, which the answer to a PING shows.
func (c *Conn) Shutdown(dst []byte) []byte {
	if c.goingAway != staying || c.phase == dead {
		return dst
	}
	c.goingAway = told
	dst = appendGoAway(dst, maxStreamID, NoError)
	return appendPing(dst, 0, []byte(drainPing))
}

// GoAway names the last stream that is served. Later ones are refused.
func (c *Conn) GoAway(dst []byte) []byte {
	if c.goingAway == final || c.phase == dead {
		return dst
	}
	c.goingAway = final
	return appendGoAway(dst, c.last, NoError)
}

// Drained reports whether a connection that ends has no work left.
func (c *Conn) Drained() bool {
	return c.phase == dead || c.goingAway == final && c.Len() == 0
}

// Busy reports whether a header block or a frame is incomplete, apart from the bytes that the
// caller keeps.
func (c *Conn) Busy() bool {
	return c.phase < serving || c.phase == awaitContinuation || c.skip > 0 || c.data.stream != nil
}
