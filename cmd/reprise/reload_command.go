package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/pflag"
)

const reloadUsage = `Take over what has changed in the configuration and its files, as SIGHUP does, and say what came of it.

  reprise reload

Clients are served meanwhile. If anything is wrong, nothing is taken over, the reason is
printed and the exit status is 2.

`

// reloadCommand tells a node, by its admin server, to reload, and waits for what comes of it.
func reloadCommand(args []string, stdout io.Writer) error {
	flags := pflag.NewFlagSet("reload", pflag.ContinueOnError)
	flags.Usage = func() {}
	admin := flags.String("admin", "127.0.0.1:9090", "admin address of the node, host:port or /unix/path")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			fmt.Fprint(stdout, reloadUsage+flags.FlagUsages())
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return errors.New("reload: it takes no arguments: --admin ADDR names the node, which knows its files")
	}
	body, err := askAdmin("reload", *admin, "/reload")
	if refusal, ok := errors.AsType[refusedError](err); ok {
		return errors.New(refusal.text) // the configuration's fault
	}
	if err != nil {
		return err
	}
	_, err = stdout.Write(body)
	return err
}

// reloaded is what has come of a reload.
type reloaded struct {
	did     string  // in a few words, with what needs a restart
	refused []error // files that are not taken, in whose place what was in force goes on
	err     error   // why nothing was taken over
}

// handleReload serves POST /reload on the admin server: 200 if all was taken over, 422 if
// something was not.
func (n *node) handleReload(w http.ResponseWriter, r *http.Request) {
	done := make(chan reloaded, 1)
	select {
	case n.asked <- done:
	case <-n.draining:
		http.Error(w, "the node ends: it does not reload any more", http.StatusServiceUnavailable)
		return
	case <-r.Context().Done():
		return
	}
	switch result := <-done; {
	case result.err != nil:
		http.Error(w, "not reloaded, all goes on as before: "+result.err.Error(), http.StatusUnprocessableEntity)
	case len(result.refused) > 0:
		lines := []string{result.did}
		for _, err := range result.refused {
			lines = append(lines, "not taken, what was in force in its place goes on: "+err.Error())
		}
		http.Error(w, strings.Join(lines, "\n"), http.StatusUnprocessableEntity)
	default:
		fmt.Fprintln(w, result.did)
	}
}
