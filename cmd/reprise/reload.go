package main

import (
	"log/slog"
	"os"
	"time"

	"reprise/tlsconn"
)

// reloadOn reloads whenever a signal says so, until the node drains.
func (n *node) reloadOn(signals <-chan os.Signal) {
	for {
		select {
		case <-n.draining:
			return
		case <-signals:
		}
		if err := n.reload(); err != nil {
			slog.Error("not reloaded, all goes on as before", "error", err)
		} else {
			slog.Info("reloaded certificates, keys, client CAs and secrets")
		}
	}
}

// reload reads again the files that the configuration names, but not the
// configuration: certificates and keys, client CAs, secrets. Connections that
// exist are not touched. An error changes nothing.
func (n *node) reload() error {
	raw, err := secrets(n.config)
	if err != nil {
		return err
	}
	defer wipe(raw)
	servers := make(map[int]func(func() time.Time) (tlsconn.Server, error)) // by listener
	if len(raw) > 0 {
		keys, err := tlsconn.NewHandleKeys(raw...)
		if err != nil {
			return err
		}
		for i := range n.config.Listeners {
			if n.config.Listeners[i].TLS == nil {
				continue
			}
			if servers[i], err = n.tlsServers(&n.config.Listeners[i], keys); err != nil {
				return err
			}
			if _, err := servers[i](time.Now); err != nil {
				return err
			}
		}
	}
	datagram, err := datagramSecrets(raw)
	if err != nil {
		return err
	}
	var repeater [][]byte
	if len(n.repeaters) > 0 {
		if repeater, err = repeaterKeys(n.config, raw); err != nil {
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
	return nil
}
