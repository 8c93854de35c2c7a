package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"reprise/node"
)

const backendUsage = `Show the backends of one node, or take one out of use, or into use again.

  reprise backend list
  reprise backend drain NAME       no new connections or requests; those that exist go on
  reprise backend ready NAME       all as before
  reprise backend weight NAME N    its share beside the others, 1 to 65536, until the next reload

NAME is as configured, and as the list has it, or the backend's address alone.

`

// backendCommand tells a node, by its admin server, what to do with a backend.
func backendCommand(args []string, stdout io.Writer) error {
	flags := newAdminFlags("backend", backendUsage).withJSON()
	if helped, err := flags.parse(args, stdout); helped || err != nil {
		return err
	}
	verb, query := flags.Arg(0), url.Values{"name": {flags.Arg(1)}}
	switch {
	case verb == "list" && flags.NArg() == 1:
		return list(flags, "/backends", stdout, backendTable)
	case (verb == "drain" || verb == "ready") && flags.NArg() == 2:
		query.Set("state", verb)
	case verb == "weight" && flags.NArg() == 3:
		if n, err := strconv.Atoi(flags.Arg(2)); err != nil || n < 1 || n > 1<<16 {
			return fmt.Errorf("backend: bad weight %q: write 1 to 65536", flags.Arg(2))
		}
		query.Set("weight", flags.Arg(2))
	default:
		return errors.New("backend: say list, drain NAME, ready NAME or weight NAME N")
	}
	body, err := flags.post("/backend?" + query.Encode())
	if err != nil {
		return err
	}
	_, err = stdout.Write(body)
	return err
}

func backendTable(rows []node.BackendRow) table {
	t := table{
		titles: []string{
			"ROUTER", "POOL", "BACKEND", "STATE", ">WEIGHT", ">ACTIVE", ">HITS",
			">FAILURES",
		},
		empty: "no backends",
	}
	for _, r := range rows {
		t.add(r.Router, r.Pool, r.Name, r.State, r.Weight, r.Active, r.Hits, r.Failures)
	}
	return t
}
