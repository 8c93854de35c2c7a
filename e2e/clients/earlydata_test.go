package clients

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestEarlyData: a client that sends early data, which no node accepts, is served
// all the same (RFC 8446, Section 4.2.10). The standard engine breaks the
// connection with an alert.
func TestEarlyData(t *testing.T) {
	for _, engine := range engines(t) {
		t.Run(engine, func(t *testing.T) {
			f := startFleet(t, engine)
			t.Run("own ticket", func(t *testing.T) { f.earlyOnOwnTicket(t, engine == engineOwn) })
			other := startOtherServer(t, f)
			t.Run("foreign ticket", func(t *testing.T) { f.earlyOnForeignTicket(t, other, 100, engine == engineOwn) })
			// As much as OpenSSL and nginx accept by default, and more than what is skipped.
			t.Run("16 KiB", func(t *testing.T) { f.earlyOnForeignTicket(t, other, 16<<10, engine == engineOwn) })
			t.Run("20 KiB", func(t *testing.T) { f.earlyOnForeignTicket(t, other, 20<<10, false) })
		})
	}
}

// earlyOnOwnTicket: GnuTLS takes a ticket that allows no early data for one that
// allows any.
func (f *fleet) earlyOnOwnTicket(t *testing.T, want bool) {
	nettest.Need(t, "gnutls-cli")
	relay := startRelay(t, f.addresses(psk13)...)
	v := &visit{mode: psk13, host: relay.host, port: relay.port, caFile: f.pki.CAFile, fleet: f}
	r := nettest.Run(t, nettest.Command{
		Path:    "gnutls-cli",
		Args:    append(gnuTLSArgs(v), "--earlydata", earlyFile(t, 100)),
		Stdin:   strings.NewReader(ping),
		Timeout: harness.Patience,
	})
	crossings := relay.all()
	if len(crossings) != 2 {
		t.Fatalf("%d connections, want 2:\n%s%s", len(crossings), r.Stdout, r.Stderr)
	}
	if offers := hellos(t, crossings[1].head()); len(offers) != 1 || offers[0] != withEarly {
		t.Errorf("offered %v, want %s", offers, withEarly)
	}
	answered := r.ExitCode == 0 && strings.Contains(r.Stdout, "*** This is a resumed session") && strings.Contains(r.Stdout, ping)
	if answered != want {
		t.Errorf("resumed and answered: %v, want %v:\n%s%s", answered, want, r.Stdout, r.Stderr)
	}
	if want {
		if e := f.nodes[1].entry(t, crossings[1].source); e.Resumed == "" || e.Resumed == "local" {
			t.Errorf("got %+v, want a session of the other node", e)
		}
	}
}

// earlyOnForeignTicket: the node replaces a server that gave out tickets for early data.
func (f *fleet) earlyOnForeignTicket(t *testing.T, other string, length int, want bool) {
	nettest.Need(t, "openssl")
	session := filepath.Join(t.TempDir(), "session.pem")
	arguments := func(addr string) []string {
		return []string{"s_client", "-connect", addr, "-servername", "localhost", "-CAfile", f.pki.CAFile, "-tls1_3", "-ign_eof"}
	}
	first := nettest.Start(t, nettest.Command{Path: "openssl", Args: append(arguments(other), "-sess_out", session)})
	nettest.Eventually(t, harness.Patience, func() bool {
		text, _ := os.ReadFile(session)
		return bytes.Contains(text, []byte("-----END"))
	}, "a session of the other server")
	first.Stop()

	relay := startRelay(t, f.addresses(psk13)...)
	before := f.nodes[0].tally(t)
	r := nettest.Run(t, nettest.Command{
		Path:    "openssl",
		Args:    append(arguments(relay.addr()), "-sess_in", session, "-early_data", earlyFile(t, length)),
		Stdin:   strings.NewReader(ping),
		Timeout: harness.Patience,
	})
	crossings := relay.all()
	if len(crossings) != 1 {
		t.Fatalf("%d connections, want 1:\n%s%s", len(crossings), r.Stdout, r.Stderr)
	}
	if offers := hellos(t, crossings[0].head()); len(offers) != 1 || offers[0] != withEarly {
		t.Errorf("offered %v, want %s", offers, withEarly)
	}
	if sent := len(crossings[0].head()); want && sent < length {
		t.Errorf("the client sent %d bytes, which cannot hold %d of early data", sent, length)
	}
	answered := r.ExitCode == 0 && strings.Contains(r.Stdout, "Early data was rejected") && strings.Contains(r.Stdout, "\n"+ping)
	if answered != want {
		t.Errorf("answered after the early data was skipped: %v, want %v:\n%s%s", answered, want, r.Stdout, r.Stderr)
	}
	after := f.nodes[0].tally(t)
	if skipped := after.EarlyDataSkipped > before.EarlyDataSkipped; want && !skipped {
		t.Error("not counted as skipped")
	}
	if failed := after.Failures["early_data"] - before.Failures["early_data"]; (failed == 0) != want {
		t.Errorf("%d handshakes failed by early data, want one: %v", failed, !want)
	}
	if want {
		if e := f.nodes[0].entry(t, crossings[0].source); e.Resumed != "" || e.TLS != "TLSv1.3" || e.Outcome == "new_client" {
			t.Errorf("got %+v, want a full handshake for a client with a foreign session", e)
		}
	}
}

// startOtherServer runs a server that accepts early data, with our certificate.
func startOtherServer(t *testing.T, f *fleet) (addr string) {
	t.Helper()
	nettest.Need(t, "openssl")
	addr = nettest.FreeAddr(t)
	in, out, err := os.Pipe() // at the end of its input it would stop
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		out.Close()
	})
	nettest.Start(t, nettest.Command{
		Path: "openssl",
		Args: []string{
			"s_server", "-accept", addr, "-cert", f.cert.CertFile, "-key", f.cert.KeyFile, "-tls1_3",
			"-num_tickets", "1", "-early_data", "-max_early_data", "65536", "-recv_max_early_data", "65536",
		},
		Stdin: in,
	}, nettest.Accepts(addr))
	return addr
}

// earlyFile makes a file of early data.
func earlyFile(t *testing.T, length int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "early")
	if err := os.WriteFile(path, []byte(strings.Repeat("e", length-1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
