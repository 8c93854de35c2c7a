package main

import (
	"errors"
	"io"
)

const reloadUsage = `Take over what has changed in the configuration and its files, as SIGHUP does, and print the result.

  reprise reload

Clients are served meanwhile. If anything is wrong, nothing is taken over, the reason is
printed and the exit status is 2.

`

// reloadCommand tells a node to reload, by its admin server, and waits for the result.
func reloadCommand(args []string, stdout io.Writer) error {
	flags := newAdminFlags("reload", reloadUsage)
	if helped, err := flags.parse(args, stdout); helped || err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return errors.New(
			"reload: it takes no arguments: --admin ADDR or --config FILE names the node, which knows its files")
	}
	body, err := flags.post("/reload")
	if refusal, ok := errors.AsType[refusedError](err); ok {
		return errors.New(refusal.text) // an error in the configuration
	}
	if err != nil {
		return err
	}
	_, err = stdout.Write(body)
	return err
}
