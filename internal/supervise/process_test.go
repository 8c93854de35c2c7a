package supervise_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/supervise"
)

const patience = 10 * time.Second

// The main thread cannot end before the process. Locked by the main goroutine, it runs no test.
func init() { runtime.LockOSThread() }

// recorder is a slog.Handler that keeps messages.
type recorder struct {
	mu       sync.Mutex
	messages []string
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, record.Message)
	return nil
}

// await waits for a message that starts with prefix and returns the rest of it.
func (r *recorder) await(t *testing.T, prefix string) (rest string) {
	t.Helper()
	nettest.Eventually(t, patience, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, message := range r.messages {
			if after, ok := strings.CutPrefix(message, prefix); ok {
				rest = after
				return true
			}
		}
		return false
	}, "the log says %q", prefix)
	return rest
}

// awaitPid waits for "prefix PID".
func (r *recorder) awaitPid(t *testing.T, prefix string) (pid int) {
	t.Helper()
	if _, err := fmt.Sscan(r.await(t, prefix+" "), &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// start runs a shell script until the test ends.
func start(t *testing.T, c supervise.Command, script string) (*supervise.Process, *recorder) {
	t.Helper()
	r := &recorder{}
	c.Path, c.Args, c.Log = "/bin/sh", []string{"-c", script}, slog.New(r)
	p, err := supervise.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(canceled()) })
	return p, r
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// awaitGone waits until a process has ended, or is a zombie of its new parent.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	nettest.Eventually(t, patience, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.HasPrefix(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " Z")
	}, "process %d is gone", pid)
}

// forever goes on until a signal that no trap catches.
const forever = "; while :; do sleep 0.02; done"

func TestOutputIsLogged(t *testing.T) {
	nettest.LeakCheck(t)
	_, r := start(t, supervise.Command{Dir: "/", Env: []string{"GREETING=hello"}},
		`echo "$GREETING from $PWD"; echo error >&2; printf unfinished; exit 3`)
	r.await(t, "hello from /")
	r.await(t, "error")
	r.await(t, "unfinished")
}

