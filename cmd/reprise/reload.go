package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"reprise/config"
	"reprise/tlsconn"
)

// offered is what the listeners offer, by their place in the node's configuration; nil
// for one without TLS.
type offered []*tlsFiles

// readOffered reads what all listeners offer.
func readOffered(c *config.Config, from sources) (offered, error) {
	all := make(offered, len(c.Listeners))
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.TLS == nil {
			continue
		}
		var err error
		if all[i], _, err = readTLS(l.TLS, from, nil, nil); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Source, err)
		}
	}
	return all, nil
}

// reloadOn reloads whenever a signal says so, until the node drains.
func (n *node) reloadOn(signals <-chan os.Signal) {
	for {
		select {
		case <-n.draining:
			return
		case <-n.issued:
			n.changing.Lock()
			n.serveIssued()
			n.changing.Unlock()
			continue
		case <-signals:
		}
		n.changing.Lock()
		n.reloads.note(n.reload(), time.Now())
		n.changing.Unlock()
	}
}

// reload reads the configuration again, with the files that it names, and serves the
// certificates, keys, client policies and secrets that it finds. All else needs a
// restart, and a warning says what has changed there. Connections that exist are not
// touched. A certificate that cannot be used harms only itself; any other error changes
// nothing.
func (n *node) reload() error {
	c := n.config
	if n.reread != nil {
		var err error
		if c, err = n.reread(); err != nil {
			return err
		}
		if err = n.config.CheckNames(c); err != nil {
			return err
		}
	}
	listeners := n.listenersIn(c)
	if n.acme != nil {
		if err := n.acme.SetNames(c.ACME.Names); err != nil {
			return err
		}
	}
	revoked, unread := readRevocations(c, n.revoked)
	fresh, refused, err := n.readAgain(listeners, sources{revoked.prepared(), n.acme}, unread, c.Unusable)
	if err != nil {
		return err
	}
	raw, err := secrets(c.ClusterSecretFiles, fresh)
	if err != nil {
		return err
	}
	defer wipe(raw)
	keys, err := handleKeys(raw)
	if err != nil {
		return err
	}
	servers, err := n.serversOf(listeners, fresh, keys)
	if err != nil {
		return err
	}
	datagram, err := datagramSecrets(raw)
	if err != nil {
		return err
	}
	var repeater [][]byte
	if len(n.repeaters) > 0 {
		if repeater, err = repeaterKeys(c, raw); err != nil {
			return err
		}
		defer wipe(repeater)
	}

	for _, st := range n.stores {
		if err := st.Rekey(raw); err != nil {
			return err
		}
	}
	for i, s := range servers {
		if err := n.engine.Renew(i, s); err != nil {
			return err
		}
	}
	if n.poller != nil {
		n.poller.Rekey(datagram)
	}
	for _, r := range n.repeaters {
		if err := r.Rekey(repeater); err != nil {
			return err
		}
	}
	n.tell(c, fresh, refused)
	n.expiry.set(n.config, fresh, revoked, time.Now())
	n.offered, n.revoked, n.current, n.keys = fresh, revoked, listeners, keys
	if w := n.watch.Load(); w != nil {
		w.follow(c.ReloadDirs())
	}
	return nil
}

// readAgain reads what the listeners of this node offer by c now.
func (n *node) readAgain(listeners []*config.Listener, from sources, unread []error, gone []config.Unusable) (fresh offered, refused []error, err error) {
	for _, u := range gone {
		refused = append(refused, u.Err)
	}
	told := len(refused) > 0
	if !told {
		refused = unread
	}
	fresh = make(offered, len(listeners))
	for i, l := range listeners {
		if l.TLS == nil {
			continue
		}
		var failed []error
		if fresh[i], failed, err = readTLS(l.TLS, from, n.offered[i], gone); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", l.Source, errors.Join(append(refused, err)...))
		}
		if !told { // gone names what has failed, and where it is written
			refused = append(refused, failed...)
		}
	}
	return fresh, refused, nil
}

// listenersIn returns this node's listeners as they are in another configuration, by
// their place in its own. One that is not there stays as it is: to take it away needs a
// restart.
func (n *node) listenersIn(c *config.Config) []*config.Listener {
	type key struct {
		router  config.Router
		address config.Address
		tls     bool
	}
	keyOf := func(l *config.Listener) key { return key{l.Router, l.Addr, l.TLS != nil} }
	byKey := make(map[key][]*config.Listener) // several may leave their port to the kernel
	for i := range c.Listeners {
		k := keyOf(&c.Listeners[i])
		byKey[k] = append(byKey[k], &c.Listeners[i])
	}
	list := make([]*config.Listener, len(n.config.Listeners))
	for i := range n.config.Listeners {
		list[i] = &n.config.Listeners[i]
		if k := keyOf(list[i]); len(byKey[k]) > 0 {
			list[i], byKey[k] = byKey[k][0], byKey[k][1:]
		}
	}
	return list
}

// handleKeys makes those of the fleet's secrets; nil for a node without TLS.
func handleKeys(raw [][]byte) (*tlsconn.HandleKeys, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	return tlsconn.NewHandleKeys(raw...)
}

// serversOf makes what the engine needs of each listener, by its place, and tries it.
func (n *node) serversOf(listeners []*config.Listener, fresh offered, keys *tlsconn.HandleKeys) (map[int]func(func() time.Time) (tlsconn.Server, error), error) {
	servers := make(map[int]func(func() time.Time) (tlsconn.Server, error))
	for i, l := range listeners {
		if l.TLS == nil {
			continue
		}
		var err error
		if servers[i], err = n.tlsServers(l, fresh[i], keys); err != nil {
			return nil, err
		}
		s, err := servers[i](time.Now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Source, err)
		}
		s.Close()
	}
	return servers, nil
}

// tell says what a reload has led to.
func (n *node) tell(c *config.Config, fresh offered, refused []error) {
	for _, w := range c.Warnings {
		slog.Warn(w)
	}
	for _, err := range refused {
		slog.Error("a file is not taken, what was in force in its place goes on", "error", err)
	}
	if c != n.config {
		for _, what := range n.config.NeedsRestart(c) {
			slog.Warn("changed in the configuration, but needs a restart", "option", what)
		}
	}
	var sum changes
	for i, files := range fresh {
		if files == nil {
			continue
		}
		sum.count(n.offered[i], files)
		for _, file := range files.lost {
			slog.Warn("a client CA is gone, and clients are still asked for a certificate by it: restart if that is to end", "file", file)
		}
		for _, name := range laxer(n.offered[i], files) {
			slog.Warn("clients are asked for a certificate less strictly than before, or not at all", "listener", n.config.Listeners[i].Addr.String(), "name", name)
		}
	}
	slog.Info("reloaded certificates, keys, client CAs, revocation lists and secrets",
		"added", sum.Added, "renewed", sum.Renewed, "removed", sum.Removed, "kept", sum.Kept, "refused", len(refused))
}
