package node

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"reprise/config"
	"reprise/engine"
	"reprise/internal/accesslog"
	"reprise/tlsconn"
)

// offered holds the TLS files of the listeners, by their place in the node's configuration; nil for
// one without TLS.
type offered []*tlsFiles

// readOffered reads the TLS files of all listeners.
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

// reloadOn reloads at each signal or command, until the node drains.
func (n *Node) reloadOn(signals <-chan os.Signal) {
	for {
		var done chan<- reloaded
		select {
		case <-n.draining:
			return
		case <-n.issued:
			n.changing.Lock()
			n.serveIssued()
			n.changing.Unlock()
			continue
		case done = <-n.asked:
		case <-signals:
		}
		n.changing.Lock()
		tellManager(daemon.SdNotifyReloading + "\nMONOTONIC_USEC=" + monotonic())
		result := n.reload()
		tellManager(daemon.SdNotifyReady)
		n.changing.Unlock()
		n.reloads.note(result.err, time.Now())
		if done != nil {
			done <- result
		}
	}
}

// reload reads the configuration again, with the files that it names, and takes it over. Existing
// connections go on. A certificate that cannot be used harms only itself; after any other error
// nothing changes: see prepare.
func (n *Node) reload() reloaded {
	if n.succeeded.Load() {
		return reloaded{err: errors.New("another process has taken over, and this one ends")}
	}
	c := n.now().config
	if n.reread != nil {
		var err error
		if c, err = n.reread(); err != nil {
			return reloaded{err: err}
		}
	}
	p, err := n.prepare(c)
	if err != nil {
		return reloaded{err: err}
	}
	return p.commit()
}

// A plan is a configuration with all that serving by it takes.
type plan struct {
	n       *Node
	config  *config.Config
	before  *service
	from    []int // the place that each listener had before, -1 if it is new
	files   offered
	refused []error
	revoked revocations
	secret  crypto.PublicKey
	rekey   []func()
	keys    *tlsconn.HandleKeys // nil without TLS
	pools   *poolChange
	access  *accesslog.Log // nil if there is none
	engine  *engine.Change
	token   []byte // of the admin server; nil for none
}

