package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// disk is a file that takes room bytes, then errors.
type disk struct {
	content strings.Builder
	room    int
	closed  bool
}

var errFull = errors.New("no space left on device")

func (d *disk) Write(p []byte) (int, error) {
	if d.closed {
		return 0, errors.New("written after close")
	}
	n := min(len(p), d.room)
	d.content.Write(p[:n])
	d.room -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func (d *disk) Close() error {
	d.closed = true
	return nil
}

// startOn returns a log that opens the disks in turn.
func startOn(t *testing.T, queue int, disks ...*disk) *Log {
	l, err := start(Options{Path: "disk", Queue: queue}, func() (io.WriteCloser, error) {
		d := disks[0]
		disks = disks[1:]
		return d, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wait passes the time in which the writer takes the queued lines and tries to write them.
func wait() {
	time.Sleep(2 * gatherFor) // in a synctest bubble: this is exact
	synctest.Wait()
}

const unlimited = 1 << 30

// linesOf returns the lines of n entries after the first skip.
func linesOf(skip, n int) string {
	var b strings.Builder
	for i := range n {
		b.Write(appendJSON(nil, numbered(skip+i)))
	}
	return b.String()
}

func numbered(i int) *Entry { return &Entry{Target: fmt.Appendf(nil, "/%d", i)} }

func writeNumbered(l *Log, skip, n int) {
	for i := range n {
		l.Write(numbered(skip + i))
	}
}

func checkStats(t *testing.T, l *Log, written, dropped uint64) {
	t.Helper()
	if got := l.Stats(); got.Written != written || got.Dropped != dropped || got.Queued != 0 {
		t.Errorf("got %+v, want %d written, %d dropped", got, written, dropped)
	}
}

// A disk that fills up in the middle of a line has every line once there is room.
func TestFullDiskThatIsEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: len(linesOf(0, 3)) + 5}
		l := startOn(t, 100, d)
		writeNumbered(l, 0, 10)
		wait()
		if got := l.Stats(); got.Written != 3 || got.Failures == 0 {
			t.Errorf("got %+v, want 3 written, some failures", got)
		}
		d.room = unlimited
		writeNumbered(l, 10, 5)
		l.Close()
		checkStats(t, l, 15, 0)
		if got, want := d.content.String(), linesOf(0, 15); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// While a disk is full, the queue takes lines up to its bound. Then the log says how many are
// missing.
func TestFullDiskDrops(t *testing.T) {
	var told bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&told, nil)))
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		l := startOn(t, 4, d)
		writeNumbered(l, 0, 2)
		wait() // the writer holds two
		writeNumbered(l, 2, 10)
		d.room = unlimited
		l.Close()
		checkStats(t, l, 6, 6)
		if got, want := d.content.String(), linesOf(0, 6); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, want := range []string{"no space left on device", "written again", "lines=6"} {
			if strings.Count(told.String(), want) != 1 {
				t.Errorf("the log does not say %q once: %s", want, &told)
			}
		}
	})
}

// Lines that a full disk never takes are counted when the log is closed, a torn line too.
func TestFullDiskAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: len(linesOf(0, 3)) + 5}
		l := startOn(t, 100, d)
		writeNumbered(l, 0, 10)
		wait()
		writeNumbered(l, 10, 10)
		l.Close()
		checkStats(t, l, 3, 17)
		if !d.closed {
			t.Error("the file is still open")
		}
	})
}

// Reopened while a line is torn, the new file starts with the whole line.
func TestReopenOnFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, unused, next := &disk{room: len(linesOf(0, 3)) + 5}, &disk{}, &disk{room: unlimited}
		l := startOn(t, 100, old, unused, next)
		writeNumbered(l, 0, 10)
		wait()
		for range 2 { // the second time before the writer gets to the first
			if err := l.Reopen(); err != nil {
				t.Fatal(err)
			}
		}
		l.Close()
		checkStats(t, l, 10, 0)
		if got, want := next.content.String(), linesOf(3, 7); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if !old.closed || !unused.closed || !next.closed {
			t.Error("a file is still open")
		}
	})
}

// After Close neither method does anything, nor panics.
func TestAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startOn(t, 1, &disk{room: unlimited})
		l.Close()
		l.Close()
		writeNumbered(l, 0, 3)
		if err := l.Reopen(); err != nil { // would open a disk that is not there
			t.Error(err)
		}
	})
}

// stuck never ends a Write until released.
type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.release
	return len(p), nil
}
func (s stuck) Close() error { return nil }

func TestCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stuck{release: make(chan struct{})}
		l, err := start(Options{Queue: 4096}, func() (io.WriteCloser, error) { return s, nil })
		if err != nil {
			t.Fatal(err)
		}
		writeNumbered(l, 0, 1)
		l.Close() // a deadlock fails the test
		close(s.release)
		<-l.ended
	})
}

func TestSampled(t *testing.T) {
	const draws = 100_000
	for _, test := range []struct{ sample, least, most int }{
		{0, draws, draws},
		{1, draws, draws},
		{10, draws / 20, draws / 5}, // 50 standard deviations to either side
	} {
		l := Log{sample: test.sample}
		got := 0
		for range draws {
			if l.Sampled() {
				got++
			}
		}
		if got < test.least || got > test.most {
			t.Errorf("one in %d: got %d of %d, want %d to %d", test.sample, got, draws, test.least, test.most)
		}
	}
}
