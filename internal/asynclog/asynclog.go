// Package asynclog writes log lines without ever making the caller wait: a terminal or pipe without
// a reader must not stop a loop.
package asynclog

import (
	"fmt"
	"io"
	"sync"

	"reprise/internal/metric"
)

// A Writer passes lines on to another writer from a goroutine of its own. When that writer is slow
// and the queue is full, lines are dropped and counted, and the next line that gets through says
// how many are missing.
type Writer struct {
	lines   chan []byte
	dst     io.Writer
	dropped metric.Counter
	done    sync.WaitGroup
}

// New starts a Writer that lets queue lines wait for dst.
func New(dst io.Writer, queue int) *Writer {
	w := &Writer{lines: make(chan []byte, queue), dst: dst}
	w.done.Add(1)
	go w.pass()
	return w
}

// Write queues a copy of line. It may be called from any goroutine, never
// blocks and always claims success.
func (w *Writer) Write(line []byte) (int, error) {
	select {
	case w.lines <- append([]byte(nil), line...):
	default:
		w.dropped.Inc()
	}
	return len(line), nil
}

// Dropped returns how many lines were lost.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// Close writes the queued lines. Write must not be called after it.
func (w *Writer) Close() {
	close(w.lines)
	w.done.Wait()
}

func (w *Writer) pass() {
	defer w.done.Done()
	var told uint64
	for line := range w.lines {
		_, _ = w.dst.Write(line)
		if lost := w.Dropped(); lost != told {
			fmt.Fprintf(w.dst, "%d log lines were dropped because the log was not read\n",
				lost-told)
			told = lost
		}
	}
}
