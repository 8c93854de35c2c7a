package load

import (
	"context"
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// slowTick is how often a slow reader reads.
const slowTick = 500 * time.Millisecond

// open makes a connection that is held. An idle one has had a request; a slow reader's request is
// sent and not yet answered.
func (c *client) open(ctx context.Context) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	switch {
	case c.r.Mode == SlowReader:
		_, err := c.r.exchange.send(c.conn)
		return err
	case c.r.hasRequest():
		return c.request()
	}
	return nil
}

// checkIdle counts an operation for each connection that still works: by another request, if there
// was one.
func (r *run) checkIdle(ctx context.Context) {
	_ = r.each(ctx, func(ctx context.Context, c *client) error {
		if c.conn == nil {
			return nil // counted when it was opened
		}
		check := c.alive
		if r.hasRequest() {
			check = c.request
		}
		from := time.Now()
		if err := check(); ctx.Err() == nil {
			r.tally.operation(time.Since(from), err)
		}
		return nil
	})
}

// readSlowly is one operation: until end, it reads bytes at the rate asked for. Its latency is the
// longest wait for some.
func (c *client) readSlowly(ctx context.Context, end time.Time) {
	if c.conn == nil {
		return // counted when it was opened
	}
	longest, err := c.readUntil(ctx, end)
	if ctx.Err() == nil {
		c.r.tally.operation(longest, err)
	}
}

func (c *client) readUntil(ctx context.Context, end time.Time) (longest time.Duration, err error) {
	c.extendDeadline()
	if _, err := c.r.exchange.receiveHead(c.in); err != nil {
		return 0, err
	}
	ticker := time.NewTicker(slowTick)
	defer ticker.Stop()
	portion := max(int(c.r.Rate*slowTick.Seconds()), 1)
	for time.Now().Before(end) {
		c.extendDeadline()
		from := time.Now()
		n, err := c.in.Discard(portion)
		c.r.tally.bytes.Add(int64(n))
		if err != nil {
			return longest, err
		}
		longest = max(longest, time.Since(from))
		select {
		case <-ctx.Done():
			return longest, nil
		case <-ticker.C:
		}
	}
	return longest, nil
}

// smallReceiveBuffer is set before the connect, since that tells the server how large the window
// may become.
func smallReceiveBuffer(_, _ string, raw syscall.RawConn) error {
	var err error
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10)
	})
	return errors.Join(controlErr, err)
}
