package accesslog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"reprise/internal/metric"
)

// Format is the form of a line.
type Format int

const (
	JSON Format = iota
	Combined
)

// closeWait bounds Close, so that a pipe without a reader does not keep the process from ending.
const closeWait = 3 * time.Second

// line is a formatted entry.
type line struct{ text []byte }

// pool has room for most lines from the start. It is not a bytebufferpool, which throws away
// buffers longer than 95 % of those it saw, so that every long line allocates.
var pool = sync.Pool{New: func() any { return &line{make([]byte, 0, 1024)} }}

// Options say where lines go and which. Path and Queue are needed.
type Options struct {
	Path   string // "-" is standard output
	Format Format
	Sample int // log one in this many; 0 and 1 log all
	Queue  int // lines that may wait to be written
}

// Log is an access log. Its methods may be called from any goroutine.
type Log struct {
	format Format
	sample int
	path   string
	open   func() (io.WriteCloser, error)

	queue chan *line

	mu      sync.Mutex          // held by Reopen and Close, never by Write
	closed  bool                // guarded by mu
	files   chan io.WriteCloser // the file to go on with; filled under mu, emptied by the writer
	closing chan struct{}
	ended   chan struct{}

	written  metric.Counter // the writer counts
	failures metric.Counter // the writer counts
	dropped  metric.Counter
}

// Stats are counts since the start. Written, Dropped and Queued together are the
// calls of Write, but for lines on their way from the queue into the file. Lines are
// dropped when the queue is full, or when a log is closed that could not be written.
type Stats struct {
	Written  uint64 `json:"written" metric:"counter" help:"Access log lines written."`
	Dropped  uint64 `json:"dropped" metric:"counter" help:"Access log lines lost because the log was not written fast enough."`
	Queued   int    `json:"queued" metric:"gauge" help:"Access log lines waiting to be written."`
	Failures uint64 `json:"failures" metric:"counter" help:"Attempts to write the access log that failed and were repeated."`
}

// New opens the file, which it creates if need be, and starts to write to it. The
// error is one line for the operator.
func New(o Options) (*Log, error) {
	return start(o, func() (io.WriteCloser, error) { return openFile(o.Path) })
}

func start(o Options, open func() (io.WriteCloser, error)) (*Log, error) {
	file, err := open()
	if err != nil {
		return nil, err
	}
	l := &Log{
		format:  o.Format,
		sample:  o.Sample,
		path:    o.Path,
		open:    open,
		queue:   make(chan *line, o.Queue),
		files:   make(chan io.WriteCloser, 1),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	go (&writer{Log: l, file: file}).run()
	return l, nil
}

// Sampled reports whether the next entry is among those to log. It decides at random, so that no
// client can time its requests to stay out of the log. Failures are to be logged whatever the
// sample:
//
//	if e.Failed() || l.Sampled() {
//		l.Write(&e)
//	}
func (l *Log) Sampled() bool { return l.sample <= 1 || rand.IntN(l.sample) == 0 }

// Write queues a line for e, of which it keeps nothing. It never blocks: if the queue is full, the
// line is dropped and counted. Lines after Close are lost.
func (l *Log) Write(e *Entry) {
	if len(l.queue) == cap(l.queue) { // not worth formatting
		l.dropped.Inc()
		return
	}
	out := pool.Get().(*line)
	// No table of functions: e would have to be on the heap for one.
	if l.format == Combined {
		out.text = appendCombined(out.text[:0], e)
	} else {
		out.text = appendJSON(out.text[:0], e)
	}
	select {
	case l.queue <- out:
	default:
		l.dropped.Inc()
		pool.Put(out)
	}
}

// Reopen opens the path again, after the file there was renamed. Lines of any Write that starts
// after Reopen returned go to the new file; a batch being written to the old one is completed
// first, if it can be. On an error the old file stays in use. On standard output it has no effect.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	file, err := l.open()
	if err != nil {
		return err
	}
	select {
	case unused := <-l.files: // the writer has not come to it yet
		_ = unused.Close()
	default:
	}
	l.files <- file // has room: only we fill it
	return nil
}

// Stats returns the counts so far.
func (l *Log) Stats() Stats {
	return Stats{
		Written:  l.written.Load(),
		Dropped:  l.dropped.Load(),
		Queued:   len(l.queue),
		Failures: l.failures.Load(),
	}
}

// Close writes the queued lines and closes the file. It waits at most closeWait: lines that cannot
// be written by then are lost.
func (l *Log) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.closing)
	}
	l.mu.Unlock()
	select {
	case <-l.ended:
	case <-time.After(closeWait):
		slog.Error("the access log is stuck, its last lines are lost", "path", l.path)
	}
}

// openFile opens a path of the options.
func openFile(path string) (*os.File, error) {
	if path == "-" {
		return standardOutput()
	}
	// O_NONBLOCK matters to pipes only: to open one without a reader would block.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o640)
	if errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("access log %s: this pipe has no reader: start it first",
			path)
	}
	if err != nil {
		return nil, fmt.Errorf("access log: %w", err)
	}
	return file, nil
}

// standardOutput returns a duplicate of standard output. Under its own number a pipe
// whose reader is gone would end the process by SIGPIPE (os/signal); under any other
// it is an error.
func standardOutput() (*os.File, error) {
	fd, err := unix.FcntlInt(os.Stdout.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("access log: standard output: %w", err)
	}
	return os.NewFile(uintptr(fd), "standard output"), nil
}
