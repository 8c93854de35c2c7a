package config

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/MIGRATING.md")

func TestMigratingPageIsCurrent(t *testing.T) {
	const file = "../docs/MIGRATING.md"
	if *update {
		if err := os.WriteFile(file, migratingPage(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, migratingPage()) {
		t.Errorf("%s is stale: go test ./config -run Migrating -update", file)
	}
}

// Each verdict is true of the table of options.
func TestVerdicts(t *testing.T) {
	read := []string{"ini", "set", "set-placeholder", "set-ph"} // by the reader of files itself
	seen := make(map[string]bool)
	for _, c := range append(slices.Clone(verdicts), cacheVerdicts) {
		for _, r := range c.rows {
			for name := range strings.FieldsSeq(r.names) {
				if key := c.title + " " + name; seen[key] {
					t.Errorf("%s: twice", name)
				} else {
					seen[key] = true
				}
				is := r.verdict == supported || r.verdict == better
				if !is && r.verdict != passed && r.note == "" {
					t.Errorf("%s: nothing says why", name)
				}
				switch _, has := optionsByName[name]; {
				case c.title == cacheVerdicts.title:
					if _, has := cacheKeys[name]; is != has && name != "sync" {
						t.Errorf("key %s: verdict %q, taken: %v", name, r.verdict, has)
					}
				case is && !has && !slices.Contains(read, name):
					t.Errorf("%s: verdict %q, but there is no such option", name, r.verdict)
				case !is && has && name != "log-format" && name != "cache-sync":
					t.Errorf("%s: verdict %q, but there is such an option", name, r.verdict)
				}
			}
		}
	}
}

// Every option that uWSGI itself lists has a verdict, unless it is a command and not a setting.
func TestEveryOptionOfUWSGI(t *testing.T) {
	uwsgi, err := exec.LookPath("uwsgi")
	if err != nil {
		t.Skip("uwsgi is not installed")
	}
	help, _ := exec.Command(uwsgi, "--plugins", "http,rawrouter,sslrouter,cache,python3", "--help").Output()
	options := regexp.MustCompile(`(?m)^\s+(?:-.\|)?--([\w-]+)`).FindAllSubmatch(help, -1)
	if len(options) < 500 {
		t.Fatalf("uwsgi --help lists %d options", len(options))
	}
	for _, match := range options {
		name := string(match[1])
		if optionsByName[name] == nil && verdictOf(name) == nil && !slices.Contains(uwsgiCommands, name) {
			t.Errorf("%s: no verdict", name)
		}
	}
}

// uwsgiCommands are options of uWSGI that make it do something else than serve.
var uwsgiCommands = []string{}
