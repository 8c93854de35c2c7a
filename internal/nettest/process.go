package nettest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Command says what to run.
//
// uwsgi ends on SIGINT, not SIGTERM, and its master process loses a signal that arrives while it is
// starting: let it answer a request before it is stopped.
type Command struct {
	Path  string    // a program's name, looked up as [Need] does, or its path
	Args  []string  // without the program's own name
	Env   []string  // KEY=value, added to this process's environment
	Dir   string    // this process's if empty
	Stdin io.Reader // nothing if nil

	Files []*os.File // its descriptors from 3 on

	Timeout    time.Duration  // to get ready (Start) or to end (Run, Wait); 20 s if zero
	StopSignal syscall.Signal // asks it to end; SIGTERM if zero
	Grace      time.Duration  // from StopSignal to SIGKILL; 1 min if zero, for machines that are busy

	// Successors says that its child processes may go on when it has ended, until the test ends.
	// Its standard output is taken for standard error.
	Successors bool
}

// Result is the result of a program that ended by itself.
type Result struct {
	ExitCode       int // -1 if a signal ended it
	Stdout, Stderr string
}

// Process is a program that [Start] started. Its methods may be called from several goroutines,
// except those that wait: they end the test on a time-out and so must be called on the test's own.
type Process struct {
	t              T
	command        Command
	cmd            *exec.Cmd
	stdout, stderr output
	exited         chan struct{} // closed once the process is reaped and its output complete
	mayExit        atomic.Bool   // set before it is asked to end
}

// Condition is awaited while a program starts.
type Condition struct {
	what  string
	holds func(*Process) bool
}

// Accepts holds when a connection to addr succeeds: "host:port" or "/unix/path". The program sees a
// connection that closes at once; where that disturbs a test's counts, wait for [Prints].
func Accepts(addr string) Condition {
	return Condition{"accept connections on " + addr, func(*Process) bool {
		conn, err := Dial(addr)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}}
}

// Prints holds when the output so far matches a regular expression, in which ^
// and $ match at lines.
func Prints(pattern string) Condition {
	re := regexp.MustCompile("(?m)" + pattern)
	return Condition{
		"print " + pattern,
		func(p *Process) bool { return re.MatchString(p.Output()) },
	}
}

// Start runs a program until the test ends and returns once every condition in ready holds. A
// program that ends unasked, or does not end when asked, fails the test. Its output is logged if
// the test fails.
func Start(t T, c Command, ready ...Condition) *Process {
	t.Helper()
	p := launch(t, c, false)
	for _, condition := range ready {
		p.await(condition)
	}
	return p
}

// Run runs a program to its end, whatever its exit code. It fails the test if
// that takes longer than c.Timeout.
func Run(t T, c Command) Result {
	t.Helper()
	p := launch(t, c, true)
	return Result{ExitCode: p.Wait(), Stdout: p.Stdout(), Stderr: p.Stderr()}
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Stdout returns the latest MiB written to standard output so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr returns the latest MiB written to standard error so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Output returns Stdout followed by Stderr.
func (p *Process) Output() string { return p.Stdout() + p.Stderr() }

// Match waits until the output matches pattern as in [Prints] and returns the
// match and its subexpressions: the way to learn an address that the program
// chose by itself.
func (p *Process) Match(pattern string) []string {
	p.t.Helper()
	p.await(Prints(pattern))
	return regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(p.Output())
}

// Signal sends sig to the process. After a signal that usually ends a process its end is not a
// failure.
func (p *Process) Signal(sig syscall.Signal) {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL:
		p.mayExit.Store(true)
	}
	_ = p.cmd.Process.Signal(sig) // fails only if it is gone already
}

// Kill ends the process and its children at once, without a chance to clean up, as a crash would.
func (p *Process) Kill() {
	p.mayExit.Store(true)
	p.killGroup()
	<-p.exited
}

