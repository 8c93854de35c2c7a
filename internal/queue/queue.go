// Package queue holds bytes that cannot be written yet.
package queue

import "github.com/valyala/bytebufferpool"

// A Queue holds bytes in the order in which they came. An empty one holds no buffer. The zero value
// is ready; it must not be copied once used.
type Queue struct {
	buf *bytebufferpool.ByteBuffer
	off int // bytes before it were popped
}

// Len returns how many bytes are queued.
func (q *Queue) Len() int {
	if q.buf == nil {
		return 0
	}
	return len(q.buf.B) - q.off
}

// Bytes returns the queued bytes, valid until the next call that changes q.
func (q *Queue) Bytes() []byte {
	if q.buf == nil {
		return nil
	}
	return q.buf.B[q.off:]
}

// Push adds a copy of p.
func (q *Queue) Push(p []byte) {
	if len(p) == 0 {
		return
	}
	if q.buf == nil {
		q.buf = bytebufferpool.Get()
	}
	if q.off > 0 && len(q.buf.B)+len(p) > cap(q.buf.B) {
		n := copy(q.buf.B, q.buf.B[q.off:])
		q.buf.B, q.off = q.buf.B[:n], 0
	}
	q.buf.B = append(q.buf.B, p...)
}

// Pop drops the first n bytes, and the buffer with the last one.
func (q *Queue) Pop(n int) {
	if q.off += n; q.Len() <= 0 {
		q.Drop()
	}
}

// Drop drops everything, and the buffer.
func (q *Queue) Drop() {
	if q.buf != nil {
		bytebufferpool.Put(q.buf)
	}
	*q = Queue{}
}
