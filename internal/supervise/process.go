package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	defaultStopTimeout = 10 * time.Second

	// askAgain is the time between two stop signals: a uwsgi loses a SIGINT that arrives some 50 ms
	// after its start.
	askAgain = 2 * time.Second

	// killWait is how long Close waits for a child that was killed. Only one stuck in
	// the kernel takes any time.
	killWait = 5 * time.Second

	readyPoll = 20 * time.Millisecond
)

// Command says what to run.
type Command struct {
	Path string   // a program's name, looked up in $PATH, or its path
	Args []string // without the program's own name
	Env  []string // KEY=value, added to our own environment
	Dir  string   // ours if empty

	StopSignal  syscall.Signal // asks it to end, every 2 s; SIGTERM if zero
	StopTimeout time.Duration  // from StopSignal to SIGKILL; 10 s if zero

	// takes each line that it prints, its starts and its ends; slog.Default() if nil
	Log *slog.Logger
}

// Process is a supervised program. Its methods may be called from any goroutine.
type Process struct {
	command Command
	log     *slog.Logger
	closing chan struct{}
	ended   chan struct{} // the last child is gone and will not be followed

	mu    sync.Mutex // guards what follows; held while a child is started
	child *child     // nil if none runs; not reaped yet, so that its pid is not reused
	stats Stats
	stop  bool // closing is closed
}

// Stats are the state of the program.
type Stats struct {
	Pid      int    // of the child that runs; 0 if none does
	Starts   uint64 // children so far; 1 if the first still runs
	LastExit string // how the last child ended, such as "exit status 1"; empty if none has
}

// Start runs the program until Close. The error, if it cannot be started at all, is one line for
// the operator. [Process.Ready] waits until it works.
func Start(c Command) (*Process, error) {
	if c.StopSignal == 0 {
		c.StopSignal = syscall.SIGTERM
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = defaultStopTimeout
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	p := &Process{
		command: c,
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	p.log = c.Log.With("program", p.name())
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Ready waits until the program accepts connections on a unix socket, for as long as ctx allows.
// The program sees a connection that closes at once. A socket file alone would prove nothing: it
// outlives its owner.
func (p *Process) Ready(ctx context.Context, socket string) error {
	var dialer net.Dialer
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	for {
		conn, err := dialer.DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-poll.C:
		case <-p.closing:
			return fmt.Errorf("%s was stopped", p.name())
		case <-ctx.Done():
			return p.notReady(ctx.Err(), socket)
		}
	}
}

func (p *Process) notReady(err error, socket string) error {
	if exit := p.Stats().LastExit; exit != "" {
		return fmt.Errorf("%s does not listen on %s: %w; it ended with %s", p.name(), socket, err,
			exit)
	}
	return fmt.Errorf("%s does not listen on %s: %w", p.name(), socket, err)
}

// Stats returns the current state.
func (p *Process) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close asks the program to end and waits for it. It kills it, and returns an
// error, if that takes longer than StopTimeout or ctx allow.
func (p *Process) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.command.StopTimeout)
	defer cancel()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	p.stopFollowing()
	for {
		p.withChild(func(c *child) { c.signal(p.command.StopSignal) })
		select {
		case <-p.ended:
			return nil
		case <-again.C:
		case <-ctx.Done():
			return p.kill()
		}
	}
}

func (p *Process) kill() error {
	killed := false // else it ended at the last moment
	p.withChild(func(c *child) {
		c.killGroup()
		killed = true
	})
	select {
	case <-p.ended:
		if !killed {
			return nil
		}
		return fmt.Errorf("%s did not end on %v in time and was killed", p.name(),
			p.command.StopSignal)
	case <-time.After(killWait):
		return fmt.Errorf("%s does not end, not even killed", p.name())
	}
}

// stopFollowing makes sure that no further child is started.
func (p *Process) stopFollowing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stop {
		p.stop = true
		close(p.closing)
	}
}

// withChild calls do with the child if there is one.
func (p *Process) withChild(do func(*child)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child != nil {
		do(p.child)
	}
}

// run starts one child after the other. It keeps its thread, see doc.go.
func (p *Process) run(started chan<- error) {
	defer close(p.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	c, err := p.launch()
	started <- err
	if err != nil {
		return
	}
	var wait backoff
	for {
		if ran := p.attend(c); !p.pause(wait.next(ran)) {
			return
		}
		if c, err = p.launch(); err != nil {
			p.log.Error(err.Error())
		}
	}
}

// pause returns true after d, or false as soon as no child is wanted.
func (p *Process) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.closing:
		return false
	}
}

// launch starts a child unless the process is closing, which is not an error.
func (p *Process) launch() (*child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop {
		return nil, nil
	}
	c, err := startChild(p.command, p.log)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", p.name(), err)
	}
	p.child = c
	p.stats.Pid = c.pid()
	p.stats.Starts++
	return c, nil
}

// attend waits for the end of a child, kills the rest of its group, and returns how long the child
// lived.
func (p *Process) attend(c *child) time.Duration {
	if c == nil {
		return 0
	}
	c.awaitExit()
	p.mu.Lock()
	c.killGroup()
	p.child = nil // before it is reaped: after that its pid may be reused
	p.stats.Pid = 0
	p.mu.Unlock()
	exit := c.reap()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.LastExit = exit
	if !p.stop {
		p.log.Warn("the program ended and will be started again", "exit", exit)
	}
	return time.Since(c.began)
}

func (p *Process) name() string { return filepath.Base(p.command.Path) }
