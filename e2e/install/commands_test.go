package install

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// run runs a program, which must end with that status, and returns what it prints to both outputs.
func run(t *testing.T, status int, path string, args ...string) string {
	t.Helper()
	r := nettest.Run(t, nettest.Command{Path: path, Args: args, Timeout: harness.Patience})
	if r.ExitCode != status {
		t.Fatalf("%s %q: exit status %d, want %d: %s%s", filepath.Base(path), args, r.ExitCode, status, r.Stdout, r.Stderr)
	}
	return r.Stdout + r.Stderr
}

// commandNames returns the commands that the help lists.
func commandNames(t *testing.T) (names []string) {
	t.Helper()
	for _, found := range regexp.MustCompile(`(?m)^  reprise ([a-z][a-z-]+)`).FindAllStringSubmatch(run(t, 0, harness.Program(t), "help"),
		-1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < 15 {
		t.Fatalf("the help lists %q", names)
	}
	return names
}

// TestVersion: every usual way to ask gets the same line.
func TestVersion(t *testing.T) {
	want := run(t, 0, harness.Program(t), "version")
	if !regexp.MustCompile(`^reprise \S+ go1\.\S+ linux/`).MatchString(want) {
		t.Errorf("got %q", want)
	}
	for _, arg := range []string{"--version", "-v", "-V"} {
		if got := run(t, 0, harness.Program(t), arg); got != want {
			t.Errorf("%s: got %q, want %q", arg, got, want)
		}
	}
}

// TestHelp: help, -h and --help are the same, also after a command, and help takes each command.
func TestHelp(t *testing.T) {
	all := run(t, 0, harness.Program(t), "help")
	for _, arg := range []string{"-h", "--help"} {
		if got := run(t, 0, harness.Program(t), arg); got != all {
			t.Errorf("%s is not help", arg)
		}
	}
	for _, name := range commandNames(t) {
		told := run(t, 0, harness.Program(t), "help", name)
		if !strings.Contains(told, "reprise "+name) || strings.Contains(told, "--sslrouter-to") {
			t.Errorf("help %s: %s", name, told)
		}
		for _, arg := range []string{"-h", "--help"} {
			if got := run(t, 0, harness.Program(t), name, arg); got != told {
				t.Errorf("%s %s: got %q, want %q", name, arg, got, told)
			}
		}
	}
}

// TestMisspelt: a word that is neither a command nor a file gets the command that was meant.
func TestMisspelt(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"relaod"}, `reprise: no command and no file is called "relaod": did you mean "reload"?`},
		{[]string{"frobnicate"}, `reprise: no command and no file is called "frobnicate": reprise help lists all`},
		{[]string{"help", "forgot"}, `reprise: help: no command "forgot": did you mean "forget"?`},
		{[]string{"help", "check", "demo"}, `reprise: help: name one command`},
		{[]string{"version", "x"}, `reprise: version: it takes no arguments`},
		{[]string{"completion"}, `reprise: completion: name a shell: bash, zsh or fish`},
		{[]string{"manual", "x"}, `reprise: manual: it takes no arguments: write reprise manual | man -l -`},
	} {
		if got := strings.TrimSpace(run(t, 2, harness.Program(t), test.args...)); got != test.want {
			t.Errorf("%q: got %q, want %q", test.args, got, test.want)
		}
	}
}

