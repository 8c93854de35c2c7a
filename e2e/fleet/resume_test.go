package fleet

import (
	"crypto/tls"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// The modes of cache-replication.
var fleetModes = []string{"push+pull", "pull", "push"}

// TestFleetResumes tests the purpose of the fleet: a session made at one node resumes at the
// others, for every client, also when its maker is dead, and at a node that has just started.
func TestFleetResumes(t *testing.T) {
	t.Parallel()
	for _, mode := range fleetModes {
		t.Run(mode, func(t *testing.T) {
			f := harness.StartFleet(t, 3, mode, harness.PatientLookup)
			harness.ForEachVersion(t, func(t *testing.T, version uint16) {
				for _, v := range harness.Visitors {
					t.Run(v.Name, func(t *testing.T) { visitEverywhere(t, f, v, version) })
				}
			})
			t.Run("after deaths", func(t *testing.T) { survive(t, f) })
		})
	}
}

// visitEverywhere lets a visitor meet another node each time it connects.
func visitEverywhere(t *testing.T, f *harness.Fleet, v harness.Visitor, version uint16) {
	balancer := f.Balance(0, 1, 2)
	elsewhere := "resumed_pushed"
	if f.Mode == "pull" {
		elsewhere = "resumed_pulled"
	}
	for range 3 { // some visitors connect only twice
		before := f.Outcomes()
		accepted := balancer.Accepted()
		v.Visit(t, balancer.Addr, f.PKI, version)
		got := harness.Since(f.Outcomes(), before)
		if v.IDOnly && version == tls.VersionTLS12 {
			continue // it got its answers: that is all it can get
		}
		visited := uint64(balancer.Accepted() - accepted)
		if got["new_client"] != 1 || got[elsewhere] == 0 || got[elsewhere]+got["resumed_local"] != visited-1 {
			t.Errorf("%d connections: %v, want all but one resumed, some of them %s", visited, got, elsewhere)
		}
	}
}

// survive makes sessions at node 0, kills it, and restarts node 1.
func survive(t *testing.T, f *harness.Fleet) {
	type holder struct {
		version uint16
		config  *tls.Config
		file    string // for openssl
	}
	var holders []holder
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config, w := harness.OneSessionConfig(f.PKI, version)
		harness.AskLine(t, f.TLS(0), config)
		h := holder{version, harness.Offering(config, w.Session), t.TempDir() + "/session.pem"}
		openSSL(t, f.TLS(0), f.PKI, version, "-sess_out", h.file, "New")
		holders = append(holders, h)
	}
	wantAll := func(i int) {
		t.Helper()
		for _, h := range holders {
			if state := harness.AskLine(t, f.TLS(i), h.config); !state.DidResume {
				t.Errorf("node %d: Go, %s: not resumed", i, tls.VersionName(h.version))
			}
			openSSL(t, f.TLS(i), f.PKI, h.version, "-sess_in", h.file, "Reused")
		}
	}
	f.AwaitPushed()
	if f.Mode == "pull" { // a session that no other node has asked for dies with its node
		wantAll(1)
		wantAll(2)
	}
	f.Kill(0)
	wantAll(1)
	wantAll(2)
	f.Kill(1)
	f.Run(1)
	f.AwaitIntroduced()
	wantAll(1)
}

// openSSL makes one connection with openssl s_client, which must say that it is
// New or Reused.
func openSSL(t *testing.T, addr string, pki *testpki.PKI, version uint16, memory, file,
	want string,
) {
	t.Helper()
	nettest.Need(t, "openssl")
	r := nettest.Run(t, nettest.Command{
		Path: "openssl",
		Args: []string{
			"s_client", "-connect", addr, "-servername", "localhost", "-CAfile", pki.CAFile, "-verify_return_error",
			map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}[version], "-ign_eof", memory, file,
		},
		Stdin: strings.NewReader("ping\n"),
	})
	if r.ExitCode != 0 || !strings.Contains(r.Stdout, want+", TLSv1.") || !strings.Contains(r.Stdout, "ping\n") {
		t.Fatalf("%s: exit code %d, want 0, %q and the answer in:\n%s%s", addr, r.ExitCode, want, r.Stdout, r.Stderr)
	}
}
