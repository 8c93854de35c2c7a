package node

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

// maxWeight is the largest that a backend may have.
const maxWeight = 1 << 16

// handleBackend serves POST /backend on the admin server: name is a backend's, state
// "drain" or "ready", or weight its share beside the others.
func (n *Node) handleBackend(w http.ResponseWriter, r *http.Request) {
	name, state := r.URL.Query().Get("name"), r.URL.Query().Get("state")
	weight, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("weight"), "0"))
	switch {
	case err != nil || weight < 0 || weight > maxWeight:
		http.Error(w, fmt.Sprintf("weight must be 1 to %d", maxWeight), http.StatusBadRequest)
		return
	case weight == 0 && state != "drain" && state != "ready":
		http.Error(w, "state must be drain or ready", http.StatusBadRequest)
		return
	}
	found := n.backendsNamed(name)
	if len(found) == 0 {
		text := fmt.Sprintf("no backend %q: name it as it is configured, or by its address", name)
		http.Error(w, text, http.StatusNotFound)
		return
	}
	for _, b := range found {
		if weight > 0 {
			b.SetWeight(weight)
		} else {
			b.SetDraining(state == "drain")
		}
	}
	if weight > 0 {
		state = fmt.Sprintf("weight %d, until the next reload", weight)
	}
	slog.Info("backend changed", "backend", found[0].Name(), "to", state)
	fmt.Fprintf(w, "%s: %s\n", found[0].Name(), state)
}

// reloaded is the result of a reload.
type reloaded struct {
	did     string  // in a few words, with what needs a restart
	refused []error // files that were not taken over: the previous ones stay in force
	err     error   // why nothing was taken over
}

// handleReload serves POST /reload on the admin server: 200 if all was taken over, 422 if
// something was not.
func (n *Node) handleReload(w http.ResponseWriter, r *http.Request) {
	done := make(chan reloaded, 1)
	select {
	case n.asked <- done:
	case <-n.draining:
		http.Error(w, "the node is ending: it no longer reloads", http.StatusServiceUnavailable)
		return
	case <-r.Context().Done():
		return
	}
	switch result := <-done; {
	case result.err != nil:
		http.Error(w, "not reloaded, all goes on as before: "+result.err.Error(),
			http.StatusUnprocessableEntity)
	case len(result.refused) > 0:
		lines := []string{result.did}
		for _, err := range result.refused {
			lines = append(lines, "not taken, the previous one stays in force: "+err.Error())
		}
		http.Error(w, strings.Join(lines, "\n"), http.StatusUnprocessableEntity)
	default:
		fmt.Fprintln(w, result.did)
	}
}
