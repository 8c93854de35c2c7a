package harness

import (
	"syscall"

	"reprise/internal/nettest"
)

// BackendTLS returns the counts of the first pool that has some.
func (s *Server) BackendTLS() backendTLSRow {
	s.T.Helper()
	for _, p := range s.Document().Backends.Pools {
		if p.TLS != nil {
			return *p.TLS
		}
	}
	s.T.Fatal("no pool has TLS")
	return backendTLSRow{}
}

// WantHandshakes checks how many handshakes with backends there were.
func (s *Server) WantHandshakes(full, resumed uint64) {
	s.T.Helper()
	if got := s.BackendTLS().Handshakes; got["full"] != full || got["resumed"] != resumed {
		s.T.Errorf("%d full handshakes with backends and %d resumed, want %d and %d", got["full"],
			got["resumed"], full, resumed)
	}
}

// Reload has the program read its files again.
func (s *Server) Reload() {
	s.T.Helper()
	before := s.reloads()
	s.Signal(syscall.SIGHUP)
	nettest.Eventually(s.T, Patience, func() bool { return s.reloads() > before },
		"the files are read again")
}

// reloads returns how often they were read so far, with success or without.
func (s *Server) reloads() uint64 {
	var d struct{ Reload struct{ Done, Failed uint64 } }
	s.Decode(&d)
	return d.Reload.Done + d.Reload.Failed
}
