package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const drainUsage = `End a node without refusing a client, as SIGTERM does, and wait until it has ended.

  reprise drain

For shutdown-delay it goes on accepting while /readyz says 503, so that balancers
turn away; then connections have drain-timeout to end by themselves. Nothing is
left to a service manager for another process.

`

// drainCommand tells a node to end, by its admin server.
func drainCommand(args []string, stdout io.Writer) error {
	flags := newAdminFlags("drain", drainUsage)
	noWait := flags.Bool("no-wait", false, "do not wait for its end")
	if helped, err := flags.parseAlone(args, stdout); helped || err != nil {
		return err
	}
	node, err := flags.node()
	if err != nil {
		return err
	}
	body, err := node.ask(http.MethodPost, "/drain")
	if err != nil {
		return err
	}
	if _, err := stdout.Write(body); err != nil || *noWait {
		return err
	}
	awaitEnd(node.address)
	_, err = fmt.Fprintln(stdout, "ended")
	return err
}

// awaitEnd waits until no process listens at an admin address.
func awaitEnd(admin string) {
	network := "tcp"
	if strings.HasPrefix(admin, "/") {
		network = "unix"
	}
	for {
		c, err := net.DialTimeout(network, admin, time.Second)
		if err != nil {
			return
		}
		c.Close()
		time.Sleep(100 * time.Millisecond)
	}
}
