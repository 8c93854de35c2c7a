package tlsclient

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
)

// Workers run what would hold up a loop. TrySubmit must not block and returns false if there is no
// room. If abandoned is set before the job's turn comes, it is not run.
type Workers interface {
	TrySubmit(work func(), abandoned *atomic.Bool) bool
}

// A handshake under way is a goroutine that moves in steps.
type handshake struct {
	started bool // written by the first step
	over    bool // and err is its result; written before the last step ends
	err     error

	resume, parked chan struct{} // to the goroutine, and from it, once for each step
	aborted        chan struct{} // closed when the handshake is aborted
	abandoned      atomic.Bool   // the same, for workers
}

func newHandshake() *handshake {
	return &handshake{
		resume: make(chan struct{}), parked: make(chan struct{}),
		aborted: make(chan struct{}),
	}
}

// Step continues the handshake on a worker, or here if workers is nil, with more ciphertext, which
// is copied, or at its end. wake is called from any goroutine when the step is over; until then
// only Abort may be called. It returns false, without effect, if the workers have no room.
func (c *Conn) Step(in []byte, eof bool, workers Workers, wake func()) bool {
	h := c.hs
	step := func() {
		c.records.follow(in)
		c.in, c.eof = append(c.in, in...), eof
		if h.step(c) {
			wake()
		}
	}
	if workers == nil {
		step()
		return true
	}
	return workers.TrySubmit(step, &h.abandoned)
}

// Stepped appends a step's output to out and updates State. It must be called once a step is over.
func (c *Conn) Stepped(out []byte) []byte {
	out = append(out, c.out...)
	c.out = nil
	h := c.hs
	switch {
	case !h.over:
		return out
	case h.err != nil:
		c.fail(newError(h.err))
	default:
		c.state = Connected
	}
	c.hs = nil // from here on wire.Read does not wait
	return out
}

// Abort ends a handshake that is no longer needed, if there is one, whatever its state. The Conn is
// unusable afterwards.
func (c *Conn) Abort() {
	if h := c.hs; h != nil && !h.abandoned.Swap(true) {
		close(h.aborted)
	}
}

// step moves the goroutine until it waits for input or has ended. It returns false if the
// handshake was aborted meanwhile.
func (h *handshake) step(c *Conn) bool {
	if !h.started {
		h.started = true
		go h.run(c)
	} else {
		select {
		case h.resume <- struct{}{}:
		case <-h.aborted:
			return false
		}
	}
	select {
	case <-h.parked:
		return true
	case <-h.aborted:
		return false
	}
}

// run is the goroutine.
func (h *handshake) run(c *Conn) {
	err := h.shake(c)
	h.over, h.err = true, err
	select {
	case h.parked <- struct{}{}:
	case <-h.aborted:
	}
}

// shake keeps a panic from ending the process.
func (h *handshake) shake(c *Conn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in a handshake with a backend, which fails", "panic", fmt.Sprint(p),
				"stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.tls.Handshake()
}

// park ends a step and waits for the next. It returns false if there will be none.
func (h *handshake) park() bool {
	select {
	case h.parked <- struct{}{}:
	case <-h.aborted:
		return false
	}
	select {
	case <-h.resume:
		return true
	case <-h.aborted:
		return false
	}
}
