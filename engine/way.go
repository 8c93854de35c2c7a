package engine

import "reprise/internal/queue"

// A way is one direction of a flow: the data on their way to a socket, and the state of its end.
// The zero value is open and empty.
type way struct {
	pending queue.Queue // what the socket has not taken yet
	full    bool        // pending has reached the high watermark and not yet the low one
	end     end
}

// end is the state of a way's end.
type end uint8

const (
	open    end = iota
	closing     // nothing will be added; a FIN follows the pending data
	closed      // the FIN is sent, or nothing will be written any more
)

// finish makes a FIN follow the pending data.
func (w *way) finish() { w.end = max(w.end, closing) }

// cutOff drops the pending data: nothing will be written any more.
func (w *way) cutOff() {
	w.pending.Drop()
	w.end = closed
}

// send writes p to the socket behind the pending data; what the socket does not take becomes
// pending.
func (w *way) send(to *socket, p []byte) error {
	if w.pending.Len() > 0 {
		w.pending.Push(p)
		return w.write(to)
	}
	if to.writable && len(p) > 0 {
		n, err := to.write(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	w.pending.Push(p)
	return nil
}

// write writes pending data.
func (w *way) write(to *socket) error {
	for to.writable && w.pending.Len() > 0 {
		n, err := to.write(w.pending.Bytes())
		if err != nil {
			return err
		}
		w.pending.Pop(n)
	}
	return nil
}

// flush writes pending data and, after the last of them, the FIN.
func (w *way) flush(to *socket) error {
	if err := w.write(to); err != nil {
		return err
	}
	if w.end == closing && w.pending.Len() == 0 {
		w.end = closed
		rawShutdown(to.fd)
	}
	return nil
}

// drop empties the way and opens it.
func (w *way) drop() {
	w.pending.Drop()
	*w = way{}
}

// hasRoom reports whether more may be read for a way: not from the high watermark on, until it is
// below the low one.
func (l *loop) hasRoom(w *way) bool {
	switch n := w.pending.Len(); {
	case n >= l.o.HighWatermark:
		w.full = true
	case n <= l.o.lowWatermark():
		w.full = false
	}
	return !w.full
}
