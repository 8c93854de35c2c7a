package book

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// patience is the time-out for events that must happen, on a machine that is busy with other
// things.
const patience = time.Minute

// prepare sets up the shell, then runs the commands that come by descriptor 3, each ended by NUL,
// and prints the exit status of each behind a control character.
const prepare = `
exec 2>&1
mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run || exit
ip link set lo up || exit
while IFS= read -r -d '' command <&3; do
	eval "$command" </dev/null 3<&-
	printf '\036%d\n' $?
done
`

// A shell is a reader's terminal.
type shell struct {
	*nettest.Process
	t        *testing.T
	dir      string
	commands *os.File
	seen     int // bytes of its output
}

func newShell(t *testing.T) *shell {
	t.Helper()
	nettest.Need(t, "bash", "unshare", "ip", "nft", "openssl", "curl", "python3", "uwsgi", "nghttpd")
	apart := apartFrom(t)
	program := nettest.Build(t, "reprise/cmd/reprise")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	s := &shell{t: t, dir: t.TempDir(), commands: w}
	sources, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sources, filepath.Join(s.dir, "reprise")); err != nil {
		t.Fatal(err)
	}
	s.Process = nettest.Start(t, nettest.Command{
		Path:  "unshare",
		Args:  append(apart, "bash", "--noprofile", "--norc", "-c", prepare),
		Dir:   s.dir,
		Env:   []string{"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"},
		Files: []*os.File{r}, Timeout: patience,
	})
	r.Close()
	t.Cleanup(s.Kill) // with all that it has started
	return s
}

// apartFrom returns options of unshare by which a page has this machine to itself: as root, or as a
// user that is root only there.
func apartFrom(t *testing.T) []string {
	t.Helper()
	options := []string{"--net", "--mount", "--pid", "--fork", "--kill-child"}
	if os.Getuid() != 0 {
		options = append(options, "--user", "--map-root-user")
	}
	try := nettest.Run(t, nettest.Command{Path: "unshare", Args: append(options, "true")})
	if try.ExitCode != 0 && os.Getenv("CI") == "" {
		t.Skipf("pages are done in namespaces of their own: %s", try.Stderr)
	}
	return options
}

// do runs one step of a page and reports errors.
func (s *shell) do(at step) error {
	if at.file != "" {
		path := filepath.Join(s.dir, at.file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(at.content), 0o644)
	}
	if _, err := s.commands.WriteString(at.command + "\x00"); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		all := s.Stdout()
		text, status, ended := withoutStatus(all[s.seen:])
		if ended && status != 0 {
			return fmt.Errorf("exit status %d:\n%s", status, text)
		}
		if ended && inBackground(at.command) && text != "" && !strings.HasSuffix(text, "\n") {
			continue // it prints a line in pieces
		}
		if ended && (len(at.want) == 0 || matches(at.want, linesOf(text))) {
			s.seen = len(all)
			s.t.Logf("$ %s\n%s", at.command, text)
			return nil
		}
		if ended && !inBackground(at.command) && !foregroundMatches(at.want, linesOf(text)) {
			return fmt.Errorf("printed:\n%s\nnot:\n%s", text, strings.Join(at.want, "\n"))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v:\n%s\nbut:\n%s", patience, strings.Join(at.want, "\n"), text)
		}
	}
}

func inBackground(command string) bool { return strings.HasSuffix(command, "&") }

// withoutStatus takes the exit status of a command out of what was printed.
func withoutStatus(output string) (text string, status int, ended bool) {
	before, after, found := strings.Cut(output, "\x1e")
	number, after, whole := strings.Cut(after, "\n")
	if !found || !whole {
		return output, 0, false
	}
	status, err := strconv.Atoi(number)
	if err != nil {
		status = -1
	}
	return before + after, status, true
}

// logLine matches a line that reprise writes as a whole, even in the middle of another program's
// line.
var logLine = regexp.MustCompile(`time=\d{4}-\S+ level=[A-Z]+ .*\n`)

// linesOf are the lines of a text, of which the last one may have no end. Those of logs come
// last.
func linesOf(text string) []string {
	logs := logLine.FindAllString(text, -1)
	text = logLine.ReplaceAllString(text, "")
	var lines []string
	if text != "" {
		lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	}
	for _, line := range logs {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}
