package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"reprise/config"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/sessions/store"
	"reprise/tlsconn"
)

const forgetUsage = `Make every node forget sessions, so that their clients need full handshakes.

  reprise forget --sni NAME        those made for a server name, or with *.NAME for all names directly below it
  reprise forget --listener ADDR   those of the listener's session context
  reprise forget --all

It waits for every node that was there within the last ssl-sessions-timeout, and
for every session-store. If one does not answer it names it and exits with 1; such
a node obeys when it returns, before it serves a session of others.

`

// forget tells a node, by its admin server, to forget sessions.
func forget(args []string, stdout io.Writer) error {
	flags := pflag.NewFlagSet("forget", pflag.ContinueOnError)
	flags.Usage = func() {}
	admin := flags.String("admin", "127.0.0.1:9090", "admin address of a node of the fleet, host:port or /unix/path")
	sni := flags.String("sni", "", "server name, as clients send it, or *.NAME")
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
	if *sni != "" {
		if _, _, err := forgetName(*sni); err != nil {
			return fmt.Errorf("forget: --sni %w", err)
		}
	}
	body, err := askAdmin("forget", *admin, "/forget?"+query.Encode())
	if err != nil {
		return err
	}
	var result forgetResult
	if err := json.Unmarshal(body, &result); err != nil {
		return runtimeError{fmt.Errorf("forget: %w", err)}
	}
	return result.print(stdout)
}

// forgetResult is what POST /forget answers.
type forgetResult struct {
	Here   int            `json:"here"`
	Peers  map[string]int `json:"peers"`
	Silent []string       `json:"silent"` // nodes and stores that have not answered
}

func (r *forgetResult) print(stdout io.Writer) error {
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
		return runtimeError{fmt.Errorf("forget: no answer from %s: such a session may be resumed there until it is heard of again",
			strings.Join(r.Silent, ", "))}
	}
	return nil
}

// handleForget serves POST /forget on the admin server.
func (n *node) handleForget(w http.ResponseWriter, r *http.Request) {
	what, hash, err := n.forgetTarget(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.commands.RLock()
	defer n.commands.RUnlock()
	if n.succeeded.Load() {
		http.Error(w, "another process has taken over: say it again", http.StatusServiceUnavailable)
		return
	}
	result, err := n.forget(what, hash)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(result)
}

// forget puts a rule in force here and at all peers, writes it to all stores, and
// waits for them. It is an error if this node ends meanwhile.
func (n *node) forget(what sessions.Scope, hash uint64) (forgetResult, error) {
	result := forgetResult{Peers: map[string]int{}, Silent: []string{}}
	if n.poller != nil {
		f, err := n.poller.Forget(replicate.ForgetScope(what), hash)
		if err != nil {
			return result, err
		}
		result.Here = f.Here
		maps.Copy(result.Peers, f.Dropped)
		result.Silent = append(result.Silent, f.Silent...)
		time.Sleep(settle)
	} else {
		here := make(chan int, 1)
		n.sessions.AddRule(n.sessions.NewRule(what, hash), func(dropped int) { here <- dropped })
		result.Here = <-here
	}
	result.Silent = append(result.Silent, silentStores(n.stores)...)
	return result, nil
}

// settle is how much older than it is a session may look to another node, which
// knows this one's clock only as well as the network and its own load let it. What is
// made after the command has returned must not look older than the command.
const settle = 250 * time.Millisecond

// storePatience is how long stores may take to write a rule down.
const storePatience = 3 * time.Second

// silentStores has the rules written to stores and names those that fail.
func silentStores(stores []*store.Store) (silent []string) {
	failed := make([]chan error, len(stores))
	for i, st := range stores {
		failed[i] = make(chan error, 1)
		st.Sync(func(err error) { failed[i] <- err })
	}
	patience := time.After(storePatience)
	for i, st := range stores {
		select {
		case err := <-failed[i]:
			if err == nil {
				continue
			}
		case <-patience:
		}
		silent = append(silent, "session-store "+st.String())
	}
	return silent
}

func (n *node) forgetTarget(q url.Values) (what sessions.Scope, hash uint64, err error) {
	if n.sessions == nil {
		return 0, 0, errors.New("this node keeps no sessions")
	}
	switch {
	case q.Get("sni") != "":
		what, hash, err = forgetName(q.Get("sni"))
		return what, hash, err
	case q.Get("listener") != "":
		addr, err := config.ParseAddress(q.Get("listener"))
		if err != nil {
			return 0, 0, err
		}
		for _, l := range n.now().config.Listeners {
			if l.Addr == addr && l.TLS != nil {
				return sessions.ForgetContext, tlsconn.ContextHash(l.TLS.SessionContext), nil
			}
		}
		return 0, 0, fmt.Errorf("no listener %s: name it as it is configured", addr)
	case q.Get("all") == "true":
		return sessions.ForgetAll, 0, nil
	}
	return 0, 0, errors.New("say one of sni, listener and all")
}

// forgetName reads a server name as clients send it (RFC 6066, Section 3), or *.NAME
// for all names directly below one. What no client can have sent is an error: such a
// rule would forget nothing and look like success.
func forgetName(name string) (what sessions.Scope, hash uint64, err error) {
	host := strings.ToLower(strings.TrimSuffix(name, "."))
	parent, wildcard := strings.CutPrefix(host, "*.")
	if _, err := netip.ParseAddr(host); err == nil {
		return 0, 0, fmt.Errorf("%q: clients send no name for an IP address: use --listener or --all", name)
	}
	for label := range strings.SplitSeq(parent, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return 0, 0, fmt.Errorf("%q is no server name: write one such as www.example.com, *.example.com or xn--bcher-kva.example", name)
		}
	}
	if wildcard {
		return sessions.ForgetParent, tlsconn.ParentHash(parent), nil
	}
	return sessions.ForgetName, tlsconn.NameHash(host), nil
}
