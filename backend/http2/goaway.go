package http2

// goingAway is how far the end of a connection has been told (RFC 9113, Section 6.8).
type goingAway uint8

const (
	staying goingAway = iota
	told              // that there will be an end: requests under way are still served
	final             // which one is the last
)

// Shutdown tells the client that the connection will end, and serves the requests that are
// on their way: they would have to be sent again if they were refused. When the client
// has heard of it, which the answer to a PING says, the last one is named.
func (c *Conn) Shutdown(dst []byte) []byte {
	if c.goingAway != staying || c.phase == dead {
		return dst
	}
	c.goingAway = told
	dst = appendGoAway(dst, maxStreamID, NoError)
	return appendPing(dst, 0, []byte(farewell))
}

// Goodbye names the last stream that is served. Later ones are refused.
func (c *Conn) Goodbye(dst []byte) []byte {
	if c.goingAway == final || c.phase == dead {
		return dst
	}
	c.goingAway = final
	return appendGoAway(dst, c.last, NoError)
}

// Drained reports whether nothing is left to do on a connection that ends.
func (c *Conn) Drained() bool {
	return c.phase == dead || c.goingAway == final && c.Len() == 0
}

// Busy reports whether a header block or a frame has begun whose end is missing, besides
// what the caller keeps.
func (c *Conn) Busy() bool {
	return c.phase < serving || c.phase == awaitContinuation || c.skip > 0 || c.data.stream != nil
}
