package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"reprise/config"
)

// TestSecret: cluster-secret-file takes the output of the command, which is never twice the same.
func TestSecret(t *testing.T) {
	seen := make(map[string]bool)
	for range 2 {
		var out, errs bytes.Buffer
		if code := run([]string{"secret"}, &out, &errs); code != exitOK {
			t.Fatalf("exit code %d\n%s", code, &errs)
		}
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		secret, err := config.ReadSecret(file)
		if err != nil || len(secret) != 2*secretLen || seen[string(secret)] {
			t.Errorf("%q is read as %d bytes, %v", out.String(), len(secret), err)
		}
		seen[string(secret)] = true
	}
	var out, errs bytes.Buffer
	if code := run([]string{"secret", "file"}, &out, &errs); code != exitConfig || out.Len() > 0 {
		t.Errorf("with an argument: exit code %d and %q", code, out.String())
	}
}
