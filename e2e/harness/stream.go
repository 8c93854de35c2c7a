package harness

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// MiB is 2^20 bytes.
const MiB = 1 << 20

// Bulk is many times the size of all buffers together.
func Bulk() int64 {
	if RaceEnabled {
		return 16 * MiB
	}
	return 100 * MiB
}

// A Pace is how a client reads.
type pace struct {
	Name string
	N    func() int64 // bytes to read at this pace
	Read func(s *Server, r io.Reader) io.Reader
}

// Paces are those that streams are tested at.
var Paces = []pace{
	{"fast", Bulk, func(_ *Server, r io.Reader) io.Reader { return r }},
	// Not slower, because nothing in the program depends on how slow it is;
	// the kernel's buffers are kept smaller than the stream instead.
	{"4 MiB per second", func() int64 { return 8 * MiB }, NewSlowReader},
	{"stop and go", Bulk, newStopAndGoReader},
}

// A slowReader reads a TLS record per tick.
type slowReader struct {
	io.Reader
	tick *time.Ticker
}

// NewSlowReader reads from a TLS connection at the pace of a slow client.
func NewSlowReader(s *Server, r io.Reader) io.Reader {
	const record, perSecond = 16 << 10, 4 * MiB
	SetReadBuffer(r.(*tls.Conn), 64<<10)
	tick := time.NewTicker(time.Second * record / perSecond)
	s.T.Cleanup(tick.Stop)
	return slowReader{r, tick}
}

func (s slowReader) Read(p []byte) (int, error) {
	<-s.tick.C
	return s.Reader.Read(p)
}

// SetReadBuffer keeps the kernel from reading ahead for the client.
func SetReadBuffer(conn *tls.Conn, n int) { TCP(conn).SetReadBuffer(n) }

// A StopAndGoReader stops now and then until everything before it is full.
type StopAndGoReader struct {
	io.Reader
	Server *Server
	Every  int64
	left   int64
}

func newStopAndGoReader(s *Server, r io.Reader) io.Reader {
	SetReadBuffer(r.(*tls.Conn), 64<<10)
	return &StopAndGoReader{Reader: r, Server: s, Every: Bulk() / 8}
}

// Read implements io.Reader.
func (s *StopAndGoReader) Read(p []byte) (int, error) {
	if s.left <= 0 {
		s.Server.AwaitStill()
		s.left = s.Every
	}
	n, err := s.Reader.Read(p)
	s.left -= int64(n)
	return n, err
}

// RSS is the memory of the process, in bytes.
func RSS(t *testing.T, s *Server) int64 {
	t.Helper()
	n, err := nettest.RSS(s.Pid())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// WantGrown checks that the process has not grown by more than bound since it had before. Garbage
// does not count: a collection is forced if need be.
func WantGrown(t *testing.T, s *Server, before, bound int64) {
	t.Helper()
	if RaceEnabled {
		return
	}
	grown := RSS(t, s) - before
	t.Logf("%d KiB more, %d KiB are allowed", grown>>10, bound>>10)
	nettest.Eventually(t, Patience, func() bool {
		if RSS(t, s)-before <= bound {
			return true
		}
		s.Get("/debug/pprof/heap?gc=1")
		return false
	}, "the process to have grown by at most %d MiB", bound>>20)
}
