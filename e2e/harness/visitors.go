package harness

import (
	"crypto/tls"
	"strings"
	"testing"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// A Visitor is a client with a memory for sessions.
type Visitor struct {
	Name string
	// visit makes some connections to addr, the first with an empty memory,
	// and fails the test unless by its own account all but that one resume.
	Visit func(t *testing.T, addr string, pki *testpki.PKI, version uint16)
	// idOnly: in TLS 1.2 the client resumes by session ID or not at all, and
	// the former crypto/tls does not do as a server.
	IDOnly bool
}

// Visitors are the clients that most users have.
var Visitors = []Visitor{
	{Name: "openssl", Visit: visitOpenSSL},
	// it sets SSL_OP_NO_TICKET; later releases may not
	{Name: "curl", Visit: visitCurl, IDOnly: true},
	{Name: "gnutls", Visit: visitGnuTLS},
	{Name: "go", Visit: visitGo},
}

// visits is how many connections a visitor makes that can choose.
const visits = 5

func visitOpenSSL(t *testing.T, addr string, pki *testpki.PKI, version uint16) {
	nettest.Need(t, "openssl")
	session := t.TempDir() + "/session.pem"
	connect := func(memory, want string) {
		t.Helper()
		r := nettest.Run(t, nettest.Command{
			Path: "openssl",
			Args: []string{
				"s_client", "-connect", addr, "-servername", "localhost", "-CAfile", pki.CAFile,
				"-verify_return_error",
				map[uint16]string{
					tls.VersionTLS12: "-tls1_2",
					tls.VersionTLS13: "-tls1_3",
				}[version],
				// until the backend closes: TLS 1.3 tickets come with the answer
				"-ign_eof", memory, session,
			},
			Stdin: strings.NewReader("ping\n"),
		})
		if r.ExitCode != 0 || !strings.Contains(r.Stdout, want+", TLSv1.") ||
			!strings.Contains(r.Stdout, "ping\n") {
			t.Fatalf("exit code %d, want 0, %q and the answer in:\n%s%s", r.ExitCode, want,
				r.Stdout, r.Stderr)
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
	args := []string{
		"--silent", "--show-error", "--http1.1", "--cacert", pki.CAFile, "--tlsv" + v,
		"--tls-max", v,
	}
	for range visits {
		args = append(args, "https://"+addr+"/")
	}
	r := nettest.Run(t, nettest.Command{Path: "curl", Args: args})
	// curl's messages about resumption differ from release to release; the server's counters are
	// checked for all clients.
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
			host, "--port", port, "--x509cafile", pki.CAFile, "--sni-hostname", "localhost",
			"--verify-hostname", "localhost",
			"--priority", "NORMAL:-VERS-ALL:+VERS-TLS" + v, "--resume", "--waitresumption",
		},
		Stdin: strings.NewReader("ping\n"),
	})
	if r.ExitCode != 0 || !strings.Contains(r.Stdout, "*** This is a resumed session") ||
		!strings.Contains(r.Stdout, "ping\n") {
		t.Fatalf("exit code %d, want 0, a resumed session and the answer in:\n%s%s", r.ExitCode,
			r.Stdout, r.Stderr)
	}
}

func visitGo(t *testing.T, addr string, pki *testpki.PKI, version uint16) {
	config := With(ClientConfig(pki), func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = version,
			version
	})
	for i := range visits {
		state := Visit(t, addr, config)
		if state.DidResume != (i > 0) || state.Version != version {
			t.Fatalf("connection %d: resumed is %v in %s", i, state.DidResume,
				tls.VersionName(state.Version))
		}
	}
}
