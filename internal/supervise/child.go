package supervise

import (
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputWait is how long output is read after a child has ended: a process that left its group may
// hold it open for ever.
const outputWait = time.Second

// child is one run of the program.
type child struct {
	cmd    *exec.Cmd
	output lines
	began  time.Time
}

// startChild starts a child that dies with the calling thread.
func startChild(command Command, log *slog.Logger) (*child, error) {
	if command.Dir != "" {
		// else the error would name the program
		if _, err := os.Stat(command.Dir); err != nil {
			return nil, err
		}
	}
	c := &child{cmd: exec.Command(command.Path, command.Args...), began: time.Now()}
	c.output.log = func(line string) { log.Info(line) }
	c.cmd.Env = append(os.Environ(), command.Env...)
	c.cmd.Dir = command.Dir
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	c.cmd.WaitDelay = outputWait
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c, c.cmd.Start()
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// signal has no effect on a child that has ended.
func (c *child) signal(sig syscall.Signal) { _ = c.cmd.Process.Signal(sig) }

// killGroup kills the child and all its descendants that did not leave its group. The child must
// not be reaped yet: until then the group's number is not reused.
func (c *child) killGroup() { _ = syscall.Kill(-c.pid(), syscall.SIGKILL) }

// awaitExit waits for the end of the child without reaping it.
func (c *child) awaitExit() {
	for unix.Waitid(unix.P_PID, c.pid(), nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// reap waits until all output of the child is passed on, and returns how it ended.
func (c *child) reap() string {
	_ = c.cmd.Wait() // its error repeats ProcessState, or says that the output is still open
	c.output.flush()
	return c.cmd.ProcessState.String()
}
