package book

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The pages that are read.
const pagesDir = "../../docs/operations"

// The forms of a page's first paragraph, which says whether it is run.
const (
	runVerdict       = "*Run as written by `go test ./e2e/book`.*"
	notRunVerdict    = "*Not run by a test: " // and what it would need
	referenceVerdict = "*To look things up: there is nothing to run.*"
)

// A page is a document as a list of steps.
type page struct {
	name    string
	verdict string // the first paragraph
	steps   []step
	parts   []block // of configurations
}

// A step is a command to type or a file to write.
type step struct {
	line    int // of the page
	command string
	want    []string // lines that it prints
	file    string   // if it is one
	content string
}

// A block is the text between two fences.
type block struct {
	line  int
	info  string // behind the first fence
	lines []string
}

// readPages reads all pages.
func readPages(t *testing.T) []page {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pagesDir, "*.md"))
	if err != nil || len(files) < 20 {
		t.Fatalf("got the pages %v, %v", files, err)
	}
	var pages []page
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePage(strings.TrimSuffix(filepath.Base(file), ".md"), text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		pages = append(pages, p)
	}
	return pages
}

func parsePage(name string, text []byte) (page, error) {
	p := page{name: name}
	if paragraphs := bytes.SplitN(text, []byte("\n\n"), 3); len(paragraphs) == 3 {
		p.verdict = strings.ReplaceAll(string(paragraphs[1]), "\n", " ")
	}
	blocks, err := blocksOf(text)
	if err != nil {
		return p, err
	}
	for _, b := range blocks {
		language, file, _ := strings.Cut(b.info, " ")
		switch {
		case file != "":
			p.steps = append(p.steps, step{line: b.line, file: file, content: strings.Join(b.lines, "\n") + "\n"})
		case language == "console":
			steps, err := commandsOf(b)
			if err != nil {
				return p, err
			}
			p.steps = append(p.steps, steps...)
		case language == "ini":
			p.parts = append(p.parts, b)
		}
	}
	return p, nil
}

// blocksOf finds fenced blocks, with the number of their first line.
func blocksOf(text []byte) (blocks []block, err error) {
	var open *block
	for i, line := range strings.Split(string(text), "\n") {
		info, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{line: i + 2, info: info}
		case isFence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block has no end", open.line)
	}
	return blocks, nil
}

func commandsOf(b block) (steps []step, err error) {
	for i, line := range b.lines {
		command, isCommand := strings.CutPrefix(line, "$ ")
		more, isMore := strings.CutPrefix(line, "> ")
		last := len(steps) - 1
		switch {
		case isCommand:
			steps = append(steps, step{line: b.line + i, command: command})
		case last < 0:
			return nil, fmt.Errorf("line %d: output without a command", b.line+i)
		case isMore && len(steps[last].want) == 0:
			steps[last].command += "\n" + more
		default:
			steps[last].want = append(steps[last].want, line)
		}
	}
	return steps, nil
}
