package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/pflag"

	"reprise/config"
	"reprise/replicate"
	"reprise/tlsconn"
)

const forgetUsage = `Make every live node forget sessions, so that their clients need full handshakes.

  reprise forget --sni NAME        those made for a server name
  reprise forget --listener ADDR   those of the listener's session context
  reprise forget --all

`

// forget tells a node, by its admin server, to forget sessions.
func forget(args []string, stdout io.Writer) error {
	flags := pflag.NewFlagSet("forget", pflag.ContinueOnError)
	flags.Usage = func() {}
	admin := flags.String("admin", "127.0.0.1:9090", "admin address of a node of the fleet, host:port or /unix/path")
	sni := flags.String("sni", "", "server name")
	listener := flags.String("listener", "", "address of a listener, as configured")
	all := flags.Bool("all", false, "all sessions")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			fmt.Fprint(stdout, forgetUsage+flags.FlagUsages())
			return nil
		}
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
	body, err := askAdmin("forget", *admin, "/forget?"+query.Encode())
	if err != nil {
		return err
	}
	var result forgetResult
	if err := json.Unmarshal(body, &result); err != nil {
		return runtimeError{fmt.Errorf("forget: %w", err)}
	}
	fmt.Fprintf(stdout, "forgotten here: %d\n", result.Here)
	for id, dropped := range result.Peers {
		fmt.Fprintf(stdout, "forgotten at %s: %d\n", id, dropped)
	}
	if len(result.Silent) > 0 {
		return runtimeError{fmt.Errorf("forget: no answer from %s", strings.Join(result.Silent, ", "))}
	}
	return nil
}

// forgetResult is what POST /forget answers.
type forgetResult struct {
	Here   int            `json:"here"`
	Peers  map[string]int `json:"peers"`
	Silent []string       `json:"silent"` // live nodes that have not answered
}

// handleForget serves POST /forget on the admin server.
func (n *node) handleForget(w http.ResponseWriter, r *http.Request) {
	what, hash, err := n.forgetTarget(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result := forgetResult{Peers: map[string]int{}, Silent: []string{}}
	if n.poller != nil {
		f := n.poller.Forget(what, hash)
		result.Here = f.Here
		for name, dropped := range f.Dropped {
			result.Peers[name] = dropped
		}
		result.Silent = append(result.Silent, f.Silent...)
	} else {
		here := make(chan int, 1)
		rule := replicate.Rule{What: what, Hash: hash, Left: n.sessions.lifetime}
		n.sessions.AddRule(rule, func(dropped int) { here <- dropped })
		result.Here = <-here
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(result)
}

func (n *node) forgetTarget(q url.Values) (what replicate.ForgetScope, hash uint64, err error) {
	if n.sessions == nil {
		return 0, 0, errors.New("this node keeps no sessions")
	}
	switch {
	case q.Get("sni") != "":
		return replicate.ForgetName, tlsconn.NameHash(q.Get("sni")), nil
	case q.Get("listener") != "":
		addr, err := config.ParseAddress(q.Get("listener"))
		if err != nil {
			return 0, 0, err
		}
		for _, l := range n.config.Listeners {
			if l.Addr == addr && l.TLS != nil {
				return replicate.ForgetContext, tlsconn.ContextHash(l.TLS.SessionContext), nil
			}
		}
		return 0, 0, fmt.Errorf("no listener %s: name it as it is configured", addr)
	case q.Get("all") == "true":
		return replicate.ForgetAll, 0, nil
	}
	return 0, 0, errors.New("say one of sni, listener and all")
}
