package reactor

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"golang.org/x/sys/unix"
)

// A Handler gets the events of its descriptors and timers.
type Handler interface {
	OnEvent(fd int, e Events)
	OnTimer()
}

// A Host runs a reactor. Its methods are called on the reactor's goroutine.
type Host interface {
	// TurnBegins precedes each turn: the work of one event, timer or task.
	TurnBegins(now time.Time, tick uint64)
	// TurnEnds follows it. h is the handler of the turn, nil for a task; panicked is not nil if the
	// turn ended by a panic, and the reactor goes on.
	TurnEnds(h Handler, took time.Duration, panicked any)
	// RoundEnds does deferred work. It reports whether some is left, in which case the reactor does
	// not wait.
	RoundEnds() (more bool)
}

// Options tune a reactor.
type Options struct {
	Host Host
	Tick time.Duration // the resolution of timers
	// Parks makes the goroutine wait as Go's own connections do: see wait.go.
	Parks bool
	// KeepsP keeps Go's scheduler out of short waits. There must be a P for this goroutine that no
	// other one needs.
	KeepsP bool
}

// A Reactor is one epoll set with its timers and tasks.
type Reactor struct {
	parks  bool
	keepsP bool
	wakefd int // an eventfd
	host   Host
	poller *netpoll.Poller
	epoll  int      // the poller's descriptor, which it closes
	parked *os.File // the same epoll set, watched by Go's runtime
	raw    syscall.RawConn
	look   func(uintptr) bool // (*Reactor).ready, allocated once

	events   []unix.EpollEvent
	got      int   // how many events the last look brought
	failed   error // why it brought none
	handlers []Handler
	first    []bool // by descriptor: its events come first in their round

	// a tick before the reactor was made: no turn is at tick 0, which may mean none
	epoch     time.Time
	tick      time.Duration
	now       time.Time // when the turn began; between turns, when the last one ended
	looks     uint64    // how often epoll was asked
	asked     time.Time // when it was the last time
	wheel     wheel
	timerfd   int
	armed     uint64    // tick the timerfd is set to, 0 if none
	due       bool      // it has expired, and not all timers have fired
	timersEnd time.Time // until then timers may fire in this round

	pace   pace
	naps   naps
	asleep atomic.Bool // set by the goroutine before it waits, reset by its waker
	woken  atomic.Bool // there is work that epoll does not report
	// guards closed, and wakefd against being closed; the goroutine never takes it
	waking   sync.Mutex
	closed   bool
	stopping atomic.Bool
	mu       sync.Mutex // guards tasks
	tasks    []task
	running  []task // the other buffer of tasks, empty between rounds
}

type task struct {
	do  func(any)
	arg any
}

// timersTime is how long the timers of a round may take.
const timersTime = 500 * time.Microsecond

// maxEvents is how many events a round has at most.
const maxEvents = 256

