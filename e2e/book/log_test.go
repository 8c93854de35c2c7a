package book

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// logged finds what the program's sources log by a literal text.
var logged = regexp.MustCompile(`(?:slog|\.log|\.Log)\.(?:Error|Warn|Info)\("([^"]{12,})`)

// TestLog: log.md has each line of the log that has a text of its own.
func TestLog(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(pagesDir, "log.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := entry.Name(); {
		case entry.IsDir() && (name == "e2e" || name == "benchmarks" || name == "bin" || name == ".git"):
			return fs.SkipDir
		case filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, line := range logged.FindAllSubmatch(source, -1) {
			found++
			text, _, _ := strings.Cut(string(line[1]), ": after a restart") // too long for a table
			if !strings.Contains(string(page), text) {
				t.Errorf("%s logs %q, which docs/operations/log.md does not explain", path, text)
			}
		}
		return nil
	})
	if err != nil || found < 40 {
		t.Errorf("found %d lines, %v", found, err)
	}
}
