package accesslog_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"reprise/internal/accesslog"
	"reprise/internal/nettest"
)

func open(t *testing.T, o accesslog.Options) *accesslog.Log {
	t.Helper()
	o.Queue = cmp.Or(o.Queue, 4096)
	l, err := accesslog.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// writeFrom calls Write from several goroutines, n times each, with the targets
// "writer/number" and a user agent of some length.
func writeFrom(l *accesslog.Log, writers, n, length int) {
	agent := bytes.Repeat([]byte("a"), length)
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			target := make([]byte, 0, 32)
			for i := range n {
				target = fmt.Appendf(target[:0], "%d/%d", w, i)
				l.Write(&accesslog.Entry{Target: target, UserAgent: agent})
			}
		})
	}
	running.Wait()
}

// targets counts the targets in JSON lines and fails the test if one is torn.
func targets(t *testing.T, r io.Reader) map[string]int {
	found := make(map[string]int)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var entry struct{ Target string }
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			t.Errorf("%v: %q", err, lines.Bytes())
		}
		found[entry.Target]++
	}
	return found
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A pipe without a reader makes no caller wait, and every line is either read in the end or counted
// as dropped.
func TestBlockedPipe(t *testing.T) {
	nettest.LeakCheck(t)
	const writers, each, length = 4, 500, 4000
	// Lines that are held unread: 16 in the pipe, which holds 64 KiB (pipe(7)), 17 in the writer's
	// batch, 64 in the queue.
	const most = 100
	path := fifo(t)
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()

	l := open(t, accesslog.Options{Path: path, Queue: 64})
	writeFrom(l, writers, each, length)
	if blocked := l.Stats(); blocked.Dropped < writers*each-most {
		t.Errorf("got %+v, want at most %d lines not dropped", blocked, most)
	}

	content := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(reader)
		content <- all
	}()
	l.Close()
	found := targets(t, bytes.NewReader(<-content))
	stats := l.Stats()
	if n := uint64(len(found)); n != stats.Written || n+stats.Dropped != writers*each {
		t.Errorf("%d different lines read, %+v, want %d together", n, stats, writers*each)
	}
}

func TestPipeWithoutReader(t *testing.T) {
	path := fifo(t)
	want := "access log " + path + ": this pipe has no reader: start it first"
	if _, err := accesslog.New(accesslog.Options{Path: path}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNoSuchDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "log")
	want := "access log: open " + path + ": no such file or directory"
	if _, err := accesslog.New(accesslog.Options{Path: path}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Files are rotated while lines are written: each line is in one of them, whole.
func TestRotation(t *testing.T) {
	nettest.LeakCheck(t)
	const writers, each, rotations = 2, 5000, 20
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, accesslog.Options{Path: path, Queue: writers * each})
	var rotating sync.WaitGroup
	rotating.Go(func() {
		for i := range rotations {
			if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
				t.Error(err)
			}
			if err := l.Reopen(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond) // spread over the time of writing; nothing depends on it
		}
	})
	writeFrom(l, writers, each, 10)
	rotating.Wait()
	l.Close()

	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != rotations+1 {
		t.Fatalf("got files %v, %v, want %d", files, err, rotations+1)
	}
	var all bytes.Buffer
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) > 0 && content[len(content)-1] != '\n' {
			t.Errorf("%s ends in a torn line", file)
		}
		all.Write(content)
	}
	found := targets(t, &all)
	for target, n := range found {
		if n != 1 {
			t.Errorf("%s is there %d times", target, n)
		}
	}
	if stats := l.Stats(); len(found) != writers*each || stats.Written != writers*each ||
		stats.Dropped != 0 {
		t.Errorf("%d different lines found, %+v, want %d", len(found), stats, writers*each)
	}
}

// Lines before Reopen are in the old file, lines after it in the new one.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := open(t, accesslog.Options{Path: path})
	write := func(target string) { l.Write(&accesslog.Entry{Target: []byte(target)}) }
	write("before")
	nettest.Eventually(t, 10*time.Second, func() bool { return l.Stats().Written == 1 }, "the line is written")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	write("after")
	l.Close()
	for file, want := range map[string]string{path + ".old": "before", path: "after"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := targets(t, bytes.NewReader(content)); len(found) != 1 || found[want] != 1 {
			t.Errorf("%s: got %v, want %s", file, found, want)
		}
	}
}

// If the path cannot be opened again, the old file stays in use.
func TestReopenThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := open(t, accesslog.Options{Path: filepath.Join(dir, "log")})
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err == nil {
		t.Error("got no error")
	}
	l.Write(&accesslog.Entry{Target: []byte("still")})
	l.Close()
	content, err := os.ReadFile(filepath.Join(dir+".gone", "log"))
	if err != nil || !strings.Contains(string(content), `"target":"still"`) {
		t.Errorf("got %q, %v", content, err)
	}
}

// The device /dev/full behaves as a disk without room.
func TestFullDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	l := open(t, accesslog.Options{Path: path})
	l.Write(&accesslog.Entry{Target: []byte("patient")})
	nettest.Eventually(t, 10*time.Second, func() bool { return l.Stats().Failures > 0 }, "a failure is counted")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), `"target":"patient"`) {
		t.Errorf("got %q, %v", content, err)
	}
}

// TestStandardOutputGone runs itself as a process whose standard output is a pipe that has lost its
// reader, which must not end it.
func TestStandardOutputGone(t *testing.T) {
	const child = "ACCESSLOG_TEST_CHILD"
	if os.Getenv(child) != "" {
		l := open(t, accesslog.Options{Path: "-"})
		l.Write(&accesslog.Entry{})
		nettest.Eventually(t, 10*time.Second, func() bool { return l.Stats().Failures > 0 }, "a failure is counted")
		fmt.Fprintln(os.Stderr, "alive")
		os.Exit(0) // before the test framework writes to standard output
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	defer writer.Close()
	var errors bytes.Buffer
	cmd := exec.Command(os.Args[0], "-test.run=^TestStandardOutputGone$")
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.Stdout, cmd.Stderr = writer, &errors
	if err := cmd.Run(); err != nil || !strings.Contains(errors.String(), "alive") {
		t.Errorf("got %v, %s", err, &errors)
	}
}
