package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"reprise/internal/nettest"
)

// TestRepeaterProcess: nodes that know only a repeater share their sessions, and
// the repeater has no more than the key that reprise repeater-key prints.
func TestRepeaterProcess(t *testing.T) {
	dir := t.TempDir()
	secret, key := filepath.Join(dir, "secret"), filepath.Join(dir, "key")
	if err := os.WriteFile(secret, []byte("the secret of a fleet that a repeater need not know"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := nettest.Run(t, nettest.Command{Path: program(t), Args: []string{"repeater-key", secret}})
	if r.ExitCode != 0 {
		t.Fatalf("repeater-key: %s", r.Stderr)
	}
	if err := os.WriteFile(key, []byte(r.Stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, 3, "push+pull", patientLookup, "--cluster-secret-file="+secret)
	repeater := fmt.Sprintf("127.0.0.9:%d", f.udpPort)
	nettest.Start(t, nettest.Command{
		Path: program(t), Args: []string{"--udprepeater", repeater, "--udprepeater-secret-file", key},
	}, nettest.Prints("serving"))
	f.peer = func(i, j int) string { // each node names one peer
		if j == (i+1)%3 {
			return repeater
		}
		return ""
	}
	f.runAll()
	f.wantShared("resumed_pushed")

	if r := nettest.Run(t, nettest.Command{Path: program(t), Args: []string{"--udprepeater", repeater, "--udprepeater-secret-file", secret}}); r.ExitCode != exitConfig {
		t.Errorf("a repeater with something else than its key: exit code %d, want %d\n%s", r.ExitCode, exitConfig, r.Stderr)
	}
}