// prepare does the part of a reload that may fail and has no effect yet, so that commit cannot
// fail. Listeners are bound last, when everything else is ready.
func (n *Node) prepare(c *config.Config) (_ *plan, err error) {
	p := &plan{n: n, config: c, before: n.now(), access: n.accessLog.Load()}
	defer func() {
		if err != nil {
			clear(p.token)
		}
		if err != nil && p.access != n.accessLog.Load() && p.access != nil {
			p.access.Close()
		}
	}()
	if err = n.canTake(c); err != nil {
		return nil, err
	}
	undo, err := n.prepareNames(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	same := p.before.config.SameClients(c)
	if err = p.readCertificates(same); err != nil {
		return nil, err
	}
	raw, err := n.secretsAgain(p)
	if err != nil {
		return nil, err
	}
	defer wipe(raw)
	if p.rekey, err = n.prepareRekey(c, raw); err != nil {
		return nil, err
	}
	// A client admitted by the old policy must not reach backends for which more is asked now: then
	// no pool's members change, but all pools are made anew.
	if p.pools, err = n.preparePools(c, p.before, !same); err != nil {
		return nil, err
	}
	if len(c.Unusable) == 0 { // otherwise that names them, and where they are written
		p.refused = append(p.refused, p.pools.refused...)
	}
	if c.AccessLog != p.before.config.AccessLog {
		if p.access, err = newAccessLog(&c.AccessLog); err != nil {
			return nil, err
		}
	}
	if p.token, err = readToken(c); err != nil {
		return nil, err
	}
	if len(c.Listeners) == 0 {
		return p, nil
	}
	return p, p.prepareEngine(raw)
}

// prepareEngine makes the listeners and binds those that are new.
func (p *plan) prepareEngine(raw [][]byte) (err error) {
	if p.keys, err = handleKeys(raw); err != nil {
		return err
	}
	listeners, err := p.n.engineListeners(p.pools.next, p.files, p.keys)
	if err != nil {
		return err
	}
	p.engine, err = p.n.engine.Prepare(p.n.engineOptions(p.config, p.access), listeners)
	return err
}

// prepareNames asks for certificates of added names; removed ones stay until the commit. undo takes
// that back.
func (n *Node) prepareNames(c *config.Config) (undo func(), _ error) {
	if n.acme == nil {
		return func() {}, nil
	}
	was := n.now().config.ACME.Names
	undo = func() { _ = n.acme.SetNames(was) }
	return undo, n.acme.SetNames(union(was, c.ACME.Names))
}

// readCertificates reads the files of listeners; same says that clients are asked for what they
// were asked before.
func (p *plan) readCertificates(same bool) (err error) {
	n, c := p.n, p.config
	p.from = placesBefore(p.before.config, c)
	var unread []error
	p.revoked, unread = readRevocations(c, n.revoked)
	if p.files, p.refused, err = n.readAgain(c, p.from, newSources(p.revoked.prepared(), n.acme),
		unread); err != nil {
		return err
	}
	if len(p.refused) > 0 && (!same || p.asksLess()) {
		// The previous certificate would ask clients for what it asked before, and a new one that
		// is left out has its name served under the listener's policy.
		return fmt.Errorf(
			"%w: and the certificates that clients must show change, which takes either all files or none", errors.Join(p.refused...))
	}
	return nil
}

// asksLess reports whether some name asks less of clients than before.
func (p *plan) asksLess() bool {
	for i, files := range p.files {
		if at := p.from[i]; files != nil && at >= 0 && len(laxer(p.n.offered[at], files)) > 0 {
			return true
		}
	}
	return false
}

// commit puts the plan in force. No step of it fails.
func (p *plan) commit() reloaded {
	n := p.n
	n.logLevel.Set(p.config.LogLevel)
	n.access.SetToken(p.token)
	clear(p.token)
	tuneCollector(&p.config.Tuning, cachesLen(n.config))
	for _, rekey := range p.rekey {
		rekey()
	}
	p.pools.commit(p.config.Tuning.ResolveInterval)
	if n.subscriptions != nil {
		n.subscriptions.take(p.pools.next)
	} else {
		n.service.Store(p.pools.next)
	}
	if p.engine != nil {
		p.engine.Commit()
	}
	if old := n.accessLog.Swap(p.access); old != nil && old != p.access {
		old.Close()
	}
	was := n.offered
	n.offered, n.revoked, n.secret, n.keys = p.files, p.revoked, p.secret, p.keys
	if n.acme != nil {
		_ = n.acme.SetNames(p.config.ACME.Names) // names are only removed, which does not fail
	}
	n.setExpiry()
	if w := n.watch.Load(); w != nil {
		w.follow(p.config.ReloadDirs())
	}
	return reloaded{did: p.tell(was), refused: p.refused}
}

// handleKeys makes those of the fleet's secrets; nil for a node without TLS.
func handleKeys(raw [][]byte) (*tlsconn.HandleKeys, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	return tlsconn.NewHandleKeys(raw...)
}

// union returns all of a, then those of b that a lacks.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// canTake returns an error if c takes a restart.
func (n *Node) canTake(c *config.Config) error {
	switch {
	case (len(c.Listeners) == 0) != (len(n.config.Listeners) == 0):
		return errors.New(
			"a repeater does not become a node that serves clients, nor the other way round: restart")
	case !c.Application.IsZero() && n.app == nil:
		return fmt.Errorf("%s: to run an application takes a restart",
			applicationName(&c.Application))
	}
	return nil
}

// readAgain reads the TLS files of the listeners of c. A file that cannot be read harms only itself
// where a listener existed before, at its place then.
func (n *Node) readAgain(c *config.Config, places []int, from sources,
	unread []error,
) (fresh offered, refused []error, err error) {
	for _, u := range c.Unusable {
		refused = append(refused, u.Err)
	}
	told := len(refused) > 0
	if !told {
		refused = unread
	}
	fresh = make(offered, len(c.Listeners))
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.TLS == nil {
			continue
		}
		var old *tlsFiles
		if places[i] >= 0 {
			old = n.offered[places[i]]
		}
		var failed []error
		if fresh[i], failed, err = readTLS(l.TLS, from, old, c.Unusable); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", l.Source, errors.Join(append(refused, err)...))
		}
		if !told { // c.Unusable names the failed file, and where it is written
			for _, err := range failed {
				refused = appendOnce(refused, err)
			}
		}
	}
	return fresh, refused, nil
}

