package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/pflag"
)

const backendUsage = `Take a backend out of use, or into use again, at one node.

  reprise backend drain NAME    no new connections or requests; those that exist go on
  reprise backend ready NAME    all as before

NAME is as configured, and as the statistics name it.

`

// backendCommand tells a node, by its admin server, what to do with a backend.
func backendCommand(args []string, stdout io.Writer) error {
	flags := pflag.NewFlagSet("backend", pflag.ContinueOnError)
	flags.Usage = func() {}
	admin := flags.String("admin", "127.0.0.1:9090", "admin address of the node, host:port or /unix/path")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			fmt.Fprint(stdout, backendUsage+flags.FlagUsages())
			return nil
		}
		return err
	}
	if flags.NArg() != 2 || flags.Arg(0) != "drain" && flags.Arg(0) != "ready" {
		return errors.New("backend: say drain NAME or ready NAME")
	}
	query := url.Values{"name": {flags.Arg(1)}, "state": {flags.Arg(0)}}
	body, err := askAdmin("backend", *admin, "/backend?"+query.Encode())
	if err != nil {
		return err
	}
	_, err = stdout.Write(body)
	return err
}
