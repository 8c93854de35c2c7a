package main

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"reprise/engine"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A visitor is a client with a memory for sessions.
type visitor struct {
	name string
	// visit makes some connections to addr, the first with an empty memory,
	// and fails the test unless by its own account all but that one resume.
	visit func(t *testing.T, addr string, pki *testpki.PKI, version uint16)
	// idOnly: in TLS 1.2 the client resumes by session ID or not at all, and
	// the former crypto/tls does not do as a server.
	idOnly bool
}

var visitors = []visitor{
	{name: "openssl", visit: visitOpenSSL},
	{name: "curl", visit: visitCurl, idOnly: true}, // it sets SSL_OP_NO_TICKET; later releases may not
	{name: "gnutls", visit: visitGnuTLS},
	{name: "go", visit: visitGo},
}

// visits is how many connections a visitor makes that can choose.
const visits = 5

// TestClientsResume is the first thing a terminator is for: whoever comes gets
// a full handshake, and from then on resumes, whichever loop it meets.
func TestClientsResume(t *testing.T) {
	for _, key := range []testpki.KeyType{testpki.ECDSA, testpki.RSA} {
		pki := testpki.New(t)
		backend := nettest.Serve(t, answerLine)
		s := start(t, "--http-processes", "2", listen(pki.Server(key, "localhost", "127.0.0.1")), to(backend.Addr))
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, v := range visitors {
				t.Run(fmt.Sprintf("%s/%s/%v", v.name, tls.VersionName(version), key), func(t *testing.T) {
					mayResume := !v.idOnly || version != tls.VersionTLS12
					visitBothLoops(t, s, func() { v.visit(t, s.addr(), pki, version) }, version, mayResume)
				})
			}
		}
	}
}

// visitBothLoops repeats visits until the kernel has spread the connections of
// one of them over both loops. If they resume, all but the first must each time:
// those on the loop that had not made the session too.
func visitBothLoops(t *testing.T, s *server, visit func(), version uint16, resumes bool) {
	t.Helper()
	kind := map[uint16]string{tls.VersionTLS12: "tls12", tls.VersionTLS13: "tls13"}[version]
	for range 30 {
		before := s.document().Engine
		visit()
		after := s.document().Engine
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

func accepted(s engine.Stats, loop int) uint64 { return s.Loops[loop].Accepted }

func visitOpenSSL(t *testing.T, addr string, pki *testpki.PKI, version uint16) {
	nettest.Need(t, "openssl")
	session := t.TempDir() + "/session.pem"
	connect := func(memory, want string) {
		t.Helper()
		r := nettest.Run(t, nettest.Command{
			Path: "openssl",
			Args: []string{
				"s_client", "-connect", addr, "-servername", "localhost", "-CAfile", pki.CAFile, "-verify_return_error",
				map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}[version],
				"-ign_eof", memory, session, // until the backend closes: TLS 1.3 tickets come with the answer
			},
			Stdin: strings.NewReader("ping\n"),
		})
		if r.ExitCode != 0 || !strings.Contains(r.Stdout, want+", TLSv1.") || !strings.Contains(r.Stdout, "ping\n") {
			t.Fatalf("exit code %d, want 0, %q and the answer in:\n%s%s", r.ExitCode, want, r.Stdout, r.Stderr)
		}
	}
	connect("-sess_out", "New")
	for range visits - 1 {
		connect("-sess_in", "Reused")
	}
}

func visitCurl(t *testing.T, addr string, pki *testpki.PKI, version uint16) {
	nettest.Need(t, "curl")
	v := map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[version]
	args := []string{"--silent", "--show-error", "--http1.1", "--cacert", pki.CAFile, "--tlsv" + v, "--tls-max", v}
	for range visits {
		args = append(args, "https://"+addr+"/")
	}
	r := nettest.Run(t, nettest.Command{Path: "curl", Args: args})
	// What curl says of resumption differs from release to release; the
	// server's counters are checked for all clients.
	if want := strings.Repeat("page\n", visits); r.ExitCode != 0 || r.Stdout != want {
		t.Fatalf("exit code %d, output %q, want 0 and %q\n%s", r.ExitCode, r.Stdout, want, r.Stderr)
	}
}

func visitGnuTLS(t *testing.T, addr string, pki *testpki.PKI, version uint16) {
	nettest.Need(t, "gnutls-cli")
	host, port, _ := strings.Cut(addr, ":")
	v := map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[version]
	r := nettest.Run(t, nettest.Command{
		Path: "gnutls-cli",
		Args: []string{
			host, "--port", port, "--x509cafile", pki.CAFile, "--sni-hostname", "localhost", "--verify-hostname", "localhost",
			"--priority", "NORMAL:-VERS-ALL:+VERS-TLS" + v, "--resume", "--waitresumption",
		},
		Stdin: strings.NewReader("ping\n"),
	})
	if r.ExitCode != 0 || !strings.Contains(r.Stdout, "*** This is a resumed session") || !strings.Contains(r.Stdout, "ping\n") {
		t.Fatalf("exit code %d, want 0, a resumed session and the answer in:\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
	}
}

func visitGo(t *testing.T, addr string, pki *testpki.PKI, version uint16) {
	config := with(clientConfig(pki), func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
	for i := range visits {
		state := visit(t, addr, config)
		if state.DidResume != (i > 0) || state.Version != version {
			t.Fatalf("connection %d: resumed is %v in %s", i, state.DidResume, tls.VersionName(state.Version))
		}
	}
}
