package asynclog_test

import (
	"bytes"
	"os"
	"testing"

	"reprise/internal/asynclog"
)

// stuck blocks in Write until released.
type stuck struct {
	bytes.Buffer
	entered chan bool
	release chan bool
}

func (s *stuck) Write(p []byte) (int, error) {
	select {
	case s.entered <- true:
	default:
	}
	<-s.release
	return s.Buffer.Write(p)
}

func TestNeverBlocksAndCountsWhatIsLost(t *testing.T) {
	dst := &stuck{entered: make(chan bool, 1), release: make(chan bool)}
	w := asynclog.New(dst, 1)
	line := []byte("one\n")
	_, _ = w.Write(line)
	<-dst.entered
	copy(line, "XXX") // the caller reuses its buffer
	for _, s := range []string{"two\n", "three\n", "four\n"} {
		_, _ = w.Write([]byte(s))
	}
	if got := w.Dropped(); got != 2 {
		t.Errorf("dropped %d lines, want 2", got)
	}
	close(dst.release)
	w.Close()
	want := "one\n2 log lines were dropped because the log was not read\ntwo\n"
	if got := dst.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func Example() {
	w := asynclog.New(os.Stdout, 100)
	_, _ = w.Write([]byte("listening\n"))
	w.Close()
	// Output: listening
}
