package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"reprise/config"
	"reprise/config/suggest"
)

// A command is a word that may stand first on the command line. From the table of them come the
// help, the manual and completion.
type command struct {
	name    string
	args    string // what follows the name; empty: nothing but flags
	summary string
	words   []string // what may come next
	// its own, without --, if it explains itself; a test compares them with its --help
	flags []string
	run   func(args []string, stdout, stderr io.Writer) error
}

// adminOptions are the flags of every command that asks a node.
var adminOptions = []string{"admin", "admin-token-file", "config"}

// asking returns adminOptions and a command's own.
func asking(own ...string) []string { return append(slices.Clone(adminOptions), own...) }

// commands returns all commands, in the order of the help. It is a function because help is one of
// them. It is long because it is a table.
func commands() []command {
	return []command{
		{
			name: "check", args: "[FILE.ini] [--OPTION ...]",
			summary: "validate and print the effective configuration", run: check,
		},
		{
			name: "forget", args: "--sni NAME|--all|...", summary: "make all nodes forget sessions",
			flags: asking("all", "listener", "sni"), run: unwarned(forget),
		},
		{
			name: "backend", args: "list|drain|ready|weight",
			summary: "show backends, take one out of use or into use, set its weight",
			words:   []string{"list", "drain", "ready", "weight"}, flags: asking("json"),
			run: unwarned(backendCommand),
		},
		{
			name: "pools", summary: "show the pools of backends of a node", flags: asking("json"),
			run: unwarned(poolsCommand),
		},
		{
			name: "peers", summary: "show the nodes that a node shares sessions with",
			flags: asking("json"), run: unwarned(peersCommand),
		},
		{
			name: "certificates", summary: "show what a node offers, and when it ends",
			flags: asking("json"), run: unwarned(certificatesCommand),
		},
		{
			name: "sessions", summary: "count a node's sessions by name and age",
			flags: asking("json"), run: unwarned(sessionsCommand),
		},
		{
			name: "top", summary: "show the state of a node and its fleet, live", flags: asking("fleet"),
			run: unwarned(topCommand),
		},
		{
			name: "why", args: "CLIENT-ADDRESS",
			summary: "explain why a client's handshakes resumed a session, or not",
			flags:   asking("json"), run: unwarned(whyCommand),
		},
		{
			name: "reload", summary: "take over what has changed in the configuration",
			flags: adminOptions, run: unwarned(reloadCommand),
		},
		{
			name: "drain", summary: "end a node without refusing a client",
			flags: asking("no-wait"),
			run:   unwarned(drainCommand),
		},
		{
			name:    "upgrade",
			summary: "start the program anew, which takes over from the one that runs",
			flags:   adminOptions, run: unwarned(upgradeCommand),
		},
		{name: "secret", summary: "print a new secret for a fleet", run: unwarned(printSecret)},
		{
			name: "repeater-key", args: "FILE",
			summary: "print the key of a repeater for a cluster secret",
			run:     unwarned(repeaterKey),
		},
		{
			name: "demo", args: "[--OPTION VALUE]...", summary: "serve a self-signed demonstration",
			run: demo,
		},
		{
			name: "version", summary: "print the version; also -v and --version",
			run: unwarned(printVersion),
		},
		{
			name: "help", args: "[COMMAND]",
			summary: "print this, or what a command does; also -h and --help",
			words:   commandNames(), run: unwarned(help),
		},
		{
			name: "completion", args: "bash|zsh|fish",
			summary: "print a script with which a shell completes commands and options",
			words:   []string{"bash", "zsh", "fish"}, run: unwarned(completion),
		},
		{name: "manual", summary: "print the manual page, for man -l", run: unwarned(manual)},
	}
}

// commandNames are the arguments of help, written out because the table holds help itself; a test
// compares them.
func commandNames() []string {
	return []string{
		"backend", "certificates", "check", "completion", "demo", "drain", "forget", "help",
		"manual", "peers", "pools",
		"reload", "repeater-key", "secret", "sessions", "top", "upgrade", "version", "why",
	}
}

// unwarned makes a command of a function that has no warnings.
func unwarned(f func([]string, io.Writer) error) func([]string, io.Writer, io.Writer) error {
	return func(args []string, stdout, _ io.Writer) error { return f(args, stdout) }
}

// commandNamed returns a command, nil if there is none of that name.
func commandNamed(name string) *command {
	all := commands()
	if i := slices.IndexFunc(all, func(c command) bool { return c.name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// synopsis is the command as it is typed.
func (c *command) synopsis() string { return strings.TrimSpace("reprise " + c.name + " " + c.args) }

// explained reports whether args ask for help.
func explained(args []string) bool {
	return len(args) == 1 &&
		(args[0] == "-h" || args[0] == "--help")
}

// explain prints the help of the command.
func (c *command) explain(stdout, stderr io.Writer) error {
	if c.flags != nil {
		return c.run([]string{"--help"}, stdout, stderr)
	}
	summary := strings.ToUpper(c.summary[:1]) + c.summary[1:]
	_, err := fmt.Fprintf(stdout, "%s.\n\n  %s\n", summary, c.synopsis())
	return err
}

// help explains one command, or all.
func help(args []string, stdout io.Writer) error {
	switch len(args) {
	case 0:
		return config.ErrHelp
	case 1:
		if c := commandNamed(args[0]); c != nil {
			return c.explain(stdout, stdout)
		}
		return fmt.Errorf("help: no command %q%s", args[0], meant(args[0]))
	}
	return errors.New("help: name one command")
}

// meant suggests a command, as the end of a line.
func meant(word string) string {
	if near := suggest.Nearest(word, commandNames()); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ": reprise help lists all"
}

// misspelt returns an error if the first argument was meant as a command: it neither is a file nor
// looks like the name of one.
func misspelt(args []string) error {
	if len(args) == 0 || strings.ContainsAny(args[0], "-./:") {
		return nil
	}
	if _, err := os.Stat(args[0]); err == nil {
		return nil
	}
	return fmt.Errorf("no command and no file is called %q%s", args[0], meant(args[0]))
}

// usage is the head of the help.
func usage() string {
	var out strings.Builder
	out.WriteString("Reprise terminates TLS and lets clients resume their sessions.\n\n")
	line := func(typed, summary string) { fmt.Fprintf(&out, "  %-40s %s\n", typed, summary) }
	line("reprise [FILE.ini] [--OPTION VALUE]...", "serve")
	for _, c := range commands() {
		line(c.synopsis(), c.summary)
	}
	out.WriteString(`
For example:
  reprise --sslrouter 127.0.0.1:8443,cert.pem,key.pem --sslrouter-to 127.0.0.1:9000 --stats 127.0.0.1:5001

`)
	return out.String()
}
