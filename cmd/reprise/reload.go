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

// offered is what each listener with TLS offers, by its router and address.
type offered map[string]*tlsFiles

// listenerKey is what a listener is known by when the configuration is read again.
func listenerKey(l *config.Listener) string { return l.Router.String() + " " + l.Addr.String() }

func (o offered) files(l *config.Listener) *tlsFiles { return o[listenerKey(l)] }

// readOffered reads what all listeners offer.
func readOffered(c *config.Config) (offered, error) {
	all := make(offered)
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.TLS == nil {
			continue
		}
		files, _, err := readTLS(l.TLS, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Source, err)
		}
		all[listenerKey(l)] = files
	}
	return all, nil
}

// reloadOn reloads whenever a signal says so, until the node drains.
func (n *node) reloadOn(signals <-chan os.Signal) {
	for {
		select {
		case <-n.draining:
			return
		case <-signals:
		}
		n.reloads.note(n.reload(), time.Now())
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
	}
	fresh, refused, err := n.readAgain(c)
	if err != nil {
		return err
	}
	raw, err := secrets(c, fresh)
	if err != nil {
		return err
	}
	defer wipe(raw)
	servers, err := n.serversOf(c, fresh, raw)
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
	n.expiry.set(fresh, time.Now())
	n.offered = fresh
	return nil
}

// readAgain reads what the listeners of this node offer by c now.
func (n *node) readAgain(c *config.Config) (fresh offered, refused []error, err error) {
	fresh = make(offered)
	for _, u := range c.Unusable {
		refused = append(refused, u.Err)
	}
	told := len(refused) > 0
	for i := range n.config.Listeners {
		l := listenerIn(c, &n.config.Listeners[i])
		if l == nil {
			l = &n.config.Listeners[i] // taken away: that needs a restart
		}
		if l.TLS == nil {
			continue
		}
		files, failed, err := readTLS(l.TLS, n.offered.files(l), c.Unusable)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", l.Source, errors.Join(append(refused, err)...))
		}
		if !told { // they name the place of what has failed, too
			refused = append(refused, failed...)
		}
		fresh[listenerKey(l)] = files
	}
	return fresh, refused, nil
}

// listenerIn finds a listener in another configuration; nil if it is not there.
func listenerIn(c *config.Config, l *config.Listener) *config.Listener {
	for i := range c.Listeners {
		if other := &c.Listeners[i]; listenerKey(other) == listenerKey(l) && (other.TLS == nil) == (l.TLS == nil) {
			return other
		}
	}
	return nil
}

// serversOf makes what the engine needs of each listener, by its place, and tries it.
func (n *node) serversOf(c *config.Config, fresh offered, raw [][]byte) (map[int]func(func() time.Time) (tlsconn.Server, error), error) {
	servers := make(map[int]func(func() time.Time) (tlsconn.Server, error))
	if len(raw) == 0 {
		return servers, nil
	}
	keys, err := tlsconn.NewHandleKeys(raw...)
	if err != nil {
		return nil, err
	}
	for i := range n.config.Listeners {
		l := &n.config.Listeners[i]
		if l.TLS == nil {
			continue
		}
		if now := listenerIn(c, l); now != nil {
			l = now
		}
		if servers[i], err = n.tlsServers(l, fresh.files(l), keys); err != nil {
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
		slog.Error("a certificate is not taken, what was served in its place goes on", "error", err)
	}
	if c != n.config {
		for _, what := range n.config.NeedsRestart(c) {
			slog.Warn("changed in the configuration, but needs a restart", "option", what)
		}
	}
	var sum changes
	for key, files := range fresh {
		sum.count(n.offered[key], files)
	}
	slog.Info("reloaded certificates, keys, client CAs and secrets",
		"added", sum.Added, "renewed", sum.Renewed, "removed", sum.Removed, "kept", sum.Kept, "refused", len(refused))
}
