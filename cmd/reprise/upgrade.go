package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"
)

const upgradeUsage = `Start the program anew beside the running node: it takes over sockets and sessions, and the old process ends when
its connections have.

  reprise upgrade

If the new process does not come up within upgrade-timeout, the old one goes on and the reason is printed.

`

// upgradeCommand tells a node, by its admin server, to start its successor.
func upgradeCommand(args []string, stdout io.Writer) error {
	flags := pflag.NewFlagSet("upgrade", pflag.ContinueOnError)
	flags.Usage = func() {}
	admin := flags.String("admin", "127.0.0.1:9090", "admin address of the node, host:port or /unix/path")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			fmt.Fprint(stdout, upgradeUsage+flags.FlagUsages())
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return errors.New("upgrade: it takes no arguments: --admin ADDR names the node")
	}
	body, err := askAdminFor("upgrade", *admin, "/upgrade", 0) // upgrade-timeout is the node's to know
	if err != nil {
		return err
	}
	_, err = stdout.Write(body)
	return err
}
