package documented

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
)

// exampleFiles returns the configurations among the examples.
func (r *reader) exampleFiles() (files []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".ini" && !strings.HasSuffix(path, "application.ini") { // which uwsgi reads
			file, _ := filepath.Rel(r.dir, path)
			files = append(files, file)
		}
		return err
	})
	if err != nil || len(files) < 11 {
		r.t.Fatalf("got the examples %v, %v", files, err)
	}
	return files
}

// warnings are the warnings of check about an example, except one: uWSGI's fleets have no secret.
func warnings(stderr string) (list []string) {
	for line := range strings.Lines(stderr) {
		if !strings.Contains(line, ": without cluster-secret-file the secret of the fleet is derived from foobar.key: ") {
			list = append(list, line)
		}
	}
	return list
}

// TestDocumentedCheck: the examples give no error or warning, except about the secret, and every
// key of each has a line that says how it is treated.
func TestDocumentedCheck(t *testing.T) {
	r := newReader(t)
	for _, file := range r.exampleFiles() {
		t.Run(file, func(t *testing.T) {
			got := r.run("check", file)
			if got.ExitCode != harness.ExitOK || len(warnings(got.Stderr)) > 0 {
				t.Errorf("exit code %d, want %d and no warning:\n%s", got.ExitCode, harness.ExitOK, got.Stderr)
			}
			_, table, _ := strings.Cut(got.Stdout, "; What becomes of each key of the files:\n")
			for line := range strings.Lines(r.text(file)) {
				key, _, isKey := strings.Cut(line, " = ")
				if isKey && !strings.Contains(table, " "+key+" ") {
					t.Errorf("no line about %s in:\n%s", key, table)
				}
			}
		})
	}
}

// TestDocumentedOrder: the lines of an example may stand in any order. Repeated options, such as
// backends, keep their own order.
func TestDocumentedOrder(t *testing.T) {
	r := newReader(t)
	for _, file := range r.exampleFiles() {
		t.Run(file, func(t *testing.T) {
			want := r.effective(file)
			random := rand.New(rand.NewPCG(1, 2))
			for turn := range 4 {
				shuffled := shuffle(r.text(file), func(lines []string) {
					if turn == 0 {
						slices.Reverse(lines)
					} else {
						random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
					}
				})
				if err := os.WriteFile(filepath.Join(r.dir, "shuffled.ini"), []byte(shuffled), 0o600); err != nil {
					t.Fatal(err)
				}
				if got := r.effective("shuffled.ini"); !slices.Equal(got, want) {
					t.Fatalf("got:\n%s\nwant:\n%s\nfrom:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), shuffled)
				}
			}
		})
	}
}

func (r *reader) text(file string) string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, file))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// effective returns the settings that check finds in a file, sorted.
func (r *reader) effective(file string) []string {
	r.t.Helper()
	got := r.run("check", file)
	if got.ExitCode != harness.ExitOK || len(warnings(got.Stderr)) > 0 {
		r.t.Fatalf("exit code %d\n%s", got.ExitCode, got.Stderr)
	}
	return slices.Sorted(strings.SplitSeq(harness.Settings(got.Stdout), "\n"))
}

// shuffle brings the lines of each section into another order.
func shuffle(ini string, change func([]string)) string {
	var out strings.Builder
	for _, section := range strings.Split(ini, "[uwsgi]\n")[1:] {
		lines := strings.Split(strings.TrimSpace(section), "\n")
		lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" || line[0] == ';' })
		change(lines)
		out.WriteString("[uwsgi]\n" + strings.Join(lines, "\n") + "\n")
	}
	return out.String()
}

// TestDocumentedMistakes: a typing mistake in the first set-up is one line that says where, what,
// and what would be right.
func TestDocumentedMistakes(t *testing.T) {
	r := newReader(t)
	right := r.text("setup1/node.ini")
	for _, test := range []struct{ name, right, wrong, want string }{
		{"key", "http-processes = 8", "http-proceses = 8", `node.ini:17: unknown option "http-proceses": did you mean "http-processes"?`},
		{"key without a letter", "ssl-sessions-timeout", "ssl-sessions-timout", `node.ini:11: unknown option "ssl-sessions-timout": did you mean "ssl-sessions-timeout"?`},
		{"key with two letters exchanged", "https-session-context", "https-sesison-context", `node.ini:13: unknown option "https-sesison-context": did you mean "https-session-context"?`},
		{"key of cache2", "cache = 20000", "cache2 = name=ssl,itmes=20000", `node.ini:5: cache2 = "name=ssl,itmes=20000": unknown key "itmes": did you mean "items"?`},
		{"number", "http-processes = 8", "http-processes = eight", `node.ini:17: http-processes = "eight": bad number: write a whole number from 1 to 1024`},
		{"duration", "timeout = 300", "timeout = never", `node.ini:11: ssl-sessions-timeout = "never": bad duration: write 1s to 168h, such as 10 (seconds), 250ms or 2m`},
		{"boolean", "master = true", "master = perhaps", `node.ini:3: master = "perhaps": not a boolean: write true or false`},
		{"cache of another name", "use-cache = true", "use-cache = ssl", `node.ini:9: ssl-sessions-use-cache = "ssl": no cache has this name: add cache2 = name=ssl,items=20000`},
		{"blocks too small", "blocksize = 4096", "blocksize = 1024", `node.ini:7: cache-blocksize = "1024": blocksize 1024 is too small for TLS sessions: write at least 4096`},
		{"no key", ",foobar.key", "", `node.ini:15: https = "127.0.0.1:8443,foobar.crt": incomplete: write ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]`},
		{"key and certificate exchanged", "foobar.crt,foobar.key", "foobar.key,foobar.crt", `node.ini:15: https = "127.0.0.1:8443,foobar.key,foobar.crt": foobar.key holds no PEM certificate`},
		{"missing certificate", "foobar.crt", "fubar.crt", `node.ini:15: https = "127.0.0.1:8443,fubar.crt,foobar.key": cannot read fubar.crt: no such file or directory`},
		{"no port", "127.0.0.11:3031", "127.0.0.11", `node.ini:20: http-to = "127.0.0.11": no port: write host:port, :port, [v6]:port or /unix/path`},
		{"bad port", ":5001", ":65536", `node.ini:23: stats = "127.0.0.1:65536": bad port "65536": write a number from 0 to 65535`},
		{"address taken", ":5001", ":8443", `node.ini:23: stats = "127.0.0.1:8443": 127.0.0.1:8443 is taken by https at node.ini:15: choose another address`},
		{"what there is not", "master = true", "emperor = /etc/vassals", `node.ini:3: emperor is not supported: one process is one node: let systemd run several`},
	} {
		t.Run(test.name, func(t *testing.T) {
			wrong := strings.Replace(right, test.right, test.wrong, 1)
			if err := os.WriteFile(filepath.Join(r.dir, "node.ini"), []byte(wrong), 0o600); err != nil {
				t.Fatal(err)
			}
			got := r.run("node.ini")
			if want := "reprise: " + test.want + "\n"; got.ExitCode != harness.ExitConfig || got.Stderr != want {
				t.Errorf("exit code %d, want %d\ngot  %swant %s", got.ExitCode, harness.ExitConfig, got.Stderr, want)
			}
		})
	}
}
