package nettest

import "sync"

const maxOutput = 1 << 20

// output keeps at least the latest maxOutput bytes written to it: it drops older ones in large
// steps, so that not every write copies the buffer. Its zero value is empty. Safe for concurrent
// use.
type output struct {
	mu  sync.Mutex // guards buf
	buf []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, p...)
	if len(o.buf) > 2*maxOutput {
		o.buf = append(o.buf[:0], o.buf[len(o.buf)-maxOutput:]...)
	}
	return len(p), nil
}

func (o *output) String() string { return o.tail(maxOutput) }

// tail returns the latest n bytes, or fewer if there are not as many.
func (o *output) tail(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf[max(0, len(o.buf)-n):])
}