// Open makes a reactor, which Close frees.
func Open(o Options) (*Reactor, error) {
	r := &Reactor{
		host: o.Host, tick: o.Tick, parks: o.Parks, keepsP: o.KeepsP,
		epoch: time.Now().Add(-o.Tick), wakefd: -1, epoll: -1, timerfd: -1,
		events: make([]unix.EpollEvent, maxEvents),
	}
	r.now, r.look = time.Now(), r.ready
	if err := r.open(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reactor) open() (err error) {
	if r.poller, err = netpoll.OpenPoller(); err != nil {
		return err
	}
	// gnet has no method for it. The version is pinned, and this fails at the first start with a
	// version that names the field differently.
	field := reflect.ValueOf(r.poller).Elem().FieldByName("fd")
	if !field.IsValid() || !field.CanInt() {
		return errors.New("reactor: gnet's poller is not the one of v2.10.0")
	}
	r.epoll = int(field.Int())
	if r.timerfd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC,
		unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if err := r.watchOwn(r.timerfd); err != nil {
		return err
	}
	return r.openWaker()
}

func (r *Reactor) watchOwn(fd int) error {
	return r.poller.AddRead(&netpoll.PollAttachment{FD: fd}, true)
}

// Close frees the reactor, after Run has returned or if it was never called. Watched descriptors
// stay open.
func (r *Reactor) Close() error {
	r.waking.Lock()
	defer r.waking.Unlock()
	r.closed = true
	if r.parked != nil {
		r.parked.Close()
	}
	for _, fd := range []int{r.timerfd, r.wakefd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if r.poller == nil {
		return nil
	}
	return r.poller.Close()
}

// Watch registers a socket for h, once, for both directions and edge-triggered.
// Closing the descriptor ends that in the kernel, [Reactor.Forget] here.
func (r *Reactor) Watch(fd int, h Handler) error {
	return r.watch(fd, h, r.poller.AddReadWrite(&netpoll.PollAttachment{FD: fd}, true))
}

// WatchInput registers a descriptor that is only read, edge-triggered.
func (r *Reactor) WatchInput(fd int, h Handler) error {
	return r.watch(fd, h, r.poller.AddRead(&netpoll.PollAttachment{FD: fd}, true))
}

// WatchLevel registers a descriptor that is only read and has an event in each round
// in which there is something to read.
func (r *Reactor) WatchLevel(fd int, h Handler) error {
	return r.watch(fd, h, r.poller.AddRead(&netpoll.PollAttachment{FD: fd}, false))
}

func (r *Reactor) watch(fd int, h Handler, err error) error {
	if err == nil {
		r.Give(fd, h)
	}
	return err
}

// Give makes h the handler of a watched descriptor.
func (r *Reactor) Give(fd int, h Handler) {
	for fd >= len(r.handlers) {
		r.handlers = append(r.handlers, make([]Handler, 1024)...)
		r.first = append(r.first, make([]bool, 1024)...)
	}
	r.handlers[fd], r.first[fd] = h, false
}

// GiveFirst is Give for a handler whose events come before those of others: when these have their
// turn, h has had all its events of the round.
func (r *Reactor) GiveFirst(fd int, h Handler) {
	r.Give(fd, h)
	r.first[fd] = true
}

// Forget takes fd from its handler. It precedes closing.
func (r *Reactor) Forget(fd int) {
	if fd < len(r.handlers) {
		r.handlers[fd], r.first[fd] = nil, false
	}
}

// Looks counts how often epoll was asked: each round begins with that.
func (r *Reactor) Looks() uint64 { return r.looks }

// Known reports whether the last look brought all pending events, and happened at most ago before
// the turn began.
func (r *Reactor) Known(ago time.Duration) bool {
	return r.got < maxEvents && r.now.Sub(r.asked) <= ago
}

// Unwatch ends the watch of a descriptor of which another process may have a copy: closing it would
// not end the watch.
func (r *Reactor) Unwatch(fd int) {
	r.Forget(fd)
	_ = r.poller.Delete(fd) // it may not be watched
}

// Each calls f for the handler of each descriptor, which may close it.
func (r *Reactor) Each(f func(fd int, h Handler)) {
	for fd := 0; fd < len(r.handlers); fd++ {
		if h := r.handlers[fd]; h != nil {
			f(fd, h)
		}
	}
}

// Post makes the goroutine call do(arg) in its next round. Any goroutine may call it;
// it does not block. After Close it does nothing.
func (r *Reactor) Post(do func(any), arg any) {
	r.mu.Lock()
	r.tasks = append(r.tasks, task{do, arg})
	r.mu.Unlock()
	r.Wake()
}

// Stop makes Run return after the round it is in. Any goroutine may call it.
func (r *Reactor) Stop() {
	r.stopping.Store(true)
	r.Wake()
}

// Restart lets Run be called again after Stop has made it return.
func (r *Reactor) Restart() { r.stopping.Store(false) }

// Run runs rounds until Stop.
func (r *Reactor) Run() error {
	// Deferred work comes first.
	for more := true; ; {
		var err error
		if more, err = r.Round(!more); err != nil || r.stopping.Load() {
			return err
		}
	}
}

// Round runs one round: it waits for work if it may. It reports whether work is left that need not
// wait.
func (r *Reactor) Round(mayWait bool) (more bool, err error) {
	r.arm()
	if err := r.wait(mayWait); err != nil {
		return false, fmt.Errorf("reactor: %w", err)
	}
	r.now = time.Now() // with the wall clock, which may be set meanwhile
	r.looks, r.asked = r.looks+1, r.now
	r.give(true)
	r.give(false)
	if r.due {
		r.timersEnd = r.now.Add(timersTime)
		r.due = !r.wheel.advance(r.tickNow(), r.fire)
	}
	if r.woken.Swap(false) {
		r.runTasks()
		r.lookAtClock()
	}
	return r.host.RoundEnds() || r.due, nil
}

// give gives their turns to the events of handlers with first claim, or of the others.
func (r *Reactor) give(first bool) {
	for i := range r.events[:r.got] {
		switch fd, e := int(r.events[i].Fd), Events(r.events[i].Events); {
		case fd == r.timerfd:
			r.armed, r.due = 0, true
		case e != 0 && fd < len(r.handlers) && r.handlers[fd] != nil && (!first || r.first[fd]):
			r.events[i].Events = 0
			r.event(r.handlers[fd], fd, e)
		}
	}
}

func (r *Reactor) event(h Handler, fd int, e Events) {
	r.Enter()
	defer r.Leave(h)
	h.OnEvent(fd, e)
}

// fire gives a timer its turn. It reports whether there is time for others in this
// round: thousands of idle connections may time out at once.
func (r *Reactor) fire(t *Timer) bool {
	r.timer(t.Owner)
	return r.now.Before(r.timersEnd)
}

func (r *Reactor) timer(h Handler) {
	r.Enter()
	defer r.Leave(h)
	h.OnTimer()
}

// runTasks runs the tasks posted before the round; tasks that these post wait for the next.
func (r *Reactor) runTasks() {
	r.mu.Lock()
	r.tasks, r.running = r.running[:0], r.tasks
	r.mu.Unlock()
	for i, t := range r.running {
		r.running[i] = task{}
		t.do(t.arg)
	}
}

// Enter begins a turn. Events and timers have one; a task or the end of a round begins one by
// calling Enter and deferring Leave. It begins when the last one of its round ended: a turn reads
// the clock once.
func (r *Reactor) Enter() {
	r.host.TurnBegins(r.now, uint64(r.now.Sub(r.epoch)/r.tick))
}

// Leave ends a turn of h; it must be deferred. A panic ends the turn, not the program: input from a
// socket is hostile, and this is the last defence.
func (r *Reactor) Leave(h Handler) {
	p := recover()
	r.host.TurnEnds(h, r.lookAtClock(), p)
}

// lookAtClock updates now, and returns the time since the last update.
func (r *Reactor) lookAtClock() time.Duration {
	now := r.asked.Add(time.Since(r.asked)) // does not read the wall clock
	took := now.Sub(r.now)
	r.now = now
	return took
}

// Now is when the turn began, or when the last one ended.
func (r *Reactor) Now() time.Time { return r.now }

// tickNow is the time in ticks since the reactor was made.
func (r *Reactor) tickNow() uint64 { return uint64(time.Since(r.epoch) / r.tick) }

// Epoch is when ticks began to count. No turn is at tick 0, which may mean none.
func (r *Reactor) Epoch() time.Time { return r.epoch }

// SetTimerIn arms t to fire after d.
func (r *Reactor) SetTimerIn(t *Timer, d time.Duration) {
	r.wheel.set(t, uint64((time.Since(r.epoch)+d+r.tick-1)/r.tick))
}

// SetTimer arms t for a tick, or the next one if that has passed.
func (r *Reactor) SetTimer(t *Timer, tick uint64) { r.wheel.set(t, tick) }

// StopTimer disarms t.
func (r *Reactor) StopTimer(t *Timer) { r.wheel.stop(t) }

// TimersLen counts the timers that are armed.
func (r *Reactor) TimersLen() int { return r.wheel.len() }

// arm sets the timerfd if the next timer comes before it.
func (r *Reactor) arm() {
	next, ok := r.wheel.next()
	if !ok || r.armed != 0 && r.armed <= next {
		return
	}
	wait := max(time.Until(r.epoch.Add(time.Duration(next)*r.tick)), 1)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
	if err := unix.TimerfdSettime(r.timerfd, 0, &spec, nil); err != nil {
		panic(os.NewSyscallError("timerfd_settime", err)) // its arguments are always valid
	}
	r.armed = next
}
