package node

import (
	"fmt"
	"net/http"
	"strings"
)

// handleBackend serves POST /backend on the admin server: name is a backend's,
// state "drain" or "ready".
func (n *Node) handleBackend(w http.ResponseWriter, r *http.Request) {
	name, state := r.URL.Query().Get("name"), r.URL.Query().Get("state")
	if state != "drain" && state != "ready" {
		http.Error(w, "state must be drain or ready", http.StatusBadRequest)
		return
	}
	found := 0
	for _, p := range n.allPools() {
		for _, node := range p.Nodes() {
			if node.Name() == name {
				node.SetDraining(state == "drain")
				found++
			}
		}
	}
	if found == 0 {
		http.Error(w, fmt.Sprintf("no backend %q: name it as it is configured", name), http.StatusNotFound)
		return
	}
	fmt.Fprintf(w, "%s: %s\n", name, state)
}

// reloaded is what has come of a reload.
type reloaded struct {
	did     string  // in a few words, with what needs a restart
	refused []error // files that are not taken, in whose place what was in force goes on
	err     error   // why nothing was taken over
}

// handleReload serves POST /reload on the admin server: 200 if all was taken over, 422 if
// something was not.
func (n *Node) handleReload(w http.ResponseWriter, r *http.Request) {
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
