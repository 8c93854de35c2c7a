package accesslog

import (
	"bytes"
	"io"
	"log/slog"
	"time"
)

const (
	maxBatch = 64 << 10 // bytes for one write; the last line may go beyond

	// gatherFor is how long the writer lets lines gather if there are few. While it
	// sleeps, a loop that queues a line need not wake it, and one write takes many lines.
	gatherFor = 2 * time.Millisecond

	retryAfter = 200 * time.Millisecond // after a write that failed
	tellAfter  = 10 * time.Second       // between two lines in the log about lines dropped
)

var newline = []byte{'\n'}

// writer is the goroutine that moves lines from the queue into the file. Lines are dropped only in
// front of the queue, and when the writer ends: a batch that cannot be written is tried again while
// the queue fills up.
type writer struct {
	*Log
	file    io.WriteCloser
	batch   []byte
	failing bool
	told    uint64 // how many dropped lines were logged
	toldAt  time.Time
}

func (w *writer) run() {
	defer close(w.ended)
	for w.gather() {
		w.write()
		if time.Since(w.toldAt) >= tellAfter {
			w.tell()
		}
	}
	w.adopt()
	_ = w.file.Close()
	w.tell()
}

// gather waits for lines and fills the batch with them. It returns false when the log is closed and
// the queue empty.
func (w *writer) gather() bool {
	w.batch = w.batch[:0]
	closing := false
	select {
	case line := <-w.queue:
		w.take(line)
		if len(w.queue) <= cap(w.queue)/8 {
			time.Sleep(gatherFor)
		}
	case file := <-w.files:
		w.replace(file)
	case <-w.closing:
		closing = true
	}
	for len(w.batch) < maxBatch {
		select {
		case line := <-w.queue:
			w.take(line)
		default:
			return !closing || len(w.batch) > 0
		}
	}
	return true
}

func (w *writer) take(l *line) {
	w.batch = append(w.batch, l.text...)
	pool.Put(l)
}

// write writes the batch, and tries again until it is written. Once the log is
// closed it tries one more time.
func (w *writer) write() {
	last := false
	for done := 0; done < len(w.batch); {
		// Not before gather: a line that was queued after Reopen must not reach the old file.
		if w.adopt() { // the old file keeps a torn line, the new one starts with that line
			done = bytes.LastIndexByte(w.batch[:done], '\n') + 1
		}
		n, err := w.file.Write(w.batch[done:])
		w.written.Add(countLines(w.batch[done : done+n]))
		done += n
		if err == nil {
			w.recovered()
			continue
		}
		w.failed(err)
		if last {
			w.dropped.Add(countLines(w.batch[done:]))
			return
		}
		select {
		case <-time.After(retryAfter):
		case <-w.closing:
			last = true
		}
	}
}

// adopt switches to the file that Reopen opened, if there is one.
func (w *writer) adopt() bool {
	select {
	case file := <-w.files:
		w.replace(file)
		return true
	default:
		return false
	}
}

func (w *writer) replace(file io.WriteCloser) {
	_ = w.file.Close()
	w.file = file
}

func (w *writer) failed(err error) {
	w.failures.Inc()
	if !w.failing {
		slog.Error("the access log cannot be written, trying again", "path", w.path, "error", err)
	}
	w.failing = true
}

func (w *writer) recovered() {
	if w.failing {
		slog.Info("the access log is written again", "path", w.path)
	}
	w.failing = false
}

// tell logs how many lines were dropped since it last did.
func (w *writer) tell() {
	if lost := w.dropped.Load(); lost != w.told {
		slog.Warn("access log lines were dropped because the log is not written fast enough",
			"path", w.path, "lines", lost-w.told)
		w.told = lost
		w.toldAt = time.Now()
	}
}

func countLines(b []byte) uint64 { return uint64(bytes.Count(b, newline)) }