// appendOnce appends err unless list has the same text: listeners share files.
func appendOnce(list []error, err error) []error {
	if slices.ContainsFunc(list, func(said error) bool { return said.Error() == err.Error() }) {
		return list
	}
	return append(list, err)
}

// placesBefore returns the place of each listener of now in before, -1 for a new one.
func placesBefore(before, now *config.Config) []int {
	type key struct {
		router  config.Router
		address config.Address
		tls     bool
	}
	keyOf := func(l *config.Listener) key { return key{l.Router, l.Addr, l.TLS != nil} }
	byKey := make(map[key][]int) // several may leave their port to the kernel
	for i := range before.Listeners {
		k := keyOf(&before.Listeners[i])
		byKey[k] = append(byKey[k], i)
	}
	places := make([]int, len(now.Listeners))
	for i := range now.Listeners {
		places[i] = -1
		if k := keyOf(&now.Listeners[i]); len(byKey[k]) > 0 {
			places[i], byKey[k] = byKey[k][0], byKey[k][1:]
		}
	}
	return places
}

// secretsAgain returns the cluster's secrets. A secret derived from a listener's key is derived
// from the same key as before, wherever that stands now, so that sessions and peers stay.
func (n *Node) secretsAgain(p *plan) ([][]byte, error) {
	files := p.files
	if first := files.first(); len(p.config.ClusterSecretFiles) == 0 && first != nil {
		p.secret = first.public()
		for _, f := range files {
			for _, o := range f.all() {
				if o.isOf(n.secret) && !first.isOf(n.secret) {
					slog.Warn(
						"the secret of the fleet still comes from the key that was the first one: after a restart it would be another, unless there is a cluster-secret-file",
						"key", o.KeyFile, "first", first.KeyFile)
					p.secret, files = n.secret, offered{{offers: []offer{o}}}
					return secrets(nil, files)
				}
			}
		}
	}
	return secrets(p.config.ClusterSecretFiles, files)
}

// first returns the certificate whose key makes the secret if no file does, nil for none.
func (o offered) first() *offer {
	i := slices.IndexFunc(o, func(f *tlsFiles) bool { return f != nil })
	if i < 0 {
		return nil
	}
	return &o[i].offers[0]
}

func (o *offer) public() crypto.PublicKey { return o.read.TLS.Leaf.PublicKey }

// isOf reports whether the certificate has a key.
func (o *offer) isOf(key crypto.PublicKey) bool {
	a, errA := x509.MarshalPKIXPublicKey(key)
	b, errB := x509.MarshalPKIXPublicKey(o.public())
	return key != nil && errA == nil && errB == nil && bytes.Equal(a, b)
}

// prepareRekey returns functions that give the fleet's secrets to everything that shares sessions.
func (n *Node) prepareRekey(c *config.Config, raw [][]byte) (rekey []func(), err error) {
	datagram, err := datagramSecrets(raw)
	if err != nil {
		return nil, err
	}
	for _, st := range n.stores {
		f, err := st.PrepareRekey(raw)
		if err != nil {
			return nil, err
		}
		rekey = append(rekey, f)
	}
	if n.poller != nil {
		if len(datagram) == 0 {
			return nil,
				errors.New(
					"without a listener with TLS there is no secret for the fleet: add a cluster-secret-file")
		}
		rekey = append(rekey, func() { n.poller.Rekey(datagram) })
	}
	if len(n.repeaters) == 0 {
		return rekey, nil
	}
	keys, err := repeaterKeys(c, raw)
	if err != nil {
		return nil, err
	}
	defer wipe(keys)
	for _, r := range n.repeaters {
		f, err := r.PrepareRekey(keys)
		if err != nil {
			return nil, err
		}
		rekey = append(rekey, f)
	}
	return rekey, nil
}
