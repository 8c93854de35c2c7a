package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// workshop is a directory for compiled programs; it is removed with the test process.
var workshop string

func TestMain(m *testing.M) {
	var err error
	if workshop, err = os.MkdirTemp("", "reprise-clients"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(workshop)
	os.Exit(code)
}

// ping is the line that clients send, and get back.
const ping = "ping\n"

// run runs a client program, which must succeed. It reads a ping.
func run(t *testing.T, path string, args ...string) nettest.Result {
	t.Helper()
	return runWith(t, nettest.Command{Path: path, Args: args, Stdin: strings.NewReader(ping)})
}

func runWith(t *testing.T, c nettest.Command) nettest.Result {
	t.Helper()
	c.Timeout = harness.Patience
	r := nettest.Run(t, c)
	if r.ExitCode != 0 {
		t.Fatalf("%s: exit code %d, want 0\n%s%s", c.Path, r.ExitCode, r.Stdout, r.Stderr)
	}
	return r
}

// visitLen is how many connections a client makes that can choose.
const visitLen = 3

// runOurs runs a client of testdata. All of these have the same arguments, make
// the connections of a visit and print a line about each.
func runOurs(t *testing.T, v *visit, path string, args ...string) []bool {
	t.Helper()
	cert, key := "-", "-"
	if v.cert != nil {
		cert, key = v.cert.CertFile, v.cert.KeyFile
	}
	r := run(t, path, append(args, v.host, v.port, pick(v, "1.2", "1.3"), string(v.offer),
		fmt.Sprint(v.retry), v.caFile, cert, key)...)
	var said []bool
	for _, m := range regexp.MustCompile(`(?m)^resumed (true|false)$`).FindAllStringSubmatch(r.Stdout, -1) {
		said = append(said, m[1] == "true")
	}
	if answered := strings.Count(r.Stdout, "answered\n"); answered != visitLen {
		t.Fatalf("%d connections were answered, want %d\n%s%s", answered, visitLen, r.Stdout, r.Stderr)
	}
	return said
}

// compiled holds a func() (string, error) per source.
var compiled sync.Map

// compile runs a compiler on a source of testdata, once for all tests, and returns the path of the
// result, which is the command's last argument.
func compile(t *testing.T, source string, command ...string) string {
	t.Helper()
	out := filepath.Join(workshop, source+".out")
	once, _ := compiled.LoadOrStore(source, sync.OnceValue(func() error {
		text, err := exec.Command(command[0], append(command[1:], out)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w\n%s", command, err, text)
		}
		return nil
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return out
}
