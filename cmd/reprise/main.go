// Command reprise terminates TLS and shares its sessions with its peers.
//
//	reprise [FILE.ini] [--OPTION VALUE]...   serve
//	reprise check [FILE.ini] [--OPTION ...]  validate and print the effective configuration
//	reprise forget --sni NAME|--all|...      make all nodes forget sessions
//	reprise backend list|drain|ready|weight  show backends, take one out of use or into use, set its weight
//	reprise pools|peers|certificates|sessions  show what a node has
//	reprise reload                           take over what has changed in the configuration
//	reprise drain                            end a node without refusing a client
//	reprise upgrade                          start the program anew, which takes over from the one that runs
//	reprise secret                           print a new secret for a fleet
//	reprise repeater-key FILE                print the key of a repeater for a cluster secret
//	reprise demo                             serve a self-signed demonstration
//	reprise version
//	reprise --help
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"reprise/config"
	"reprise/node"
)

// version is set by the build (-ldflags -X main.version=...).
var version = "development"

const usage = `Reprise terminates TLS and lets clients resume their sessions.

  reprise [FILE.ini] [--OPTION VALUE]...   serve
  reprise check [FILE.ini] [--OPTION ...]  validate and print the effective configuration
  reprise forget --sni NAME|--all|...      make all nodes forget sessions
  reprise backend list|drain|ready|weight  show backends, take one out of use or into use, set its weight
  reprise pools|peers|certificates         show what a node has
  reprise sessions                         count a node's sessions by name and age
  reprise reload                           take over what has changed in the configuration
  reprise drain                            end a node without refusing a client
  reprise upgrade                          start the program anew, which takes over from the one that runs
  reprise secret                           print a new secret for a fleet
  reprise repeater-key FILE                print the key of a repeater for a cluster secret
  reprise demo                             serve a self-signed demonstration
  reprise version

For example:
  reprise --sslrouter 127.0.0.1:8443,cert.pem,key.pem --sslrouter-to 127.0.0.1:9000 --stats 127.0.0.1:5001

`

// Exit statuses: what an operator can mend is told from what went wrong later.
const (
	exitOK      = 0
	exitFailure = 1 // failed at run time
	exitConfig  = 2 // the configuration is wrong
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		switch args[0] {
		case "backend", "certificates", "check", "demo", "drain", "forget", "peers", "pools", "reload", "repeater-key", "secret", "sessions",
			"upgrade", "version":
			command, args = args[0], args[1:]
		}
	}
	var err error
	switch command {
	case "version":
		fmt.Fprintln(stdout, versionLine())
	case "check":
		err = check(args, stdout, stderr)
	case "backend":
		err = backendCommand(args, stdout)
	case "certificates":
		err = certificatesCommand(args, stdout)
	case "peers":
		err = peersCommand(args, stdout)
	case "pools":
		err = poolsCommand(args, stdout)
	case "sessions":
		err = sessionsCommand(args, stdout)
	case "drain":
		err = drainCommand(args, stdout)
	case "reload":
		err = reloadCommand(args, stdout)
	case "forget":
		err = forget(args, stdout)
	case "repeater-key":
		err = repeaterKey(args, stdout)
	case "secret":
		err = printSecret(args, stdout)
	case "upgrade":
		err = upgradeCommand(args, stdout)
	case "demo":
		err = demo(args, stdout, stderr)
	default:
		err = serve(args, stderr)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, config.ErrHelp):
		fmt.Fprint(stdout, usage)
		if err := config.WriteHelp(stdout); err != nil {
			return exitFailure
		}
		return exitOK
	}
	fmt.Fprintf(stderr, "reprise: %v\n", err)
	if _, ok := errors.AsType[node.RuntimeError](err); ok {
		return exitFailure
	}
	return exitConfig
}

func versionLine() string {
	line := fmt.Sprintf("reprise %s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "GOEXPERIMENT" {
				line += " " + s.Value
			}
		}
	}
	return line
}

// parse reads the configuration and prints its warnings.
func parse(args []string, stderr io.Writer) (*config.Config, error) {
	c, err := config.Parse(args)
	if err != nil {
		return nil, err
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(stderr, "reprise: warning: %s\n", w)
	}
	return c, nil
}

// check prints what a configuration means, as a configuration file.
func check(args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	var routes, table bytes.Buffer
	err = errors.Join(c.Print(stdout), c.PrintRoutes(&routes), c.PrintMigration(&table))
	for _, part := range []struct {
		title string
		lines *bytes.Buffer
	}{{"What goes where", &routes}, {"What becomes of each key of the files", &table}} {
		if part.lines.Len() > 0 {
			fmt.Fprintf(stdout, "; %s:\n", part.title)
		}
		for line := range strings.Lines(part.lines.String()) {
			fmt.Fprint(stdout, "; ", line) // so that the whole is still a configuration
		}
	}
	if err != nil {
		return node.RuntimeError{Err: err}
	}
	return nil
}

// invocation is what runs here with args.
func invocation(args []string) node.Program {
	return node.Program{Version: version, Path: os.Args[0], Args: args}
}

// serve runs a node until a signal ends it.
func serve(args []string, stderr io.Writer) error {
	return node.Serve(invocation(args),
		func() (*config.Config, error) { return parse(args, stderr) },
		func() (*config.Config, error) { return config.Reread(args) }, stderr)
}
