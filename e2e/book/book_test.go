package book

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"reprise/internal/nettest"
)

// TestMain runs pages side by side: they wait more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "6")
	os.Exit(m.Run())
}

// TestPages runs each page as it is written.
func TestPages(t *testing.T) {
	for _, p := range readPages(t) {
		if !strings.HasPrefix(p.verdict, runVerdict) {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t)
			for _, at := range p.steps {
				if err := s.do(at); err != nil {
					t.Fatalf("%s.md:%d: $ %s%s\n%v", p.name, at.line, at.command, at.file, err)
				}
			}
		})
	}
}

// TestVerdicts: the first paragraph of each page says truly whether it is run.
func TestVerdicts(t *testing.T) {
	for _, p := range readPages(t) {
		begins := func(with string) bool { return strings.HasPrefix(p.verdict, with) }
		switch {
		case begins(runVerdict) && len(p.steps) == 0:
			t.Errorf("%s.md has nothing to run, and says that it is run", p.name)
		case begins(referenceVerdict) && len(p.steps) > 0:
			t.Errorf("%s.md says that there is nothing to run, and has %d steps", p.name, len(p.steps))
		case begins(runVerdict), begins(referenceVerdict), begins(notRunVerdict):
		default:
			t.Logf("%s.md does not say first whether it is run: write %s, %s...* or %s",
				p.name, runVerdict, notRunVerdict, referenceVerdict)
		}
	}
}

// TestContents: OPERATIONS.md names each page once, and no missing page.
func TestContents(t *testing.T) {
	contents, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, link := range regexp.MustCompile(`\(operations/([a-z0-9-]+)\.md\)`).FindAllSubmatch(contents, -1) {
		named = append(named, string(link[1]))
	}
	slices.Sort(named)
	var pages []string
	for _, p := range readPages(t) {
		pages = append(pages, p.name)
	}
	slices.Sort(pages)
	if !slices.Equal(named, pages) {
		t.Errorf("OPERATIONS.md names\n%q\nand there are\n%q", named, pages)
	}
}

// TestParts: the options in configurations that are not run exist.
func TestParts(t *testing.T) {
	program := nettest.Build(t, "reprise/cmd/reprise")
	help, err := exec.Command(program, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	options := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^ +--([a-z0-9-]+)`).FindAllSubmatch(help, -1) {
		options[string(found[1])] = true
	}
	for _, p := range readPages(t) {
		for _, b := range p.parts {
			unit := slices.Contains(b.lines, "[Unit]") // of systemd
			for i, line := range b.lines {
				key, _, isKey := strings.Cut(line, " = ")
				if isKey && !unit && line[0] != ';' && !options[key] {
					t.Errorf("%s.md:%d: there is no option %s", p.name, b.line+i, key)
				}
			}
		}
	}
}
