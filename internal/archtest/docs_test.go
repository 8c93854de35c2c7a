package archtest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|Example)[A-Z]\w*`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
	// fileName is a Go file with its directory, or one that a document links to.
	fileName = regexp.MustCompile(`\b(?:[\w-]+/)+\w+\.go\b`)
	link     = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// TestDocuments: every test and every file that a document names exists.
func TestDocuments(t *testing.T) {
	root := filepath.Join("..", "..")
	tests := make(map[string]bool)
	var documents []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "results" || d.Name() == "bin"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			documents = append(documents, name)
		case strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				return err
			}
			for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	isFile := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		return err == nil
	}
	for _, document := range documents {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range testName.FindAllStringIndex(string(text), -1) {
			name, rest := string(text[at[0]:at[1]]), string(text[at[1]:])
			if tests[name] || strings.HasPrefix(rest, "*") && anyWith(tests, name) {
				continue
			}
			t.Errorf("%s names %s, which is not a test", document, name)
		}
		for _, name := range fileName.FindAllString(string(text), -1) {
			if !isFile(name) && !isFile(path.Join(path.Dir(document), name)) {
				t.Errorf("%s names %s, which is not a file", document, name)
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if !isFile(path.Join(path.Dir(document), m[1])) {
				t.Errorf("%s links to %s, which does not exist", document, m[1])
			}
		}
	}
}

func anyWith(names map[string]bool, prefix string) bool {
	for name := range names {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// required is a module that go.mod names because the code imports it.
var required = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`)

// TestDependencies: docs/ARCHITECTURE.md says what each module is for.
func TestDependencies(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "Each dependency earns its place")
	table, _, _ = strings.Cut(table, "\n#")
	for _, m := range required.FindAllStringSubmatch(string(mod), -1) {
		name := strings.TrimPrefix(strings.TrimPrefix(m[1], "github.com/"), "golang.org/")
		if !strings.Contains(table, name) {
			t.Errorf("docs/ARCHITECTURE.md does not say what %s is for", m[1])
		}
	}
}
