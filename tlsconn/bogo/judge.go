package main

import (
	"bufio"
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	stdflag "flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// errorMap has our reasons for each of BoringSSL's errors.
//
//go:embed errors.json
var errorMap []byte

//go:embed expected.txt
var expectedFailures string

// judgement is the command line of judge.
type judgement struct {
	sources, tests      string
	workers             int
	verbose             bool
	relay, relayOptions string
	engine              string
	keep                string
	loose               bool
}

func (j *judgement) parse(args []string) error {
	set := stdflag.NewFlagSet("judge", stdflag.ContinueOnError)
	set.StringVar(&j.sources, "boringssl", "", "directory with the sources of BoringSSL")
	set.StringVar(&j.tests, "test", "",
		"tests to run, patterns with semicolons between; all if empty")
	set.IntVar(&j.workers, "workers", 2, "tests to run at once")
	set.BoolVar(&j.verbose, "v", false, "print all of the runner's output")
	set.StringVar(&j.relay, "relay", "",
		"the real program: have it serve, and relay the runner's bytes to it")
	set.StringVar(&j.relayOptions, "relay-options", "",
		"more options for it, with spaces between")
	set.StringVar(&j.engine, "engine", defaultEngine, "the engine to judge")
	set.StringVar(&j.keep, "o", "", "file for the list of tests and results")
	set.BoolVar(&j.loose, "loose", false, "take any reason for a failure that is wanted")
	if err := set.Parse(args); err != nil {
		return err
	}
	if j.sources == "" {
		return fmt.Errorf(
			"-boringssl is missing: the sources are at https://boringssl.googlesource.com/boringssl")
	}
	return nil
}

// judge builds the runner, runs it, and prints the tests' results. It returns nil only if every
// failure is expected.
func judge(args []string) error {
	var j judgement
	if err := j.parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bogo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	runnerDir := filepath.Join(j.sources, "ssl", "test", "runner")
	runner := filepath.Join(dir, "runner")
	if err := buildRunner(runnerDir, runner); err != nil {
		return err
	}
	shimPath, err := os.Executable()
	if err != nil {
		return err
	}
	config, causes := filepath.Join(dir, "errors.json"), filepath.Join(dir, "causes")
	if err := os.WriteFile(config, errorMap, 0o600); err != nil {
		return err
	}
	environment := append(os.Environ(), causesVariable+"="+causes, engineVariable+"="+j.engine)
	if j.relay != "" {
		l, err := newLender(j.relay, strings.Fields(j.relayOptions), dir)
		if err != nil {
			return err
		}
		defer l.close()
		environment = append(environment, relayVariable+"="+l.control.Addr().String())
		j.loose = true // a listener shows only its alert
	}
	if j.engine != defaultEngine {
		j.loose = true // errors.json has our engine's reasons
	}
	run := exec.Command(runner, "-test.timeout", "2h", "-pipe", "-allow-unimplemented",
		"-shim-path", shimPath, "-shim-config", config, "-num-workers", fmt.Sprint(j.workers),
		"-transcript-dir", filepath.Join(dir, "transcripts"), // for the names, see parseTest
		"-test", j.tests, fmt.Sprintf("-loose-errors=%v", j.loose))
	run.Dir, run.Stderr = runnerDir, os.Stderr
	run.Env = environment
	r, err := resultsOf(run, j.verbose)
	if err != nil {
		return err
	}
	log, err := os.ReadFile(causes)
	if err != nil {
		return err
	}
	r.explain(string(log))
	if j.keep != "" {
		if err := os.WriteFile(j.keep, r.list(), 0o644); err != nil {
			return err
		}
	}
	return r.report(os.Stdout, parseExpected(expectedFailures))
}

// buildRunner builds BoringSSL's runner, whose sources are in dir, as file.
func buildRunner(dir, file string) error {
	build := exec.Command("go", "test", "-c", "-o", file, ".")
	build.Dir, build.Stdout, build.Stderr = dir, os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the runner in %s: %w", dir, err)
	}
	return nil
}

// resultsOf runs the runner and reads what it prints, which is shown as well if verbose.
func resultsOf(run *exec.Cmd, verbose bool) (*results, error) {
	out, err := run.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := run.Start(); err != nil {
		return nil, err
	}
	if verbose {
		out = io.NopCloser(io.TeeReader(out, os.Stdout))
	}
	r := readResults(out)
	_ = run.Wait() // its status says that tests failed; that is reported elsewhere
	if len(r.status) == 0 {
		return nil, errors.New("the runner ran no test")
	}
	return r, nil
}

