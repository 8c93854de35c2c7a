package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"reprise/config"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/sessions/store"
	"reprise/tlsconn"
)

// Forgotten is what POST /forget answers: how many sessions have been forgotten.
type Forgotten struct {
	Here   int            `json:"here"`
	Peers  map[string]int `json:"peers"`
	Silent []string       `json:"silent"` // nodes and stores that have not answered
}

// handleForget serves POST /forget on the admin server.
func (n *Node) handleForget(w http.ResponseWriter, r *http.Request) {
	what, hash, err := n.forgetTarget(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n.commands.RLock()
	defer n.commands.RUnlock()
	if n.succeeded.Load() {
		http.Error(w, "another process has taken over: repeat the request", http.StatusServiceUnavailable)
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

// forget puts a rule in force here and at all peers, writes it to all stores, and waits for them.
// It returns an error if this node ends meanwhile.
func (n *Node) forget(what sessions.Scope, hash uint64) (Forgotten, error) {
	result := Forgotten{Peers: map[string]int{}, Silent: []string{}}
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

// settle bounds how much too old a session may look to another node, which knows this one's clock
// only as well as the network and its own load allow. A session made after the command has returned
// must not look older than the command.
const settle = 250 * time.Millisecond

// storeTimeout is how long stores may take to write a rule.
const storeTimeout = 3 * time.Second

// silentStores has the rules written to stores and names those that fail.
func silentStores(stores []*store.Store) (silent []string) {
	failed := make([]chan error, len(stores))
	for i, st := range stores {
		failed[i] = make(chan error, 1)
		st.Sync(func(err error) { failed[i] <- err })
	}
	timeout := time.After(storeTimeout)
	for i, st := range stores {
		select {
		case err := <-failed[i]:
			if err == nil {
				continue
			}
		case <-timeout:
		}
		silent = append(silent, "session-store "+st.String())
	}
	return silent
}

func (n *Node) forgetTarget(q url.Values) (what sessions.Scope, hash uint64, err error) {
	if n.sessions == nil {
		return 0, 0, errors.New("this node keeps no sessions")
	}
	switch {
	case q.Get("sni") != "":
		what, hash, err = ForgetName(q.Get("sni"))
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

// ForgetName reads a server name as clients send it (RFC 6066, Section 3), or *.NAME for all names
// directly below one. A name that no client can have sent is an error: its rule would forget
// nothing and look like success.
func ForgetName(name string) (what sessions.Scope, hash uint64, err error) {
	host := strings.ToLower(strings.TrimSuffix(name, "."))
	parent, wildcard := strings.CutPrefix(host, "*.")
	if _, err := netip.ParseAddr(host); err == nil {
		return 0, 0,
			fmt.Errorf("%q: clients send no name for an IP address: use --listener or --all", name)
	}
	for label := range strings.SplitSeq(parent, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return 0, 0,
				fmt.Errorf(
					"%q is not a server name: write one such as www.example.com, *.example.com or xn--bcher-kva.example", name)
		}
	}
	if wildcard {
		return sessions.ForgetParent, tlsconn.ParentHash(parent), nil
	}
	return sessions.ForgetName, tlsconn.NameHash(host), nil
}
