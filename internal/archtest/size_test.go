package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// What a reader can take in: a file, a function on a screen, a line of it.
const (
	maxFileLines = 500
	maxFuncLines = 60
	maxColumns   = 100
)

// longBecause is how the comment of a longer function begins to say why.
const longBecause = "It is long because"

// TestSizes holds every Go file of the repository, of each module, against these bounds.
func TestSizes(t *testing.T) {
	root := filepath.Join("..", "..")
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".go"):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(names, "internal/archtest/size_test.go") {
		t.Errorf("this file is not among the %d files found", len(names))
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range oversizes(name, text) {
			t.Error(line)
		}
	}
}

// oversizes returns a line for each bound that a file exceeds.
func oversizes(name string, text []byte) (found []string) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, text, parser.ParseComments)
	if err != nil {
		return []string{err.Error()}
	}
	line := func(p token.Pos) int { return files.Position(p).Line }
	if n := bytes.Count(text, []byte("\n")); n > maxFileLines {
		found = append(found, fmt.Sprintf("%s has %d lines, want %d at most", name, n, maxFileLines))
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		n := line(f.End()) - line(f.Pos()) + 1
		reason := strings.Join(strings.Fields(f.Doc.Text()), " ")
		if n > maxFuncLines && !strings.Contains(reason, longBecause) {
			found = append(found, fmt.Sprintf("%s:%d: %s has %d lines: split it, or say %q in its comment",
				name, line(f.Pos()), f.Name.Name, n, longBecause))
		}
	}
	for i, code := range bytes.Split(withoutStrings(text), []byte("\n")) {
		if n := utf8.RuneCount(code); n > maxColumns && !unbroken(code) {
			found = append(found, fmt.Sprintf("%s:%d has %d columns without its strings, want %d at most",
				name, i+1, n, maxColumns))
		}
	}
	return found
}

// withoutStrings returns a file's text without what is in its string literals, but for ends
// of lines. Where a string is broken does not matter to who reads the code.
func withoutStrings(text []byte) []byte {
	var s scanner.Scanner
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(text))
	s.Init(file, text, nil, 0)
	var code []byte
	rest := 0
	for {
		p, kind, literal := s.Scan()
		if kind == token.EOF {
			return append(code, text[rest:]...)
		}
		if kind == token.STRING {
			at := file.Offset(p)
			code = append(code, text[rest:at]...)
			code = append(code, strings.Repeat("\n", strings.Count(literal, "\n"))...)
			rest = at + len(literal)
		}
	}
}

// unbroken reports whether a line is a comment that stays as it is: of one word, such as a URL,
// or a drawing or an example in a package's documentation.
func unbroken(line []byte) bool {
	comment, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("//"))
	return ok && (len(bytes.Fields(comment)) == 1 || bytes.HasPrefix(comment, []byte("\t")))
}

// TestOversizes checks the bounds themselves.
func TestOversizes(t *testing.T) {
	long := strings.Repeat("x", maxColumns)
	body := "func f() {\n" + strings.Repeat("\t_ = 1\n", maxFuncLines) + "}\n"
	for _, tc := range []struct {
		name, text, want string // part of the one that is found; empty if there must be none
	}{
		{"small", "func f() {}\n", ""},
		{"function", body, "f has 62 lines"},
		{"function with a reason", "// f is f. It is long\n// because it is a table.\n" + body, ""},
		{"file", strings.Repeat("\n", maxFileLines), "has 502 lines"},
		{"line", "var " + long + " int\n", "has 108 columns"},
		{"string", "var s = \"" + long + "\"\n", ""},
		{"raw string", "var s = `\n" + long + long + "\n`\n", ""},
		{"line behind a string", "var s, " + long + " = \"\", 1\n", "x.go:3 has"},
		{"comment", "// a " + long + "\n", "columns"},
		{"comment that cannot be broken", "// " + long + "\n", ""},
		{"drawing", "//	a " + long + "\n", ""},
	} {
		got := oversizes("x.go", []byte("package x\n\n"+tc.text))
		if tc.want == "" && len(got) > 0 ||
			tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