// results are the runner's results of each test.
type results struct {
	status map[string]string // PASSED, FAILED or UNIMPLEMENTED
	detail map[string]string // of those that failed
	cause  map[string]string // of those that are not implemented
}

// readResults parses the runner's output: a line "STATUS (name)" for each test, and below a failure
// the results and expectations.
func readResults(in io.Reader) *results {
	r := &results{
		status: map[string]string{}, detail: map[string]string{},
		cause: map[string]string{},
	}
	failing := ""
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		status, rest, ok := strings.Cut(line, " (")
		name, closed := strings.CutSuffix(rest, ")")
		if ok && closed && (status == "PASSED" || status == "FAILED" || status == "UNIMPLEMENTED") {
			r.status[name], failing = status, ""
			if status == "FAILED" {
				failing = name
			}
			continue
		}
		if failing != "" {
			r.detail[failing] += line + "\n"
		}
	}
	return r
}

// explain adds the causes from the shims' log. Tests that are not counted are removed.
func (r *results) explain(log string) {
	for line := range strings.Lines(log) {
		name, cause, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if strings.HasPrefix(cause, notCountedPrefix) {
			delete(r.status, name)
			continue
		}
		r.cause[name] = cause
	}
}

// summary is a failure in a line: each side's message.
func (r *results) summary(name string) string {
	var parts []string
	want := false
	lines := strings.Split(r.detail[name], "\n")
	for i, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "want:":
			want = true
		case strings.HasPrefix(line, "unexpected "):
			parts = append(parts, line)
		case line == "stderr:" && i+1 < len(lines):
			parts = append(parts, cut("shim: "+strings.TrimSpace(lines[i+1])))
		case strings.HasPrefix(line, "local:"), strings.HasPrefix(line, "remote:"):
			if want {
				line = "want " + line
			}
			parts = append(parts, cut(line))
		}
	}
	return strings.Join(parts, "; ")
}

// cut shortens messages, some of which have whole certificates.
func cut(s string) string { return s[:min(len(s), 240)] }

// list is all results, one per line.
func (r *results) list() []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(r.status)) {
		why := r.cause[name]
		if r.status[name] == "FAILED" {
			why = r.summary(name)
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\n", r.status[name], name, why)
	}
	return b.Bytes()
}

// expectation is a line of expected.txt: names of tests and the cause of their failure.
type expectation struct{ pattern, cause string }

func parseExpected(file string) (list []expectation) {
	for line := range strings.Lines(file) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, cause, _ := strings.Cut(line, " ")
		list = append(list, expectation{pattern, strings.TrimSpace(cause)})
	}
	return list
}

// report prints the counts by cause. It returns an error for an unexpected failure.
func (r *results) report(w io.Writer, expected []expectation) error {
	counts := map[string]int{}
	skipped, failed := map[string]int{}, map[string]int{}
	var unexplained []string
	for _, name := range slices.Sorted(maps.Keys(r.status)) {
		status := r.status[name]
		counts[status]++
		switch status {
		case "UNIMPLEMENTED":
			skipped[cmp.Or(r.cause[name], "the shim did not say why")]++
		case "FAILED":
			i := slices.IndexFunc(expected, func(e expectation) bool {
				ok, _ := filepath.Match(e.pattern, name)
				return ok
			})
			if i < 0 {
				unexplained = append(unexplained, name)
				continue
			}
			failed[expected[i].cause]++
		}
	}
	fmt.Fprintf(w, "tests %d: passed %d, failed %d, skipped %d\n",
		len(r.status), counts["PASSED"], counts["FAILED"], counts["UNIMPLEMENTED"])
	printCauses(w, "failed, by choice", failed)
	printCauses(w, "skipped", skipped)
	if len(unexplained) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nfailed, unexplained: %d\n", len(unexplained))
	for _, name := range unexplained {
		fmt.Fprintf(w, "  %s\n      %s\n", name, r.summary(name))
	}
	return fmt.Errorf("%d tests fail that are not in expected.txt", len(unexplained))
}

func printCauses(w io.Writer, title string, causes map[string]int) {
	if len(causes) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	sorted := slices.SortedFunc(maps.Keys(causes), func(a, b string) int {
		return cmp.Or(causes[b]-causes[a], strings.Compare(a, b))
	})
	for _, cause := range sorted {
		fmt.Fprintf(w, "  %4d  %s\n", causes[cause], cause)
	}
}
