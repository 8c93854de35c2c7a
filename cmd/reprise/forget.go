package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"reprise/node"
)

const forgetUsage = `Make every node forget sessions, so that their clients need full handshakes.

  reprise forget --sni NAME        those made for a server name, or with *.NAME for all names directly below it
  reprise forget --listener ADDR   those of the listener's session context
  reprise forget --all

It waits for every node that was there within the last ssl-sessions-timeout, and
for every session-store. If one does not answer it names it and exits with 1; such
a node obeys when it returns, before it serves a session of others.

`

// forget tells a node to forget sessions, by its admin server.
func forget(args []string, stdout io.Writer) error {
	flags := newAdminFlags("forget", forgetUsage)
	sni := flags.String("sni", "", "server name, as clients send it, or *.NAME")
	listener := flags.String("listener", "", "address of a listener, as configured")
	all := flags.Bool("all", false, "all sessions")
	if helped, err := flags.parse(args, stdout); helped || err != nil {
		return err
	}
	query := url.Values{}
	for name, value := range map[string]string{"sni": *sni, "listener": *listener} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if *all {
		query.Set("all", "true")
	}
	if len(query) != 1 || flags.NArg() > 0 {
		return errors.New("forget: say one of --sni NAME, --listener ADDR and --all")
	}
	if *sni != "" {
		if _, _, err := node.ForgetName(*sni); err != nil {
			return fmt.Errorf("forget: --sni %w", err)
		}
	}
	body, err := flags.post("/forget?" + query.Encode())
	if err != nil {
		return err
	}
	var result node.Forgotten
	if err := json.Unmarshal(body, &result); err != nil {
		return node.RuntimeError{Err: fmt.Errorf("forget: %w", err)}
	}
	return printForgotten(&result, stdout)
}

// printForgotten returns an error if a node or store has not answered.
func printForgotten(r *node.Forgotten, stdout io.Writer) error {
	fmt.Fprintf(stdout, "forgotten here: %d\n", r.Here)
	total := r.Here
	for _, name := range slices.Sorted(maps.Keys(r.Peers)) {
		fmt.Fprintf(stdout, "forgotten at %s: %d\n", name, r.Peers[name])
		total += r.Peers[name]
	}
	if total == 0 {
		fmt.Fprintln(stdout, "no node had such a session: is that what you meant?")
	}
	if len(r.Silent) > 0 {
		return node.RuntimeError{Err: fmt.Errorf(
			"forget: no answer from %s: such a session may be resumed there until it is heard of again",
			strings.Join(r.Silent, ", "))}
	}
	return nil
}
