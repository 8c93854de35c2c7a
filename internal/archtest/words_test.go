package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// vague are words for people that comments and documents use for programs, packets and sockets if
// nothing stops them: say which client, peer or caller is meant.
var vague = regexp.MustCompile(`\b(?:[Ww]hoever|[Nn]obody|[Ss]omebody)\b`)

// TestWords: comments and documents name what they are about.
func TestWords(t *testing.T) {
	root := os.DirFS(filepath.Join("..", ".."))
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." &&
			(strings.HasPrefix(d.Name(), ".") || d.Name() == "results" || d.Name() == "bin"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"),
			strings.HasSuffix(name, ".md"):
			text, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			for _, word := range vagueWords(t, name, text) {
				t.Errorf("%s says %q: name the client, peer or caller that is meant", name, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// vagueWords returns those in a document, or in the comments of a Go file.
func vagueWords(t *testing.T, name string, text []byte) []string {
	if !strings.HasSuffix(name, ".go") {
		return vague.FindAllString(string(text), -1)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
	if err != nil {
		t.Error(err)
		return nil
	}
	var words []string
	for _, comment := range file.Comments {
		words = append(words, vague.FindAllString(comment.Text(), -1)...)
	}
	return words
}

func TestVagueWords(t *testing.T) {
	const code = "package a\n\n// Nobody reads it.\nvar a = \"nobody\" // NoBody is a value\n"
	if got := vagueWords(t, "a.go", []byte(code)); len(got) != 1 || got[0] != "Nobody" {
		t.Errorf("got %q, want the word of the comment", got)
	}
	if got := vagueWords(t, "a.md", []byte("Whoever asks somebody.")); len(got) != 2 {
		t.Errorf("got %q, want two words", got)
	}
}
