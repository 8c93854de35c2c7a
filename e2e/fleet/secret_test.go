package fleet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestDerivedSecretVouchesForNothing: the server's private key is shared by design (wildcards,
// staging, backups). Its holder must not be able to pose as any client or to read a store, so a
// secret derived from it is refused there.
func TestDerivedSecretVouchesForNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		more    func(f *fleet) []string
		refused bool
	}{
		{"client certificates required", func(f *fleet) []string {
			f.Listener += ",clientca=!" + f.PKI.CAFile
			return nil
		}, true},
		{"client certificates asked for", func(f *fleet) []string {
			f.Listener += ",clientca=" + f.PKI.CAFile
			return nil
		}, true},
		{"client certificates at another listener", func(f *fleet) []string {
			return []string{"--https=127.0.0.1:0," + f.Cert.CertFile + "," + f.Cert.KeyFile + ",HIGH,!" + f.PKI.CAFile, "--http-to=" + f.Backend}
		}, true},
		{"a store", func(*fleet) []string { return []string{"--session-store=redis://127.0.0.1:1"} }, true},
		{"neither", func(*fleet) []string { return nil }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 2)
			secret := f.Secret
			f.Secret = ""
			more := test.more(f)
			args := append(f.Args(0), more...)
			const option = "cluster-secret-file"

			check := harness.Run(t, append([]string{"check"}, args...)...)
			if !strings.Contains(check.Stderr, option) {
				t.Errorf("check does not speak of %s:\n%s", option, check.Stderr)
			}
			if test.refused {
				serve := nettest.Run(t, nettest.Command{
					Path: harness.Program(t), Args: args,
					Timeout: 10 * time.Second,
				})
				if check.ExitCode != 2 || serve.ExitCode != 2 || !strings.Contains(serve.Stderr, option) {
					t.Errorf("check exits %d, the node exits %d, want 2 and %s in:\n%s", check.ExitCode, serve.ExitCode, option, serve.Stderr)
				}
			} else if n := harness.Start(t, args...); n.Stop() != 0 || check.ExitCode != 0 ||
				!strings.Contains(n.Stderr(), option) {
				t.Errorf("check exits %d, want 0; the node is to warn of %s:\n%s", check.ExitCode, option, n.Stderr())
			}

			f.Secret = secret
			args = append(f.Args(0), more...)
			if check := harness.Run(t, append([]string{"check"}, args...)...); check.ExitCode != 0 ||
				strings.Contains(check.Stderr, option) {
				t.Errorf("with a secret of its own, check exits %d:\n%s", check.ExitCode, check.Stderr)
			}
			if n := harness.Start(t, args...); strings.Contains(n.Stderr(), option) {
				t.Errorf("with a secret of its own, the node warns:\n%s", n.Stderr())
			}
		})
	}
}

// TestMadeSecretIsTaken: reprise secret prints a valid secret, another each time.
func TestMadeSecretIsTaken(t *testing.T) {
	t.Parallel()
	one, two := harness.Run(t, "secret"), harness.Run(t, "secret")
	if one.ExitCode != 0 || len(strings.TrimSpace(one.Stdout)) < 32 || one.Stdout == two.Stdout {
		t.Fatalf("exit code %d, then the secrets %q and %q", one.ExitCode, one.Stdout, two.Stdout)
	}
	f := newFleet(t, 2, quickFleet...)
	f.Secret = filepath.Join(t.TempDir(), "made")
	if err := os.WriteFile(f.Secret, []byte(one.Stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	f.RunAll()
	f.wantAll(1, f.hold(0))
}