func TestStartsAgain(t *testing.T) {
	nettest.LeakCheck(t)
	p, _ := start(t, supervise.Command{}, "exit 3")
	nettest.Eventually(t, patience, func() bool { return p.Stats().Starts >= 3 }, "three starts")
	if got, want := p.Stats().LastExit, "exit status 3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStartsAgainAfterKill(t *testing.T) {
	nettest.LeakCheck(t)
	p, _ := start(t, supervise.Command{}, ":"+forever)
	first := p.Stats()
	if first.Pid == 0 || first.Starts != 1 {
		t.Errorf("got %+v, want a pid and one start", first)
	}
	if err := syscall.Kill(first.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, patience, func() bool { return p.Stats().Starts == 2 }, "a second start")
	if got, want := p.Stats().LastExit, "signal: killed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A program that disappears, as in an upgrade, is started once it exists again.
func TestProgramThatIsReplaced(t *testing.T) {
	nettest.LeakCheck(t)
	path := filepath.Join(t.TempDir(), "program")
	r := &recorder{}
	install := func(script string) {
		if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	install(`echo old; rm "$0"`)
	p, err := supervise.Start(supervise.Command{Path: path, Log: slog.New(r)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(canceled()) }()
	r.await(t, "cannot start program: ")
	install("echo new" + forever)
	r.await(t, "new")
}

func TestStopSignal(t *testing.T) {
	nettest.LeakCheck(t)
	p, r := start(t, supervise.Command{StopSignal: syscall.SIGINT}, `trap "echo interrupted; exit 0" INT; echo up`+forever)
	r.await(t, "up")
	if err := p.Close(context.Background()); err != nil {
		t.Errorf("got %v, want none", err)
	}
	if err := p.Close(canceled()); err != nil { // there is nothing to wait for
		t.Errorf("closed again: got %v, want none", err)
	}
	r.await(t, "interrupted")
	if got := p.Stats(); got.Pid != 0 || got.Starts != 1 || got.LastExit != "exit status 0" {
		t.Errorf("got %+v", got)
	}
}

// A program that loses the first signal is asked again.
func TestStopSignalThatIsLost(t *testing.T) {
	nettest.LeakCheck(t)
	p, r := start(t, supervise.Command{}, `trap 'echo lost; trap "exit 0" TERM' TERM; echo up`+forever)
	r.await(t, "up")
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	r.await(t, "lost")
}

func TestKilledIfItDoesNotStop(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout time.Duration
		ctx     context.Context
	}{
		{"after the time-out", time.Millisecond, context.Background()},
		{"once the caller has no time", time.Hour, canceled()},
	} {
		t.Run(test.name, func(t *testing.T) {
			nettest.LeakCheck(t)
			p, r := start(t, supervise.Command{StopTimeout: test.timeout}, `trap "" TERM; echo up`+forever)
			r.await(t, "up")
			err := p.Close(test.ctx)
			if want := "sh did not end on terminated in time and was killed"; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			if got, want := p.Stats().LastExit, "signal: killed"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// Close ends the wait before the next start, too.
func TestCloseBetweenStarts(t *testing.T) {
	nettest.LeakCheck(t)
	p, _ := start(t, supervise.Command{}, "exit 1")
	nettest.Eventually(t, patience, func() bool { return p.Stats().Starts == 4 && p.Stats().Pid == 0 },
		"the long wait after the fourth")
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestMissingProgram(t *testing.T) {
	nettest.LeakCheck(t)
	for _, test := range []struct {
		name, path, dir, want string
	}{
		{"by name", "no-such-program", "", `cannot start no-such-program: exec: "no-such-program": executable file not found in $PATH`},
		{"by path", "/no/such/program", "", "cannot start program: fork/exec /no/such/program: no such file or directory"},
		{"no such directory", "/bin/sh", "/no/such", "cannot start sh: stat /no/such: no such file or directory"},
	} {
		_, err := supervise.Start(supervise.Command{Path: test.path, Dir: test.dir})
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

// Processes that a crashed child leaves behind are killed: they might hold the socket that the next
// child needs.
func TestGroupEndsWithItsLeader(t *testing.T) {
	nettest.LeakCheck(t)
	_, r := start(t, supervise.Command{}, `sleep 100 & echo "worker $!"; exit 1`)
	awaitGone(t, r.awaitPid(t, "worker"))
}

func TestGroupOfItsOwn(t *testing.T) {
	p, _ := start(t, supervise.Command{}, ":"+forever)
	pid := p.Stats().Pid
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("got group %d, %v, want %d", group, err, pid)
	}
}

// A process that left the group and keeps the output open does not delay us.
func TestOutputHeldOpen(t *testing.T) {
	nettest.Need(t, "setsid")
	nettest.LeakCheck(t)
	p, r := start(t, supervise.Command{}, `setsid sh -c 'echo "daemon $$"; exec sleep 100' &`+forever[1:])
	daemon := r.awaitPid(t, "daemon")
	defer func() {
		_ = syscall.Kill(daemon, syscall.SIGKILL)
		awaitGone(t, daemon)
	}()
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestDiesWithUs runs itself as a process that supervises a child, and kills it.
func TestDiesWithUs(t *testing.T) {
	const supervisor = "SUPERVISE_TEST_SUPERVISOR"
	if os.Getenv(supervisor) != "" {
		p, err := supervise.Start(supervise.Command{Path: "sleep", Args: []string{"100"}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stderr, p.Stats().Pid)
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiesWithUs$")
	cmd.Env = append(os.Environ(), supervisor+"=1")
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, err = fmt.Fscan(output, &pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	awaitGone(t, pid)
}

// The kernel takes the end of a thread for that of its process. The end of the thread that called
// Start must not end the child.
func TestOutlivesTheCallersThread(t *testing.T) {
	nettest.LeakCheck(t)
	var p *supervise.Process
	var err error
	r, thread := &recorder{}, make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		script := `trap "echo alive" USR1; echo up` + forever
		p, err = supervise.Start(supervise.Command{Path: "/bin/sh", Args: []string{"-c", script}, Log: slog.New(r)})
		thread <- syscall.Gettid()
	}()
	task := fmt.Sprintf("/proc/self/task/%d", <-thread)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close(canceled()) }()
	r.await(t, "up")
	nettest.Eventually(t, patience, func() bool { _, err := os.Stat(task); return err != nil }, "the thread is gone")
	if err := syscall.Kill(p.Stats().Pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	r.await(t, "alive")
	if got := p.Stats().Starts; got != 1 {
		t.Errorf("got %d starts, want 1", got)
	}
}

func TestReady(t *testing.T) {
	nettest.LeakCheck(t)
	socket := filepath.Join(t.TempDir(), "socket")
	p, _ := start(t, supervise.Command{}, ":"+forever)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err = p.Ready(ctx, socket)
	if want := "sh does not listen on " + socket + ": context deadline exceeded"; err == nil || err.Error() != want {
		t.Errorf("a stale socket: got %v, want %s", err, want)
	}

	ready := make(chan error)
	go func() { ready <- p.Ready(context.Background(), socket) }()
	os.Remove(socket)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := <-ready; err != nil {
		t.Errorf("got %v, want none", err)
	}
}

func TestNeverReady(t *testing.T) {
	nettest.LeakCheck(t)
	socket := filepath.Join(t.TempDir(), "socket")
	p, _ := start(t, supervise.Command{}, "exit 7")
	nettest.Eventually(t, patience, func() bool { return p.Stats().LastExit != "" }, "it ended")
	err := p.Ready(canceled(), socket)
	if want := "it ended with exit status 7"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want ... %s", err, want)
	}

	closed := make(chan error)
	go func() { closed <- p.Ready(context.Background(), socket) }()
	_ = p.Close(context.Background())
	if err, want := <-closed, "sh was stopped"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
