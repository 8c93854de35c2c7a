// Command tlsfuzzer runs scripts of tlsfuzzer, https://github.com/tlsfuzzer/tlsfuzzer,
// against bin/reprise and prints how many conversations of each passed.
//
//	make tlsfuzzer TLSFUZZER=DIR
//
// The scripts need Python with the packages tlslite-ng and ecdsa, installed or
// named by PYTHONPATH. The table scripts.txt lists them with the listener they talk
// to, how OpenSSL, crypto/tls and our engine did, and their arguments. Where ours
// does worse than crypto/tls it says why. A script that does worse than its figure
// makes the command fail.
//
// Listeners relay decrypted bytes to a backend in this process, which answers
// as openssl s_server -www does: a short page after an empty line, then the end.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed scripts.txt
var table string

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tlsfuzzer:", err)
		os.Exit(1)
	}
}

func run() error {
	sources := flag.String("tlsfuzzer", "", "directory with the sources of tlsfuzzer")
	binary := flag.String("reprise", "bin/reprise", "the program to judge")
	server := flag.String("server", "reprise",
		"reprise or openssl: what to run the scripts against")
	engine := flag.String("engine", "own", "reprise's tls-engine, own or standard")
	only := flag.String("only", "*", "pattern of the scripts to run")
	logs := flag.String("logs", "", "directory for what the scripts print")
	flag.Parse()
	if *sources == "" {
		return fmt.Errorf(
			"-tlsfuzzer is missing: the sources are at https://github.com/tlsfuzzer/tlsfuzzer")
	}
	scripts, err := parseTable(table)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tlsfuzzer")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *logs != "" {
		if err := os.MkdirAll(*logs, 0o755); err != nil {
			return err
		}
	}
	pki, err := makeCertificates(dir)
	if err != nil {
		return err
	}
	ports, stop, err := startServer(*server, *binary, *engine, pki)
	if err != nil {
		return err
	}
	defer stop()

	column := *server
	if column == "reprise" {
		column = *engine
	}
	if !slices.Contains(columns, column) {
		return fmt.Errorf("engine %q: there are %v", column, columns)
	}
	selected := slices.DeleteFunc(scripts, func(s script) bool {
		ok, _ := path.Match(*only, s.name)
		return !ok
	})
	return judge(selected, column, *logs, func(s script) string {
		return s.run(*sources,
			ports[s.listener], pki)
	})
}

// judge runs scripts and prints their results beside those on record; a result worse than that
// column of the record is an error. Their output goes to files in logs, if that is not "".
func judge(scripts []script, column, logs string, run func(script) string) error {
	worse := 0
	var sum score
	fmt.Printf("%-64s %9s %9s %9s %9s\n", "script, listener, arguments", "now", "openssl",
		"standard", "own")
	for _, s := range scripts {
		out := run(s)
		got := parseScore(out)
		if logs != "" {
			name := strings.ReplaceAll(s.title(), " ", "_")
			if err := os.WriteFile(filepath.Join(logs, name), []byte(out), 0o644); err != nil {
				return err
			}
		}
		remark := ""
		if got.worse(s.measured[column]) {
			worse++
			remark = "  worse than it was"
		}
		sum.passed += got.passed
		sum.total += got.total
		fmt.Printf("%-64s %9v %9v %9v %9v%s\n",
			s.title(), got, s.measured["openssl"], s.measured["standard"], s.measured["own"],
			remark)
	}
	fmt.Printf("%-64s %9v\n", "all", sum)
	if worse > 0 {
		return fmt.Errorf("%d scripts do worse than in scripts.txt", worse)
	}
	return nil
}

// columns are the servers that the table has figures for.
var columns = []string{"openssl", "standard", "own"}

// A script is a line of the table.
type script struct {
	name      string // without test_
	listener  string
	measured  map[string]score // by column
	arguments []string
	remark    string // why our engine does worse than crypto/tls, if it does
}

func (s *script) title() string {
	return strings.Join(append([]string{s.name, s.listener}, s.arguments...), " ")
}

// parseTable reads lines of the form
//
//	name listener openssl standard own [arguments] [; remark]
func parseTable(table string) (list []script, err error) {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		line, remark, _ := strings.Cut(line, ";")
		fields := strings.Fields(line)
		if len(fields) < 2+len(columns) {
			return nil, fmt.Errorf("scripts.txt: %q: write name, listener, the scores of %v", line,
				columns)
		}
		s := script{
			name: fields[0], listener: fields[1], measured: map[string]score{},
			remark: strings.TrimSpace(remark),
		}
		for i, column := range columns {
			var at score
			if field := fields[2+i]; field != "-" { // not measured
				if _, err := fmt.Sscanf(field, "%d/%d", &at.passed, &at.total); err != nil {
					return nil, fmt.Errorf("scripts.txt: %q: %w", line, err)
				}
			}
			s.measured[column] = at
		}
		s.arguments = fields[2+len(columns):]
		list = append(list, s)
	}
	return list, nil
}

// maxScript is how long one script may take.
const maxScript = 10 * time.Minute

// startScript runs a script, with two differences. Scripts draw from many conversations at random;
// here they always draw the same. And where a script offers a suite with CBC, which most have no
// option to change, it offers the one with GCM: conversations test other things than the suite, and
// our engine has none with CBC.
const startScript = `
import random, runpy, sys
from tlslite.constants import CipherSuite
for kind in "RSA", "ECDSA":
    for cbc, gcm in ("128_CBC_SHA", "128_GCM_SHA256"), ("256_CBC_SHA", "256_GCM_SHA384"):
        name = "TLS_ECDHE_" + kind + "_WITH_AES_"
        setattr(CipherSuite, name + cbc, getattr(CipherSuite, name + gcm))
random.seed(1)
runpy.run_module(sys.argv.pop(1), run_name="__main__")
`

// run runs the script and returns what it printed.
func (s *script) run(sources, port string, pki *certificates) string {
	args := []string{
		"-c", startScript, "tlsfuzzer._apps.test_" + s.name, "-h", "127.0.0.1", "-p",
		port,
	}
	for _, arg := range s.arguments {
		switch arg { // the client's certificate, where a script needs one
		case "KEY":
			arg = pki.client.key
		case "CERT":
			arg = pki.client.cert
		}
		args = append(args, arg)
	}
	c := exec.Command("python3", args...)
	c.Dir = sources
	c.Env = append(os.Environ(), "PYTHONHASHSEED=1") // else sets would be drawn from in another order
	timer := time.AfterFunc(maxScript, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	out, err := c.CombinedOutput()
	if err != nil {
		out = fmt.Appendf(out, "\n%v\n", err)
	}
	return string(out)
}

// A score is how many of a script's conversations passed.
type score struct{ passed, total int }

func (s score) String() string {
	if s.total == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d", s.passed, s.total)
}

// worse reports whether more conversations failed than in the score measured.
func (s score) worse(measured score) bool {
	return measured.total > 0 && (s.total == 0 || s.total-s.passed > measured.total-measured.passed)
}

// parseScore reads the end of a script's output. Its TOTAL counts a conversation
// once that is repeated.
func parseScore(out string) (s score) {
	failed := 0
	for line := range strings.Lines(out) {
		_, _ = fmt.Sscanf(line, "PASS: %d", &s.passed)
		_, _ = fmt.Sscanf(line, "FAIL: %d", &failed)
	}
	s.total = s.passed + failed
	return s
}
