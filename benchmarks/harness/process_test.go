package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"reprise/benchmarks/load"
)

func TestStopEndsWhatAProcessStarted(t *testing.T) {
	cpus, err := load.ParentCPUs()
	if err != nil {
		t.Fatal(err)
	}
	p, err := spawn(cpus, []string{"sh", "-c", "sleep 60 & echo $!; wait"}, nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var child int
	err = p.await(func() (err error) {
		child, err = strconv.Atoi(p.output.String())
		return err
	})
	p.stop()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); alive(child); {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived the one that started it", child)
		}
	}
}

// alive is false of a process that is gone or only waits to be reaped.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

func TestAwaitTellsWhyAProcessEnded(t *testing.T) {
	cpus, err := load.ParentCPUs()
	if err != nil {
		t.Fatal(err)
	}
	p, err := spawn(cpus, []string{"sh", "-c", "echo no such directive >&2; exit 1"}, nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	err = p.await(func() error { return errors.New("not yet") })
	if err == nil || !strings.Contains(err.Error(), "no such directive") {
		t.Errorf("got %v, want what it printed", err)
	}
}

func TestTailIsBounded(t *testing.T) {
	var out tail
	for range 100 {
		_, _ = out.Write([]byte(strings.Repeat("x", 1000)))
	}
	_, _ = out.Write([]byte("end"))
	if got := out.String(); len(got) > maxTail || !strings.HasSuffix(got, "xend") {
		t.Errorf("got %d bytes ending in %q, want at most %d ending in what came last", len(got), got[len(got)-4:], maxTail)
	}
}
