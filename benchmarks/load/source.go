package load

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// source decides when operations begin.
type source interface {
	// next waits until one may begin. from is when its time began to count; ok is false if there
	// are no more.
	next() (from time.Time, ok bool)
}

// closedLoop lets an operation begin when its client is free. All clients share it.
type closedLoop struct {
	taken atomic.Int64
	maxOp int64
	end   time.Time // zero is never
}

func newClosedLoop(o Options, start time.Time) *closedLoop {
	l := &closedLoop{maxOp: math.MaxInt64}
	if o.Ops > 0 {
		l.maxOp = int64(o.Ops)
	}
	if o.Duration > 0 {
		l.end = start.Add(o.Duration)
	}
	return l
}

func (l *closedLoop) next() (time.Time, bool) {
	now := time.Now()
	if !l.end.IsZero() && !now.Before(l.end) {
		return now, false
	}
	return now, l.taken.Add(1) <= l.maxOp
}

// lane is a queue of operations that are due. Connections that stay open have a lane each, as users
// do: an operation due on a connection that the server neglects waits there, instead of going to
// another one that is served. Connections made for one operation share a lane.
//
// An operation is one empty value in due, which makes a queue of any length free; its time follows
// from its number.
type lane struct {
	due    chan struct{}
	taken  atomic.Int64
	first  time.Time     // when the first is due
	stride time.Duration // from one to the next
	giveUp time.Time     // the rest then counts as unsent
	late   Histogram
}

func (l *lane) next() (time.Time, bool) {
	free := time.Now()
	if _, ok := <-l.due; !ok {
		return free, false
	}
	intended := l.first.Add(time.Duration(l.taken.Add(1)-1) * l.stride)
	now := time.Now()
	if now.After(l.giveUp) {
		l.taken.Add(-1)
		return now, false
	}
	if intended.After(free) {
		free = intended
	}
	l.late.record(now.Sub(free))
	return intended, true
}

// pacer fills lanes in turn at a fixed interval.
type pacer struct {
	lanes    []*lane
	interval time.Duration
	total    int64
}

// newPacer makes as many lanes as o needs.
func newPacer(o Options, late Histogram) *pacer {
	p := &pacer{interval: max(time.Duration(float64(time.Second)/o.Rate), 1), total: math.MaxInt64}
	if o.Duration > 0 {
		p.total = int64((o.Duration + p.interval - 1) / p.interval)
	}
	if o.Ops > 0 {
		p.total = min(p.total, int64(o.Ops))
	}
	laneLen := 1
	if !o.perConnection() {
		laneLen = o.Conns
	}
	for range laneLen {
		p.lanes = append(p.lanes, &lane{
			due:    make(chan struct{}, p.total),
			stride: p.interval * time.Duration(laneLen), late: late,
		})
	}
	return p
}

// begin sets the times of all lanes: the first operation is due at start.
func (p *pacer) begin(start time.Time, grace time.Duration) {
	for i, l := range p.lanes {
		l.first = start.Add(time.Duration(i) * p.interval)
		l.giveUp = start.Add(time.Duration(p.total)*p.interval + grace)
	}
}

// fill puts operations into the lanes as they become due, and closes the lanes after the last. Its
// clock is a timerfd, since timers of Go's runtime come up to a millisecond late when nothing else
// happens: epoll_wait takes whole milliseconds. A reading of it is the number of intervals passed,
// so none is lost however late this goroutine runs.
func (p *pacer) fill(ctx context.Context) error {
	defer func() {
		for _, l := range p.lanes {
			close(l.due)
		}
	}()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	defer timer.Close()
	defer context.AfterFunc(ctx, func() { timer.Close() })()
	spec := unix.ItimerSpec{
		Value:    unix.NsecToTimespec(1),
		Interval: unix.NsecToTimespec(int64(p.interval)),
	}
	if err := unix.TimerfdSettime(fd, 0, &spec, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	var expired [8]byte
	for i := int64(0); i < p.total; {
		if _, err := timer.Read(expired[:]); err != nil {
			return err
		}
		for n := binary.NativeEndian.Uint64(expired[:]); n > 0 && i < p.total; n-- {
			p.lanes[i%int64(len(p.lanes))].due <- struct{}{}
			i++
		}
	}
	return nil
}

// unsent is the number of operations that were due and never begun.
func (p *pacer) unsent() int64 {
	n := p.total
	for _, l := range p.lanes {
		n -= l.taken.Load()
	}
	return n
}
