package handover

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// variable names the successor's end of the socket in its environment.
const variable = "REPRISE_HANDOVER_FD"

// A Command is the program that is to succeed this one.
type Command struct {
	Path string
	Args []string // without the program's own name
	Env  []string // KEY=value, added to this process's environment
}

// A Successor is a process that is to take over.
type Successor struct {
	*Conn
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start runs a program with the other end of a new Conn. Its output is this process's.
func Start(c Command) (*Successor, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	const first = 3 // of ExtraFiles
	cmd.Env = append(withoutVariable(os.Environ()), variable+"="+strconv.Itoa(first))
	cmd.Env = append(cmd.Env, c.Env...)
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, err
	}
	s := &Successor{ours, cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

func withoutVariable(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, variable+"=") })
}

// Pid is the process's.
func (s *Successor) Pid() int { return s.cmd.Process.Pid }

// Kill ends the process and closes the connection. When it returns, the process has ended.
func (s *Successor) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.Close()
}

// Exited is closed when the process has ended.
func (s *Successor) Exited() <-chan struct{} { return s.exited }

// State says how the process has ended.
func (s *Successor) State() string {
	<-s.exited
	return s.cmd.ProcessState.String()
}

// Predecessor returns the connection to the process that this one is to succeed, nil if there is
// none. It is called once: it clears the variable, so that processes which this one starts do not
// take themselves for successors.
func Predecessor() (*Conn, error) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return nil, nil
	}
	_ = os.Unsetenv(variable)
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 0 {
		return nil, fmt.Errorf("%s=%s: not a descriptor", variable, text)
	}
	unix.CloseOnExec(fd)
	c, err := newConn(fd)
	if err != nil {
		return nil, fmt.Errorf("%s=%s: %w", variable, text, err)
	}
	return c, nil
}
