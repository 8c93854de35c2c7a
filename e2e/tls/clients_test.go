package tls

import (
	"crypto/tls"
	"fmt"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestClientsResume tests the basic purpose of a terminator: a new client gets a full handshake,
// and from then on resumes, whichever loop it meets.
func TestClientsResume(t *testing.T) {
	for _, key := range []testpki.KeyType{testpki.ECDSA, testpki.RSA} {
		pki := testpki.New(t)
		backend := nettest.Serve(t, harness.AnswerLine)
		s := harness.Start(t, "--http-processes", "2", harness.Listen(pki.Server(key, "localhost", "127.0.0.1")), harness.To(backend.Addr))
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, v := range harness.Visitors {
				t.Run(fmt.Sprintf("%s/%s/%v", v.Name, tls.VersionName(version), key), func(t *testing.T) {
					mayResume := !v.IDOnly || version != tls.VersionTLS12
					visitBothLoops(t, s, func() { v.Visit(t, s.Addr(), pki, version) }, version, mayResume)
				})
			}
		}
	}
}

// visitBothLoops repeats visits until the kernel has spread the connections of
// one of them over both loops. If they resume, all but the first must each time:
// those on the loop that had not made the session too.
func visitBothLoops(t *testing.T, s *harness.Server, visit func(), version uint16, resumes bool) {
	t.Helper()
	kind := map[uint16]string{tls.VersionTLS12: "tls12", tls.VersionTLS13: "tls13"}[version]
	for range 30 {
		before := s.Document().Engine
		visit()
		after := s.Document().Engine
		total := after.Flows.Accepted - before.Flows.Accepted
		full := after.TLS.Handshakes[kind+"_full"] - before.TLS.Handshakes[kind+"_full"]
		resumed := after.TLS.Handshakes[kind+"_resumed"] - before.TLS.Handshakes[kind+"_resumed"]
		local := after.TLS.Outcomes["resumed_local"] - before.TLS.Outcomes["resumed_local"]
		if full+resumed != total || local != resumed {
			t.Fatalf("of %d %s connections %d had a full handshake and %d resumed, %d of them from here", total, kind, full, resumed, local)
		}
		if resumes && (full != 1 || resumed < 1) {
			t.Fatalf("of %d %s connections %d had a full handshake, want 1", total, kind, full)
		}
		if accepted(after, 0) > accepted(before, 0) && accepted(after, 1) > accepted(before, 1) {
			return
		}
	}
	t.Fatal("all connections of each visit went to one loop")
}

func accepted(s harness.EngineRow, loop int) uint64 { return s.Loops[loop].Accepted }
