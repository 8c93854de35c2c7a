package tlsconn_test

import (
	"io"
	"sync"

	"reprise/internal/memconn"
)

// A pipe is one end of a buffered connection in memory between two goroutines:
// net.Pipe without its rendezvous, which would count against plain crypto/tls
// in a comparison.
type pipe struct {
	in, out *pipeHalf
	memconn.Rest
}

type pipeHalf struct {
	mu     sync.Mutex
	filled sync.Cond
	data   []byte
	closed bool
}

func newPipe() (a, b *pipe) {
	x, y := new(pipeHalf), new(pipeHalf)
	x.filled.L, y.filled.L = &x.mu, &y.mu
	return &pipe{in: x, out: y}, &pipe{in: y, out: x}
}

func (p *pipe) Read(b []byte) (int, error) {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.data) == 0 && !h.closed {
		h.filled.Wait()
	}
	if len(h.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, h.data)
	h.data = h.data[n:]
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) {
	h := p.out
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, io.ErrClosedPipe
	}
	h.data = append(h.data, b...)
	h.filled.Signal()
	return len(b), nil
}

func (p *pipe) Close() error {
	for _, h := range []*pipeHalf{p.in, p.out} {
		h.mu.Lock()
		h.closed = true
		h.filled.Broadcast()
		h.mu.Unlock()
	}
	return nil
}

// A script is a server's pipe that, once live, reads prepared input and records output.
type script struct {
	*pipe
	live        bool
	given, sent []byte
}

func (s *script) Read(b []byte) (int, error) {
	if !s.live {
		return s.pipe.Read(b)
	}
	if len(s.given) == 0 {
		return 0, errNoAnswer
	}
	n := copy(b, s.given)
	s.given = s.given[n:]
	return n, nil
}

func (s *script) Write(b []byte) (int, error) {
	if !s.live {
		return s.pipe.Write(b)
	}
	s.sent = append(s.sent, b...)
	return len(b), nil
}

// A clientScript is the client's end: once live, its output is recorded too.
type clientScript struct {
	*pipe
	script *script
}

func (s *clientScript) Write(b []byte) (int, error) {
	if !s.script.live {
		return s.pipe.Write(b)
	}
	return s.script.Write(b)
}
