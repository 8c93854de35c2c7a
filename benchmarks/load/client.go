package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// client makes operations one after another, with at most one connection at a time. Its goroutine
// owns it.
type client struct {
	r       *run
	source  source
	config  *tls.Config
	session *session

	turn int                         // RoundRobin: index of the next address
	conn net.Conn                    // TLS or TCP; nil if there is none
	tcp  atomic.Pointer[net.TCPConn] // below conn; written by the client, closed by run.abort
	in   *bufio.Reader               // of conn
	left int                         // requests until the connection is closed; -1 is no bound
}

// session is a cache for one session. With forget it accepts the server's sessions and offers none.
type session struct {
	forget bool
	state  *tls.ClientSessionState
}

func (s *session) Get(string) (*tls.ClientSessionState, bool) {
	return s.state, s.state != nil && !s.forget
}

func (s *session) Put(_ string, state *tls.ClientSessionState) { s.state = state }

// serve makes operations from the source until it has no more or ctx ends.
func (c *client) serve(ctx context.Context) {
	for ctx.Err() == nil {
		from, ok := c.source.next()
		if !ok {
			return
		}
		from, err := c.operate(ctx, from)
		if ctx.Err() != nil {
			return // cut off by us: neither a success nor the server's failure
		}
		c.r.tally.operation(time.Since(from), err)
		if err != nil || c.left == 0 {
			c.close()
		}
		if err != nil && !c.r.paced() {
			// so that a server that refuses everything does not make the client spin
			wait(ctx, time.Millisecond)
		}
	}
}

// earnSession makes a full handshake, so that the next one can resume.
func (c *client) earnSession(ctx context.Context) error {
	defer c.close()
	if _, err := c.operate(ctx, time.Time{}); err != nil {
		return err
	}
	if c.session.state == nil {
		return claim("session", "the server issued no session")
	}
	return nil
}

// operate makes one operation and returns when it began: from, unless a used-up connection had to
// be replaced first.
func (c *client) operate(ctx context.Context, from time.Time) (time.Time, error) {
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return from, err
		}
		if !c.r.perConnection() && !c.r.paced() {
			from = time.Now()
		}
	}
	switch {
	case c.r.Mode == Accept:
		return from, c.awaitEnd()
	case !c.r.hasRequest():
		c.left = 0
		return from, nil
	case c.r.perConnection():
		return from, c.allRequests()
	}
	return from, c.request()
}

// allRequests makes the requests of a connection that counts as one operation, which needs all of
// them.
func (c *client) allRequests() error {
	for n := range c.r.Requests {
		if c.left == 0 {
			return claim("closed", "the server closed the connection after %d of %d requests", n,
				c.r.Requests)
		}
		if err := c.request(); err != nil {
			return err
		}
	}
	return nil
}

// connect makes a connection and, with TLS, its handshake.
func (c *client) connect(ctx context.Context) error {
	conn, err := c.r.dialer.DialContext(ctx, "tcp", c.addr())
	if err != nil {
		return err
	}
	tcp := conn.(*net.TCPConn)
	c.tcp.Store(tcp)
	if ctx.Err() != nil { // abort may have looked before the Store
		tcp.Close()
	}
	c.conn, c.left = conn, c.r.Requests
	if c.left == 0 {
		c.left = -1
	}
	if c.r.TLS {
		if err := c.handshake(tcp); err != nil {
			c.close()
			return err
		}
	}
	if c.in == nil && c.r.hasRequest() {
		c.in = bufio.NewReaderSize(nil, c.r.readSize())
	}
	if c.in != nil {
		c.in.Reset(c.conn)
	}
	return nil
}

func (c *client) handshake(tcp *net.TCPConn) error {
	conn := tls.Client(tcp, c.config)
	c.conn = conn
	c.extendDeadline()
	from := time.Now()
	if err := conn.Handshake(); err != nil {
		return err
	}
	state := conn.ConnectionState()
	c.r.tally.handshakeDone(time.Since(from), &state)
	if state.DidResume && c.session.forget {
		return claim("resumed", "a handshake that offered no session was resumed")
	}
	return nil
}

func (c *client) addr() string {
	addrs := c.r.Addrs
	if c.r.Pick == Random {
		return addrs[rand.IntN(len(addrs))]
	}
	c.turn++
	return addrs[c.turn%len(addrs)]
}

// request sends a request and checks its response.
func (c *client) request() error {
	c.extendDeadline()
	sent, err := c.r.exchange.send(c.conn)
	c.r.tally.bytes.Add(sent)
	if err != nil {
		return err
	}
	received, again, err := c.r.exchange.receive(c.in)
	if sent == 0 {
		c.r.tally.bytes.Add(received)
	}
	if err != nil {
		return err
	}
	switch {
	case !again:
		c.left = 0
	case c.left > 0:
		c.left--
	}
	return nil
}

// awaitEnd announces that nothing will come and waits for the server to close. A reset is as good
// as a FIN.
func (c *client) awaitEnd() error {
	c.left = 0
	c.extendDeadline()
	if err := c.tcp.Load().CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		return err
	}
	_, err := io.Copy(io.Discard, c.conn)
	if errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// alive reports whether the server has left the connection open, without waiting.
func (c *client) alive() error {
	raw, err := c.tcp.Load().SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var peekErr error
	err = raw.Control(func(fd uintptr) {
		n, _, peekErr = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return err
	case peekErr == unix.EAGAIN:
		return nil
	case peekErr != nil:
		return peekErr
	case n == 0:
		return io.EOF
	}
	return nil // session tickets, say
}

func (c *client) extendDeadline() { _ = c.conn.SetDeadline(time.Now().Add(c.r.Timeout)) }

// close ends the connection (close_notify, then FIN), if there is one.
func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
