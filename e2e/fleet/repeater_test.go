package fleet

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestRepeaterProcess: nodes that know only a repeater share their sessions, and
// the repeater has no more than the key that reprise repeater-key prints.
func TestRepeaterProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret, key := filepath.Join(dir, "secret"), filepath.Join(dir, "key")
	if err := os.WriteFile(secret, []byte("the secret of a fleet that a repeater need not know"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: []string{"repeater-key", secret}})
	if r.ExitCode != 0 {
		t.Fatalf("repeater-key: %s", r.Stderr)
	}
	if err := os.WriteFile(key, []byte(r.Stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	f := harness.NewFleet(t, 3, "push+pull", harness.PatientLookup, "--cluster-secret-file="+secret)
	repeater := fmt.Sprintf("127.0.0.9:%d", f.UDPPort)
	nettest.Start(t, nettest.Command{
		Path: harness.Program(t), Args: []string{"--udprepeater", repeater, "--udprepeater-secret-file", key},
	}, nettest.Prints("serving"))
	f.Peer = func(i, j int) string { // each node names one peer
		if j == (i+1)%3 {
			return repeater
		}
		return ""
	}
	f.RunAll()
	f.WantShared("resumed_pushed")

	if r := nettest.Run(t, nettest.Command{
		Path: harness.Program(t),
		Args: []string{"--udprepeater", repeater, "--udprepeater-secret-file", secret},
	}); r.ExitCode != harness.ExitConfig {
		t.Errorf("a repeater with something else than its key: exit code %d, want %d\n%s", r.ExitCode, harness.ExitConfig, r.Stderr)
	}
}
