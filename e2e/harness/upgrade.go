package harness

import (
	"regexp"
	"strconv"
	"strings"

	"reprise/internal/nettest"
)

// Upgrade starts a successor, which must take over, and returns its process id.
func (s *Server) Upgrade() (pid int) {
	s.T.Helper()
	r := nettest.Run(s.T, nettest.Command{
		Path: Program(s.T),
		Args: []string{"upgrade", "--admin", s.Admin}, Timeout: Patience,
	})
	m := regexp.MustCompile(`^process (\d+) has taken over\n$`).FindStringSubmatch(r.Stdout)
	if r.ExitCode != 0 || m == nil {
		s.T.Fatalf("upgrade: exit code %d, %q, %q", r.ExitCode, r.Stdout, r.Stderr)
	}
	pid, _ = strconv.Atoi(m[1])
	return pid
}

// Logged is how often a text was logged, by this process and its successors.
func (s *Server) Logged(text string) int { return strings.Count(s.Stderr(), text) }
