package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// UnixAddr is a path for a unix socket.
func UnixAddr(t *testing.T) string { return filepath.Join(t.TempDir(), "socket") }

// Settings returns the lines of an INI file that are not comments.
func Settings(ini string) string {
	var kept strings.Builder
	for line := range strings.Lines(ini) {
		if !strings.HasPrefix(line, ";") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// AwaitLookups waits until so many handshakes are parked.
func (s *Server) AwaitLookups(n int64) {
	s.T.Helper()
	nettest.Eventually(s.T, Patience, func() bool { return s.Shared().Lookups.Parked == n },
		"%d parked handshakes", n)
}

// Patience is the time-out for events that must happen, on a machine that is busy with other
// things.
const Patience = time.Minute

// RaceEnabled reports whether the race detector is on, in this process and in
// the one under test: both are then slow, and their memory is not their own.
var RaceEnabled = func() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" && s.Value == "true" {
			return true
		}
	}
	return false
}()

// A Server is the built program at work, seen from outside.
type Server struct {
	*nettest.Process
	T         *testing.T
	Addresses []string // of the TLS listeners, in order
	Stats     string
	Admin     string
}

// Start runs the program until the test ends.
func Start(t *testing.T, args ...string) *Server {
	t.Helper()
	return StartCommand(t, nettest.Command{Path: Program(t)}, args...)
}

// StartCommand is [Start] with a command of the test's own, to which arguments are added.
func StartCommand(t *testing.T, c nettest.Command, args ...string) *Server {
	t.Helper()
	s := &Server{T: t, Stats: nettest.FreeAddr(t), Admin: nettest.FreeAddr(t)}
	ours := []string{
		"--stats", s.Stats, "--admin", s.Admin, "--admin-token-file", adminToken(t),
		"--pprof", "--log-format", "json", "--drain-timeout", "1s",
	}
	c.Args, c.Timeout = slices.Concat(c.Args, ours, args), Patience
	s.Process = nettest.Start(t, c)
	var serving struct{ Listen []string }
	if err := json.Unmarshal([]byte(s.Match(`^\{.*"msg":"serving".*\}$`)[0]), &serving); err != nil {
		t.Fatal(err)
	}
	s.Addresses = serving.Listen
	return s
}

// Program returns the path of the program under test: built from this source, or
// what REPRISE_BIN names, so that a test can be seen to fail on an older one.
func Program(t *testing.T) string {
	if path := os.Getenv("REPRISE_BIN"); path != "" {
		return path
	}
	return nettest.Build(t, "reprise/cmd/reprise")
}

// Exit codes of the program.
const (
	ExitOK      = 0
	ExitFailure = 1 // failed at run time
	ExitConfig  = 2 // the configuration is wrong
)

// Run runs a command of the program to its end.
func Run(t *testing.T, args ...string) nettest.Result {
	t.Helper()
	return nettest.Run(t, nettest.Command{Path: Program(t), Args: args, Timeout: Patience})
}

// Listen is the option for a listener with cert on a port that the kernel
// chooses; more are further fields of sslrouter2.
func Listen(cert *testpki.Cert, more ...string) string {
	fields := append([]string{"addr=127.0.0.1:0", "cert=" + cert.CertFile, "key=" + cert.KeyFile},
		more...)
	return "--sslrouter2=" + strings.Join(fields, ",")
}

// To is the option for a backend of sslrouter.
func To(addr string) string { return "--sslrouter-to=" + addr }

// EchoServer runs the program in front of a backend that echoes.
func EchoServer(t *testing.T, key testpki.KeyType, args ...string) (*Server, *testpki.PKI) {
	t.Helper()
	pki := testpki.New(t)
	args = append([]string{
		Listen(pki.Server(key, "localhost")),
		To(nettest.Serve(t, nettest.Echo).Addr),
	}, args...)
	return Start(t, args...), pki
}

// Addr is where the first listener listens.
func (s *Server) Addr() string { return s.Addresses[0] }

// Document reads the statistics.
func (s *Server) Document() (d Document) {
	s.T.Helper()
	s.Decode(&d)
	return d
}

// Decode reads the statistics.
func (s *Server) Decode(d any) {
	s.T.Helper()
	conn, err := nettest.Dial(s.Stats)
	if err != nil {
		s.T.Fatal(err)
	}
	defer conn.Close()
	if err := json.NewDecoder(conn).Decode(d); err != nil {
		s.T.Fatal(err)
	}
}

// Await waits for a condition on the document.
func (s *Server) Await(what string, holds func(Document) bool) {
	s.T.Helper()
	nettest.Eventually(s.T, Patience, func() bool { return holds(s.Document()) }, "%s", what)
}

// AwaitIdle waits until no connection is open.
func (s *Server) AwaitIdle() {
	s.T.Helper()
	s.Await("all connections end", func(d Document) bool { return d.Engine.Flows.Open == 0 })
}

// AwaitStill waits until no byte moves: every reader there is has stopped, and
// everything before it is full.
func (s *Server) AwaitStill() {
	s.T.Helper()
	var last uint64
	equal := 0
	s.Await("all bytes stand still", func(d Document) bool {
		f := &d.Engine.Flows
		moved := f.CipherInBytes + f.PlainInBytes + f.PlainOutBytes + f.CipherOutBytes
		if equal++; moved != last {
			equal = 0
		}
		last = moved
		return equal == 10
	})
}

// WantOutcomes checks the counts of the given outcomes since before; other outcomes must not have
// occurred.
func (s *Server) WantOutcomes(before Document, want map[string]uint64) {
	s.T.Helper()
	for outcome, n := range s.Document().Engine.TLS.Outcomes {
		if got := n - before.Engine.TLS.Outcomes[outcome]; got != want[outcome] {
			s.T.Errorf("outcome %s: got %d, want %d", outcome, got, want[outcome])
		}
	}
}

// LogLen is the number of lines logged so far, without those of handshakes that failed and of
// refused responses: the other end causes these, and another test bounds their number.
func (s *Server) LogLen() (n int) {
	for line := range strings.Lines(s.Stderr()) {
		if !othersDoing.MatchString(line) {
			n++
		}
	}
	return n
}

var othersDoing = regexp.MustCompile(
	`"msg":"(handshake failed|more handshakes failed|an answer of a backend was refused)"`)

// DescriptorLen is the number of descriptors the process holds.
func (s *Server) DescriptorLen() int {
	s.T.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Pid()))
	if err != nil {
		s.T.Fatal(err)
	}
	return len(entries)
}
