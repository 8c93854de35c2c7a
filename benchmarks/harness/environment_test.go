package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"reprise/internal/nettest"
)

// TestCommitStaysTheSameWhileResultsAreWritten: or -continue would not find them to be its own.
func TestCommitStaysTheSameWhileResultsAreWritten(t *testing.T) {
	nettest.Need(t, "git")
	dir := t.TempDir()
	files := []string{"main.go", "README.md", "benchmarks/results/day/samples.jsonl"}
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range files {
		write(name, "before")
	}
	for _, args := range []string{"init -q", "add .", "-c user.name=t -c user.email=t@localhost commit -q -m t"} {
		if out, err := exec.Command("git",
			append([]string{"-C", dir}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", args, err, out)
		}
	}
	clean := commit(dir)
	if clean == "" || strings.HasSuffix(clean, "-dirty") {
		t.Fatalf("got %q of a clean checkout", clean)
	}
	write("README.md", "figures")
	write("benchmarks/results/day/samples.jsonl", "a sample")
	if got := commit(dir); got != clean {
		t.Errorf("got %q after results were written, want %q", got, clean)
	}
	write("main.go", "after")
	if got := commit(dir); got != clean+"-dirty" {
		t.Errorf("got %q after the program was changed, want %s-dirty", got, clean)
	}
}
