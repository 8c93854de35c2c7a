package book

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestReadme: the configuration of README.md is valid, and check prints no warning about it.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := blocksOf(text)
	if err != nil {
		t.Fatal(err)
	}
	pki, dir, checked := testpki.New(t), t.TempDir(), 0
	program := nettest.Build(t, "reprise/cmd/reprise")
	cert := pki.Server(testpki.ECDSA, "localhost")
	secret := nettest.Run(t, nettest.Command{Path: program, Args: []string{"secret"}}).Stdout
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.info != "ini" {
			continue
		}
		ini := strings.NewReplacer(
			"/etc/reprise/cert.pem", cert.CertFile, "/etc/reprise/key.pem", cert.KeyFile, "/etc/reprise", dir,
		).Replace(strings.Join(b.lines, "\n"))
		file := filepath.Join(dir, "edge.ini")
		if err := os.WriteFile(file, []byte(ini), 0o600); err != nil {
			t.Fatal(err)
		}
		got := nettest.Run(t, nettest.Command{Path: program, Args: []string{"check", file}})
		if got.ExitCode != 0 || got.Stderr != "" {
			t.Errorf("line %d: exit code %d\n%s", b.line, got.ExitCode, got.Stderr)
		}
		checked++
	}
	if checked == 0 {
		t.Error("there is no configuration")
	}
}
