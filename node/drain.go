package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// handleDrain serves POST /drain on the admin server.
func (n *Node) handleDrain(w http.ResponseWriter, _ *http.Request) {
	n.forGood.Store(true)
	select {
	case n.endings <- "drain":
	default: // it is draining already
	}
	t := &n.now().config.Tuning
	fmt.Fprintf(w, "draining: accepting for %v, then waiting for connections for at most %v\n",
		t.ShutdownDelay, t.DrainTimeout)
}

// Drain asks clients to go elsewhere while it accepts as before, then stops accepting and
// waits for flows to end. It returns how many have not. Where a service manager keeps
// descriptors for the next process, clients wait for that instead of being refused.
func (n *Node) Drain(ctx context.Context) int64 {
	close(n.draining)
	n.changing.Lock() // a successor that is not ready by now never will be
	defer n.changing.Unlock()
	last := !n.succeeded.Load()
	if last {
		tellManager(daemon.SdNotifyStopping)
	}
	if !last {
		n.awaitClients(ctx)
	}
	if delay := n.now().config.Tuning.ShutdownDelay; delay > 0 && last {
		n.engine.Leave()
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
	stored := last && !n.forGood.Load() && managerStores() && n.storeSockets()
	if stored {
		n.engine.Hold()
		n.engine.GiveUp()
		for _, s := range n.httpServers() {
			s.LeavePath()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, n.now().config.Tuning.DrainTimeout)
	defer cancel()
	_ = n.engine.Drain(ctx) // an error means that some are left
	if stored {
		n.storeEstate()
	}
	return n.engine.Stats().Flows.Open.Load()
}

// awaitClients gives clients of a process that has been succeeded time to leave by themselves, with
// their next response: a client must not find a connection closed that it is just using.
func (n *Node) awaitClients(ctx context.Context) {
	n.engine.Leave()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(min(maxLeave,
		n.now().config.Tuning.DrainTimeout)); time.Now().Before(end); {
		if n.engine.Stats().Flows.Open.Load() == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// maxLeave is how long a client may take until its next request.
const maxLeave = 5 * time.Second

// maxJoin is how long a node that has just started is not ready because it has yet to hear of its
// peers: it may be the first.
const maxJoin = 5 * time.Second

// ready tells a balancer in front whether to send clients. A node without a live backend in any
// pool can serve no client; pools=all asks whether it can serve all.
func (n *Node) ready(r *http.Request) error {
	return n.unready(r.URL.Query().Get("pools") == "all")
}

// unready returns why the node wants no traffic, or cannot serve all its pools.
func (n *Node) unready(all bool) error {
	select {
	case <-n.draining:
		return errors.New("draining")
	default:
	}
	now := time.Now()
	switch served := n.served.Load(); {
	case served == 0:
		return errors.New("starting")
	case n.poller != nil && n.in.estate == nil && !n.poller.Joined() &&
		now.Sub(time.Unix(0, served)) < maxJoin:
		return errors.New("joining")
	}
	var dead []string
	pools := n.allPools()
	for _, p := range pools {
		if !p.Live(now) {
			dead = append(dead, p.router.String()+" "+p.name())
		}
	}
	if len(dead) > 0 && (len(dead) == len(pools) || all) {
		return errors.New("no live backend: " + strings.Join(dead, ", "))
	}
	return nil
}
