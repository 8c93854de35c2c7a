package stats

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Bounds on the cost of one client of the JSON server.
const (
	defaultTimeout  = 5 * time.Second
	defaultMaxConns = 16
	maxRequest      = 16 << 10 // bytes of an HTTP request that are read
	maxLinger       = 64 << 10 // bytes of unasked input that are read before closing
	lingerTime      = time.Second
	// after a failed accept, most likely for want of a descriptor
	acceptPause = 100 * time.Millisecond
)

// JSONOptions tune a JSONServer. The zero value is what uWSGI does.
type JSONOptions struct {
	// expect an HTTP request and answer it (uWSGI's stats-http); else just write
	HTTP bool
	// that a client has to ask (with HTTP) and again to read everything; 0 = 5 s
	Timeout  time.Duration
	MaxConns int // served at once, others wait; 0 = 16
	Start    Start
}

// JSONServer writes the registry's document to each client that connects, and closes.
type JSONServer struct {
	registry *Registry
	options  JSONOptions
	listener *boundedListener
	running  sync.WaitGroup // the accepting goroutine and one per connection
	cutoff   context.Context
	cut      context.CancelFunc // closes all connections at once
}

// ListenJSON starts a server on address: host:port, :port, [v6]:port, or the path of a unix
// socket (the umask decides who may connect; one left behind by a dead process is
// replaced). Errors are lines for an operator. Shutdown ends it.
func ListenJSON(address string, r *Registry, o JSONOptions) (*JSONServer, error) {
	l, err := listen("stats", address, cmp.Or(o.MaxConns, defaultMaxConns), &o.Start)
	if err != nil {
		return nil, err
	}
	s := &JSONServer{registry: r, options: o, listener: l}
	s.cutoff, s.cut = context.WithCancel(context.Background())
	s.running.Go(s.accept)
	return s, nil
}

// Addr returns the address that the server listens on, with the port it got for port 0.
func (s *JSONServer) Addr() net.Addr { return s.listener.Addr() }

// Socket returns a copy of the listening socket, for a successor.
func (s *JSONServer) Socket() (fd int, err error) { return copyOf(s.listener) }

// LeavePath keeps the path of a unix socket at Shutdown, for a successor.
func (s *JSONServer) LeavePath() { s.listener.ownPath(false) }

// Shutdown accepts no more and waits for the connections being served, until
// ctx ends: then it closes them and returns ctx's error. When it returns, no goroutine is left.
func (s *JSONServer) Shutdown(ctx context.Context) error {
	defer s.cut()
	s.listener.Close()
	stop := context.AfterFunc(ctx, s.cut)
	s.running.Wait()
	if stop() {
		return nil
	}
	return ctx.Err()
}

func (s *JSONServer) accept() {
	s.listener.await(&s.options.Start)
	for {
		c, err := s.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(acceptPause)
		default:
			s.running.Go(func() { s.serve(c.(*boundedConn)) })
		}
	}
}

func (s *JSONServer) serve(c *boundedConn) {
	defer c.Close()
	defer context.AfterFunc(s.cutoff, func() { c.Close() })()
	timeout := cmp.Or(s.options.Timeout, defaultTimeout)

	var answer []byte
	if s.options.HTTP {
		c.SetReadDeadline(time.Now().Add(timeout))
		answer = s.answerHTTP(c)
	} else {
		answer = s.registry.document()
	}
	c.SetWriteDeadline(time.Now().Add(timeout))
	if _, err := c.Write(answer); err == nil {
		linger(c)
	}
}

// answerHTTP reads one request and returns the whole response, whatever the path.
// It lacks uWSGI's "Access-Control-Allow-Origin: *", which would let any web page
// that the operator visits read the node's state.
func (s *JSONServer) answerHTTP(c net.Conn) []byte {
	response := http.Response{
		StatusCode: http.StatusOK,
		ProtoMajor: 1,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Close:      true,
	}
	request, err := http.ReadRequest(bufio.NewReader(io.LimitReader(c, maxRequest)))
	if err != nil {
		response.StatusCode = http.StatusBadRequest
	} else {
		document := s.registry.document()
		response.Request = request // its method decides whether there is a body
		response.ContentLength = int64(len(document))
		response.Body = io.NopCloser(bytes.NewReader(document))
	}
	var b bytes.Buffer
	response.Write(&b) // into memory: cannot fail
	return b.Bytes()
}

// linger lets the client take what was written. Closing while input is unread would reset the
// connection, and a reset destroys data in flight.
func linger(c *boundedConn) {
	if c.CloseWrite() == nil {
		c.SetReadDeadline(time.Now().Add(lingerTime))
		io.CopyN(io.Discard, c, maxLinger)
	}
}
