package nettest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// The programs to run are this test binary in another role, named by its
// argument: they behave the same everywhere.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "role" {
		if err := play(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func play(role string) error {
	switch role {
	case "server": // says where it listens, ends on SIGTERM
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGTERM)
		l, err := net.Listen("tcp", os.Getenv("ADDR"))
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Println("starting")
		fmt.Println("listening on", l.Addr())
		<-ended
		fmt.Println("ended in good order")
		return nil
	case "stubborn": // ignores SIGTERM
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		select {}
	case "fail":
		return errors.New("cannot open the door")
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "chatty": // 3 MiB, then a last line
		w := bufio.NewWriter(os.Stdout)
		for i := range 3 << 20 / 64 {
			fmt.Fprintf(w, "%063d\n", i)
		}
		fmt.Fprintln(w, "last line")
		return w.Flush()
	case "parent": // has a child of its own and dies before it
		child, err := os.StartProcess(os.Args[0], []string{os.Args[0], "role", "stubborn"},
			&os.ProcAttr{Files: []*os.File{nil, os.Stdout, nil}})
		if err != nil {
			return err
		}
		fmt.Println("child", child.Pid)
		return nil
	case "race":
		fmt.Fprintln(os.Stderr, "WARNING: DATA RACE")
		return nil
	}
	return fmt.Errorf("unknown role %q", role)
}

func role(name string, env ...string) nettest.Command {
	return nettest.Command{Path: os.Args[0], Args: []string{"role", name}, Env: env}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStartWaitsAndStops(t *testing.T) {
	addr := nettest.FreeAddr(t)
	for _, ready := range []nettest.Condition{nettest.Accepts(addr), nettest.Prints("^listening")} {
		var pid int
		try(func(t nettest.T) {
			p := nettest.Start(t, role("server", "ADDR="+addr), ready)
			pid = p.Pid()
			conn, err := nettest.Dial(addr)
			if err != nil {
				t.Fatalf("ready, yet: %v", err)
			}
			conn.Close()
		}).wantSuccess(t)
		if alive(pid) {
			t.Errorf("process %d outlived its test", pid)
		}
	}
}

func TestMatch(t *testing.T) {
	p := nettest.Start(t, role("server", "ADDR=127.0.0.1:0"))
	addr := p.Match(`^listening on (\S+)$`)[1]
	conn, err := nettest.Dial(addr)
	if err != nil {
		t.Fatalf("%q: %v", addr, err)
	}
	conn.Close()
}

func TestStopReturnsExitCode(t *testing.T) {
	p := nettest.Start(t, role("server", "ADDR=127.0.0.1:0"), nettest.Prints("listening"))
	if got := p.Stop(); got != 0 {
		t.Errorf("got exit code %d, want 0", got)
	}
	if !strings.Contains(p.Stdout(), "ended in good order") {
		t.Errorf("output incomplete after Stop: %q", p.Stdout())
	}
	if got := p.Stop(); got != 0 {
		t.Errorf("stopped again: got exit code %d, want 0", got)
	}
}

func TestStopContinuesAStoppedProcess(t *testing.T) {
	p := nettest.Start(t, role("server", "ADDR=127.0.0.1:0"), nettest.Prints("listening"))
	p.Signal(syscall.SIGSTOP)
	if got := p.Stop(); got != 0 {
		t.Errorf("got exit code %d, want 0", got)
	}
}

func TestStartFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		test func(nettest.T)
		why  string
	}{
		{"no such program", func(t nettest.T) { nettest.Start(t, nettest.Command{Path: "no-such-program"}) }, "no-such-program"},
		{"early end", func(t nettest.T) { nettest.Start(t, role("fail"), nettest.Prints("ready")) }, "ended (exit status 1) and did not print ready"},
		{"reason in log", func(t nettest.T) { nettest.Start(t, role("fail"), nettest.Prints("ready")) }, "cannot open the door"},
		{"end between readiness and the test's end", func(t nettest.T) {
			p := nettest.Start(t, role("fail"), nettest.Prints("door"))
			nettest.Eventually(t, 10*time.Second, t.Failed, "failure of process %d noticed", p.Pid())
		}, "ended early: exit status 1"},
		{"never ready", func(t nettest.T) {
			c := role("server", "ADDR=127.0.0.1:0")
			c.Timeout = 50 * time.Millisecond
			nettest.Start(t, c, nettest.Prints("no such line"))
		}, "did not print no such line within 50ms"},
		{"never ends", func(t nettest.T) {
			c := role("stubborn")
			c.Grace = 50 * time.Millisecond
			nettest.Start(t, c, nettest.Prints("ready"))
		}, "did not end within 50ms of terminated"},
		{"killed by a stranger", func(t nettest.T) {
			p := nettest.Start(t, role("stubborn"), nettest.Prints("ready"))
			syscall.Kill(p.Pid(), syscall.SIGKILL)
			nettest.Eventually(t, 10*time.Second, t.Failed, "death noticed")
		}, "ended early: signal: killed"},
		{"data race", func(t nettest.T) { nettest.Run(t, role("race")) }, "data race"},
		{"run too long", func(t nettest.T) {
			c := role("stubborn")
			c.Timeout = 50 * time.Millisecond
			nettest.Run(t, c)
		}, "did not end within 50ms"},
	} {
		t.Run(tc.name, func(t *testing.T) { try(tc.test).wantFailure(t, tc.why) })
	}
}

func TestKillIsNoFailure(t *testing.T) {
	p := nettest.Start(t, role("stubborn"), nettest.Prints("ready"))
	p.Kill()
	if alive(p.Pid()) {
		t.Error("process lives")
	}
	if got := p.Wait(); got != -1 {
		t.Errorf("got exit code %d, want -1", got)
	}
}

func TestGroupEndsWithItsLeader(t *testing.T) {
	got := nettest.Run(t, role("parent"))
	var child int
	if _, err := fmt.Sscanf(got.Stdout, "child %d", &child); err != nil {
		t.Fatalf("%q: %v", got.Stdout, err)
	}
	// Killed, it stays a zombie until its new parent, init, takes notice.
	nettest.Eventually(t, 10*time.Second, func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, "end of child %d", child)
}

func TestRun(t *testing.T) {
	c := role("cat")
	c.Stdin = strings.NewReader("in and out")
	if got, want := nettest.Run(t, c), (nettest.Result{Stdout: "in and out"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	want := nettest.Result{ExitCode: 1, Stderr: "cannot open the door\n"}
	if got := nettest.Run(t, role("fail")); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOutputIsBoundedAndKeepsTheEnd(t *testing.T) {
	got := nettest.Run(t, role("chatty")).Stdout
	if len(got) != 1<<20 || !strings.HasSuffix(got, "\nlast line\n") {
		t.Errorf("got %d bytes that end in %q, want 1 MiB and the last line", len(got), got[max(0, len(got)-20):])
	}
}
