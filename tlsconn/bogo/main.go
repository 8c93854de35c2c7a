package main

import (
	"errors"
	"fmt"
	"os"
)

// statusUnimplemented tells the runner that the shim cannot do what a test asks.
const statusUnimplemented = 89

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "judge" {
		if err := judge(args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "bogo:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(shim(args))
}

// shim runs one test and returns the exit status.
func shim(args []string) int {
	for _, arg := range args {
		if arg == "-is-handshaker-supported" { // the runner asks once, at its start
			fmt.Println("No")
			return 0
		}
	}
	t, err := parseTest(args)
	if err == nil {
		if lender := os.Getenv(relayVariable); lender != "" {
			err = t.relay(lender)
		} else {
			err = t.run()
		}
	}
	if cause, ok := errors.AsType[unimplemented](err); ok {
		logCause(t.name, string(cause))
		return statusUnimplemented
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// unimplemented is the reason why the shim cannot do what a test asks.
type unimplemented string

func (u unimplemented) Error() string { return "not implemented: " + string(u) }

// causesVariable names the environment variable with the path of the file to which shims append the
// causes of skipped tests. judge sets it.
const causesVariable = "REPRISE_BOGO_CAUSES"

func logCause(name, cause string) {
	path := os.Getenv(causesVariable)
	if path == "" {
		fmt.Fprintln(os.Stderr, cause)
		return
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	// One write, so that lines of concurrent shims do not mix.
	fmt.Fprintf(f, "%s\t%s\n", name, cause)
}
