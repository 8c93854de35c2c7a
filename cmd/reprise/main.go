// Command reprise terminates TLS and shares its sessions with its peers. Its commands are a table
// (commands.go), which reprise help prints.
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

// Exit statuses tell errors in the configuration from later failures.
const (
	exitOK      = 0
	exitFailure = 1 // failed at run time
	exitConfig  = 2 // the configuration is wrong
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	err := dispatch(args, stdout, stderr)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, config.ErrHelp):
		if _, err := io.WriteString(stdout, usage()); err != nil {
			return exitFailure
		}
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

// dispatch runs the command that args begin with, or serves.
func dispatch(args []string, stdout, stderr io.Writer) error {
	if len(args) == 1 && (args[0] == "-v" || args[0] == "-V" || args[0] == "--version") {
		return printVersion(nil, stdout)
	}
	if len(args) > 0 {
		if c := commandNamed(args[0]); c != nil {
			if explained(args[1:]) {
				return c.explain(stdout, stderr)
			}
			return c.run(args[1:], stdout, stderr)
		}
	}
	if err := misspelt(args); err != nil {
		return err
	}
	return serve(args, stderr)
}

func printVersion(args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return errors.New("version: it takes no arguments")
	}
	_, err := fmt.Fprintln(stdout, versionLine())
	return err
}

func versionLine() string {
	line := fmt.Sprintf("reprise %s %s %s/%s", version, runtime.Version(), runtime.GOOS,
		runtime.GOARCH)
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

// check prints the effective configuration, as a configuration file.
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
			fmt.Fprint(stdout, "; ", line) // so that the output is still a configuration
		}
	}
	if err != nil {
		return node.RuntimeError{Err: err}
	}
	return nil
}

// invocation is this program with args.
func invocation(args []string) node.Program {
	return node.Program{Version: version, Path: os.Args[0], Args: args}
}

// serve runs a node until a signal ends it.
func serve(args []string, stderr io.Writer) error {
	return node.Serve(invocation(args),
		func() (*config.Config, error) { return parse(args, stderr) },
		func() (*config.Config, error) { return config.Reread(args) }, stderr)
}