// Stop asks the process to end, waits for it and returns its exit code, -1 if a
// signal ended it. It is killed, and the test fails, if it outlives its grace.
func (p *Process) Stop() int {
	p.t.Helper()
	p.Signal(p.command.StopSignal)
	p.Signal(syscall.SIGCONT) // a test may have left it stopped
	select {
	case <-p.exited:
	case <-time.After(p.command.Grace):
		p.t.Errorf("%s did not end within %v of %v", p.name(), p.command.Grace,
			p.command.StopSignal)
		p.Kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// Wait waits for the process to end by itself, which is then not a failure, and returns its exit
// code, -1 if a signal ended it.
func (p *Process) Wait() int {
	p.t.Helper()
	p.mayExit.Store(true)
	select {
	case <-p.exited:
	case <-time.After(p.command.Timeout):
		p.Kill()
		p.t.Fatalf("%s did not end within %v", p.name(), p.command.Timeout)
	}
	return p.cmd.ProcessState.ExitCode()
}

// launch starts the program and makes sure that it does not outlive the test.
func launch(t T, c Command, mayExit bool) *Process {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	if c.StopSignal == 0 {
		c.StopSignal = syscall.SIGTERM
	}
	if c.Grace == 0 {
		c.Grace = time.Minute
	}
	path, err := lookPath(c.Path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	p := &Process{t: t, command: c, cmd: exec.Command(path, c.Args...), exited: make(chan struct{})}
	p.mayExit.Store(mayExit || c.Successors)
	// the default is a second at each exit
	p.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=50")
	p.cmd.Env = append(p.cmd.Env, c.Env...)
	p.cmd.Dir = c.Dir
	p.cmd.Stdin = c.Stdin
	p.cmd.ExtraFiles = c.Files
	p.cmd.Stdout = &p.stdout
	p.cmd.Stderr = &p.stderr
	var output *os.File // where successors write too
	if c.Successors {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatalf("%v", err)
		}
		p.cmd.Stdout, p.cmd.Stderr, output = w, w, w
		go func() {
			_, _ = io.Copy(&p.stderr, r)
			r.Close()
		}()
	}
	p.cmd.WaitDelay = time.Second // its children may hold the pipes open
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	started := make(chan error)
	go p.run(started)
	err = <-started
	if output != nil {
		output.Close()
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(p.cleanUp)
	return p
}

// run starts and reaps the process. It keeps its thread, because Pdeathsig,
// which ends the process with a test binary that is killed or panics, is sent
// when the thread that started it ends, not the whole process (prctl(2)).
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.cmd.Wait()
	if !p.command.Successors {
		p.killGroup()
	}
	if !p.mayExit.Load() {
		p.t.Errorf("%s ended early: %v", p.name(), p.cmd.ProcessState)
	}
	close(p.exited)
}

// killGroup kills the rest of the process group, such as workers whose master is gone.
func (p *Process) killGroup() { _ = syscall.Kill(-p.Pid(), syscall.SIGKILL) }

func (p *Process) cleanUp() {
	p.t.Helper()
	select {
	case <-p.exited:
	default:
		p.Stop()
	}
	if p.command.Successors {
		p.killGroup()
	}
	if strings.Contains(p.Stderr(), "WARNING: DATA RACE") {
		p.t.Errorf("%s has a data race", p.name())
	}
	if p.t.Failed() {
		p.t.Logf("%s (%v), end of standard output:\n%s\nend of standard error:\n%s",
			p.name(), p.cmd.ProcessState, p.stdout.tail(16<<10), p.stderr.tail(16<<10))
	}
}

// await ends the test unless c comes to hold while the process is alive and in time. A process may
// print and then exit: its output counts.
func (p *Process) await(c Condition) {
	p.t.Helper()
	gone, held := false, false
	poll(p.command.Timeout, func() bool {
		select {
		case <-p.exited:
			gone = true
		default:
		}
		held = c.holds(p)
		return held || gone
	})
	switch {
	case held:
	case gone:
		p.t.Fatalf("%s ended (%v) and did not %s", p.name(), p.cmd.ProcessState, c.what)
	default:
		p.t.Fatalf("%s did not %s within %v", p.name(), c.what, p.command.Timeout)
	}
}

func (p *Process) name() string { return filepath.Base(p.command.Path) }
