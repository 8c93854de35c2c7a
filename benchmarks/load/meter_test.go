package load_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/benchmarks/load"
)

// childEnv makes the test binary one of the processes below instead.
const childEnv = "REPRISE_LOAD_TEST_CHILD"

func becomeChild() {
	role := os.Getenv(childEnv)
	switch role {
	case "":
		return
	case "burn":
		burn(100 * time.Millisecond)
	case "parent":
		parent()
	case "pinned":
		pinned()
	}
	os.Exit(0)
}

// burn uses processor time, by this process's own clock.
func burn(d time.Duration) {
	for ownCPU() < d {
	}
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		os.Exit(1)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// parent carries out each line it reads, and answers when that is done.
func parent() {
	var alive *exec.Cmd
	var hold io.Closer
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Println("done") {
		switch in.Text() {
		case "burn":
			burn(ownCPU() + 200*time.Millisecond)
		case "child that ends":
			if child("burn").Run() != nil {
				os.Exit(1)
			}
		case "child that stays":
			alive = child("parent")
			stdin, _ := alive.StdinPipe()
			stdout, _ := alive.StdoutPipe()
			hold = stdin
			if alive.Start() != nil {
				os.Exit(1)
			}
			fmt.Fprintln(stdin, "burn")
			_, _ = bufio.NewReader(stdout).ReadString('\n')
		}
	}
	if alive != nil {
		hold.Close()
		_ = alive.Wait()
	}
}

func child(role string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	return cmd
}

// The meter includes threads, live children and ended children.
func TestMeter(t *testing.T) {
	cmd := child("parent")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(stdout)
	meter, err := load.NewMeter(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		order string
		least time.Duration
	}{
		{"burn", 200 * time.Millisecond},
		{"child that ends", 100 * time.Millisecond},
		{"child that stays", 200 * time.Millisecond},
		{"nothing", 0},
	} {
		before := read(t, meter)
		fmt.Fprintln(stdin, tt.order)
		if _, err := answers.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		after := read(t, meter)
		// A process that starts uses some itself; that of ended ones is known in steps of 10 ms.
		got := after.CPU - before.CPU
		if got < tt.least-20*time.Millisecond || got > 2*tt.least+50*time.Millisecond {
			t.Errorf("%s: got %v of processor time, want about %v", tt.order, got, tt.least)
		}
		if after.RSS < 1<<20 || after.PSS > after.RSS {
			t.Errorf("%s: got %d resident, of which %d are its own", tt.order, after.RSS, after.PSS)
		}
		if tt.order == "child that stays" && after.RSS < before.RSS*3/2 {
			t.Errorf("%s: resident %d, %d before: a second process is missing", tt.order, after.RSS, before.RSS)
		}
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := meter.Read(); err == nil {
		t.Error("a process that has ended could be read")
	}
	if _, err := load.NewMeter(cmd.Process.Pid); err == nil {
		t.Error("a meter of a process that has ended could be made")
	}
}

func read(t *testing.T, m *load.Meter) load.Usage {
	t.Helper()
	u, err := m.Read()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A run shows the server's cost and the memory of its connections.
func TestRunReadsTheMeter(t *testing.T) {
	o := serveHTTP(t, true, 0).options(load.Idle)
	meter, err := load.NewMeter(os.Getpid()) // client and server at once
	if err != nil {
		t.Fatal(err)
	}
	o.Meter, o.Conns = meter, 200
	if r := run(t, o); r.Ops != 200 || r.Server.RSS < 200<<10 {
		t.Errorf("got %d operations, %d bytes for both ends of 200 connections, want 200, at least 1 KiB each", r.Ops, r.Server.RSS)
	}
	o.Mode, o.Conns, o.Ops = load.Full, 1, 50
	r := run(t, o)
	if r.Server.CPU < 50*100*time.Microsecond {
		t.Errorf("got %v for both ends of 50 full handshakes, want at least 100 us each", r.Server.CPU)
	}
	if r.ClientCPU < r.Server.CPU/2 || r.ClientCPU > r.Server.CPU*2 {
		t.Errorf("got %v by the process's own clock, want about %v", r.ClientCPU, r.Server.CPU)
	}
}

// pinned prints the number of CPUs its threads may run on, after it has pinned itself to one.
func pinned() {
	cpus, err := load.ParentCPUs()
	if err == nil {
		err = load.Affinity(cpus[len(cpus)-1])
	}
	threads, globErr := os.ReadDir("/proc/self/task")
	if err != nil || globErr != nil {
		os.Exit(1)
	}
	for _, thread := range threads {
		status, _ := os.ReadFile("/proc/self/task/" + thread.Name() + "/status")
		_, list, _ := strings.Cut(string(status), "Cpus_allowed_list:")
		fmt.Println(strings.Fields(list)[0])
	}
	after, _ := load.ParentCPUs()
	fmt.Println(cpus[len(cpus)-1], len(cpus) == len(after))
}

// Pinning reaches threads that exist already.
func TestAffinity(t *testing.T) {
	out, err := child("pinned").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	cpu, same, _ := strings.Cut(lines[len(lines)-1], " ")
	if _, err := strconv.Atoi(cpu); err != nil || same != "true" || len(lines) < 3 {
		t.Fatalf("got %q", lines)
	}
	for _, allowed := range lines[:len(lines)-1] {
		if allowed != cpu {
			t.Errorf("a thread may run on %s, want %s", allowed, cpu)
		}
	}
	if err := load.Affinity(); err == nil {
		t.Error("no CPU at all passed")
	}
	if err := load.Affinity(5000); err == nil {
		t.Error("a CPU that cannot exist passed")
	}
}