// TestDurations: options take what Go and systemd write, and what is written apart from an option
// whose value may be left out is told as such.
func TestDurations(t *testing.T) {
	cert := testpki.New(t).Server(testpki.ECDSA, "localhost")
	base := []string{"check", "--https", "127.0.0.1:0," + cert.CertFile + "," + cert.KeyFile, "--http-to", "127.0.0.1:9"}
	for _, value := range []string{"90", "1min 30s", "1m30s", "0.3", "300ms", "2 hours"} {
		told := run(t, 0, harness.Program(t), append(slices.Clone(base), "--idle-timeout", value)...)
		if want := "\nidle-timeout = " + value + "\n"; !strings.Contains(told, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for args, want := range map[string]string{
		"--hsts 31536000":          "--hsts: its value stands apart: write --hsts=31536000",
		"--idle-timeout 1 fortnig": `bad duration: write 1ms to 168h, such as 10 (seconds), 250ms or 2m`,
	} {
		option, value, _ := strings.Cut(args, " ")
		if told := run(t, 2, harness.Program(t),
			append(slices.Clone(base), option, value)...); !strings.Contains(told, want) {
			t.Errorf("%s: want %q in %q", args, want, told)
		}
	}
}

// script writes what a shell is to read, and returns the file.
func script(t *testing.T, shell string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "reprise."+shell)
	if err := os.WriteFile(file, []byte(run(t, 0, harness.Program(t), "completion", shell)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// completed returns what a shell offers for a line that ends in its last word.
func completed(t *testing.T, shell, file, line string) []string {
	t.Helper()
	switch shell {
	case "fish":
		told := run(t, 0, "fish", "--no-config", "-c", "source "+file+"; complete -C '"+line+"'")
		return regexp.MustCompile(`(?m)\t.*$`).Split(told, -1)
	default:
		code := "source " + file + "; COMP_WORDS=(" + line + "); [[ '" + line + "' != *' ' ]] || COMP_WORDS+=('')\n" +
			`COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _reprise; printf '%s\n' "${COMPREPLY[@]}"`
		return strings.Split(run(t, 0, "bash", "-c", code), "\n")
	}
}

// TestCompletion: bash and fish complete commands, their words and flags, and options; zsh can read
// what is for it, which has the same.
func TestCompletion(t *testing.T) {
	nettest.Need(t, "fish", "zsh")
	for _, shell := range []string{"bash", "fish"} {
		file := script(t, shell)
		for line, want := range map[string]string{
			"reprise fo":                   "forget",
			"reprise backend dr":           "drain",
			"reprise forget --s":           "--sni",
			"reprise check --idle-time":    "--idle-timeout",
			"reprise edge.ini --https-ses": "--https-session-context",
			"reprise drain --no":           "--no-wait",
			"reprise completion f":         "fish",
		} {
			offered := completed(t, shell, file, line)
			if !slices.ContainsFunc(offered,
				func(word string) bool { return strings.TrimSpace(word) == want }) {
				t.Errorf("%s, %q: got %q, want %q", shell, line, offered, want)
			}
		}
	}
	file := script(t, "zsh")
	run(t, 0, "zsh", "-n", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"#compdef reprise\n", "'forget:make all", "'--idle-timeout=[", "'*--https=["} {
		if !strings.Contains(string(text), want) {
			t.Errorf("zsh: %q is missing", want)
		}
	}
}

// TestCompletionIsComplete: each command is offered after help, with exactly the flags that its own
// help lists.
func TestCompletionIsComplete(t *testing.T) {
	file := script(t, "bash")
	names := commandNames(t)
	offered := completed(t, "bash", file, "reprise help ")
	for _, name := range names {
		if !slices.Contains(offered, name) {
			t.Errorf("help %s is not offered", name)
		}
		var listed, flags []string
		for _, found := range regexp.MustCompile(`(?m)^ +(--[a-z-]+)`).FindAllStringSubmatch(run(t, 0, harness.Program(t), "help",
			name), -1) {
			listed = append(listed, found[1])
		}
		if strings.Contains(run(t, 0, harness.Program(t), "help", name), "--OPTION") {
			continue // those of the configuration
		}
		for _, word := range completed(t, "bash", file, "reprise "+name+" --") {
			if strings.HasPrefix(word, "--") {
				flags = append(flags, word)
			}
		}
		slices.Sort(listed)
		slices.Sort(flags)
		if !slices.Equal(listed, flags) {
			t.Errorf("%s: help lists %q, completion offers %q", name, listed, flags)
		}
	}
}

// TestManual: the manual page is one that man takes without a warning, and has each command and
// each option.
func TestManual(t *testing.T) {
	nettest.Need(t, "man")
	file := filepath.Join(t.TempDir(), "reprise.8")
	if err := os.WriteFile(file, []byte(run(t, 0, harness.Program(t), "manual")), 0o600); err != nil {
		t.Fatal(err)
	}
	r := nettest.Run(t, nettest.Command{
		Path: "man", Args: []string{"--warnings=w", "-E", "UTF-8", "-l", file}, Env: []string{"MANWIDTH=200", "MANROFFSEQ=", "LC_ALL=C.UTF-8", "PAGER=cat"},
		Timeout: harness.Patience,
	})
	if r.ExitCode != 0 || r.Stderr != "" {
		t.Fatalf("exit status %d: %s", r.ExitCode, r.Stderr)
	}
	text := regexp.MustCompile(`.\x08`).ReplaceAllString(r.Stdout, "")
	for _, name := range commandNames(t) {
		if !regexp.MustCompile(`(?m)^ +` + name + `( |$)`).MatchString(text) {
			t.Errorf("command %s is missing", name)
		}
	}
	options := regexp.MustCompile(`(?m)^ +(--[a-z0-9-]+)`).FindAllStringSubmatch(run(t, 0, harness.Program(t), "--help"), -1)
	if len(options) < 100 {
		t.Fatalf("%d options", len(options))
	}
	for _, o := range options {
		if !regexp.MustCompile(`(?m)^ +` + o[1] + `[ \[]`).MatchString(text) {
			t.Errorf("option %s is missing", o[1])
		}
	}
}
