package main

import (
	"io"
	"net/http"
)

const upgradeUsage = `Start the program anew beside the running node: it takes over sockets and sessions, and the old process ends when
its connections have.

  reprise upgrade

If the new process does not come up within upgrade-timeout, the old one goes on and the reason is printed.

`

// upgradeCommand tells a node to start its successor, by its admin server.
func upgradeCommand(args []string, stdout io.Writer) error {
	flags := newAdminFlags("upgrade", upgradeUsage)
	if helped, err := flags.parseAlone(args, stdout); helped || err != nil {
		return err
	}
	node, err := flags.node()
	if err != nil {
		return err
	}
	node.http.Timeout = 0 // the node applies upgrade-timeout
	body, err := node.ask(http.MethodPost, "/upgrade")
	if err != nil {
		return err
	}
	_, err = stdout.Write(body)
	return err
}
