package engine

import "github.com/valyala/bytebufferpool"

// A queue holds bytes that a socket would not take yet. Empty, it holds no
// buffer. The zero value is ready.
type queue struct {
	buf *bytebufferpool.ByteBuffer
	off int // what is before has been written
}

func (q *queue) len() int {
	if q.buf == nil {
		return 0
	}
	return len(q.buf.B) - q.off
}

// bytes returns what is queued; it is valid until the next call.
func (q *queue) bytes() []byte {
	if q.buf == nil {
		return nil
	}
	return q.buf.B[q.off:]
}

func (q *queue) push(p []byte) {
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

// pop drops the first n bytes, and the buffer with the last one.
func (q *queue) pop(n int) {
	if q.off += n; q.len() <= 0 {
		q.drop()
	}
}

func (q *queue) drop() {
	if q.buf != nil {
		bytebufferpool.Put(q.buf)
	}
	*q = queue{}
}
