package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"reprise/config/migrate"
	"reprise/config/source/hitch"
)

var update = flag.Bool("update", false, "write docs/MIGRATING.md and docs/operations/every-option.md")

func TestMigratingPageIsCurrent(t *testing.T) {
	const file = "../docs/MIGRATING.md"
	if *update {
		if err := os.WriteFile(file, migrate.Page(hitch.Rows()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, migrate.Page(hitch.Rows())) {
		t.Errorf("%s is stale: go test ./config -run Migrating -update", file)
	}
}

// Each verdict agrees with the table of options.
func TestVerdicts(t *testing.T) {
	read := []string{"ini", "set", "set-placeholder", "set-ph"} // by the reader of files itself
	seen := make(map[string]bool)                               // with the kind of table
	for _, c := range append(slices.Clone(migrate.UWSGI), migrate.CacheKeys) {
		for _, r := range c.Rows {
			for name := range strings.FieldsSeq(r.Names) {
				if key := fmt.Sprint(name, c.Title == migrate.CacheKeys.Title); seen[key] {
					t.Errorf("%s: twice", name)
				} else {
					seen[key] = true
				}
				is := r.Verdict == migrate.Supported || r.Verdict == migrate.Better
				if !is && r.Verdict != migrate.Passed && r.Note == "" {
					t.Errorf("%s: nothing says why", name)
				}
				switch _, has := optionsByName[name]; {
				case c.Title == migrate.CacheKeys.Title:
					if _, has := cacheKeys[name]; is != has && name != "sync" {
						t.Errorf("key %s: verdict %q, taken: %v", name, r.Verdict, has)
					}
				case is && !has && !slices.Contains(read, name) && !slices.Contains(pending, name):
					t.Errorf("%s: verdict %q, but there is no such option", name, r.Verdict)
				case !is && has && name != "log-format" && name != "cache-sync":
					t.Errorf("%s: verdict %q, but there is such an option", name, r.Verdict)
				}
			}
		}
	}
}

var pending []string

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
		if optionsByName[name] == nil && uwsgiTable.Named(name) == nil &&
			foreignRow(name, false) == nil && !slices.Contains(uwsgiCommands, name) {
			t.Errorf("%s: no verdict", name)
		}
	}
}

// uwsgiCommands are options of uWSGI that make it do something other than serve.
var uwsgiCommands = strings.Fields(`binary-append-data binary-path binsh build-plugin cflags chmod connect-and-read dot-h exit extract get help
pause print-sym print-symbol privileged-binary-patch privileged-binary-patch-arg reload resume st stop suspend udp
unprivileged-binary-patch unprivileged-binary-patch-arg usage version`)

func TestForeignKeys(t *testing.T) {
	inPKI(t)
	tests := []struct {
		name, ini string
		options   string // what uWSGI is given
		warning   string
	}{
		{"nothing to do", "vacuum = true\nplugins = http,python3\nstrict = 1\nreuse-port = true\nhttp-websockets = true", "vacuum=true", ""},
		{"passed on", "processes = 4\nharakiri = 30\nenable-threads", "processes=4 harakiri=30 enable-threads=", ""},
		{"passed on with a variable", "n = 3\nthreads = %(n)", "threads=3", ""},
		{"a variable that looks like an option", "log-dir = /x\nname = %(log-dir)", "", ""},
		{"passed on by hand", "uwsgi-option = foo-bar=1\nuwsgi-option = baz", "foo-bar=1 baz", ""},
		{"an operator may rely on it", "cap = net_bind_service", "", "edge.ini:4: cap has no effect here: " + migrate.OwnUser},
		{"of the application only", "uid = www-data", "uid=www-data", "edge.ini:4: uid has no effect here: " + migrate.OwnUser},
		{"turned off", "enable-proxy-protocol = false\nhttp-auto-gzip = 0\ndaemonize = off", "", ""},
		{"turned off and passed on", "lazy-apps = false", "lazy-apps=false", ""},
		{
			"a key of a cache", "cache2 = name=a,items=1,no_expire=1,lru=1,bitmap=1", "",
			`edge.ini:4: cache2 = "name=a,items=1,no_expire=1,lru=1,bitmap=1": key "no_expire" has no effect: ` +
				"sessions end with ssl-sessions-timeout all the same: raise that",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustParse(t, good+test.ini)
			if got := strings.Join(c.Application.Options, " "); got != test.options {
				t.Errorf("got options %q, want %q", got, test.options)
			}
			if got := strings.Join(c.Warnings, "\n"); got != test.warning {
				t.Errorf("got warnings %q, want %q", got, test.warning)
			}
		})
	}
}

func TestPrintMigration(t *testing.T) {
	inPKI(t)
	c := mustParse(t, good+`
root = /srv
http-websockets = true
ssl-sessions-use-cache = true
set-ph = x=1
idle-timeout = 5
uid = www-data
chdir = %(root)
module = a:b
env = PASSWORD=hidden
processes = %(x)
env = MORE=hidden
`, "--loops", "2")
	var out bytes.Buffer
	if err := c.PrintMigration(&out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"edge.ini:2 sslrouter supported better a half-close goes through in both ways",
		"edge.ini:3 sslrouter-to supported better",
		"edge.ini:6 http-websockets ignored an Upgrade",
		"edge.ini:7 ssl-sessions-use-cache supported better",
		"edge.ini:9 idle-timeout supported reprise's own",
		"edge.ini:10 uid passed on with a warning " + migrate.OwnUser,
		"edge.ini:11 chdir supported of the application only",
		"edge.ini:12 module supported",
		"edge.ini:13 env supported",
		"edge.ini:14 processes passed on",
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(want) || strings.Contains(out.String(), "hidden") {
		t.Fatalf("got\n%s", &out)
	}
	for i, line := range lines {
		if got := strings.Join(strings.Fields(line), " "); !strings.HasPrefix(got, want[i]) {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
}
