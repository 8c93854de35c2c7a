package node

import (
	"fmt"
	"log/slog"
	"strings"

	"reprise/backend"
)

// tell logs the result of a reload, and returns it in a few words. was is the previous offer.
func (p *plan) tell(was offered) string {
	for _, w := range p.config.Warnings {
		slog.Warn(w)
	}
	for _, err := range p.refused {
		slog.Error("a file is not taken, the previous one stays in force", "error", err)
	}
	restart := p.n.config.NeedsRestart(p.config)
	for _, what := range restart {
		slog.Warn("changed in the configuration, but needs a restart", "option", what)
	}
	sum := p.certificates(was)
	listeners, pools, options := p.listeners(), p.backends(),
		strings.Join(p.before.config.Changed(p.config), " ")
	attrs := []any{
		"added", sum.Added, "renewed", sum.Renewed, "removed", sum.Removed, "kept",
		sum.Kept, "refused", len(p.refused),
	}
	words := []string{
		fmt.Sprintf("reloaded: certificates %d added, %d renewed, %d removed, %d kept, %d refused",
			sum.Added, sum.Renewed, sum.Removed, sum.Kept, len(p.refused)),
	}
	for _, part := range [][2]string{
		{"listeners", listeners},
		{"pools", pools},
		{"options", options},
	} {
		if part[1] != "" {
			attrs = append(attrs, part[0], part[1])
			words = append(words, part[0]+": "+part[1])
		}
	}
	for _, what := range restart {
		words = append(words, "needs a restart: "+what)
	}
	slog.Info("reloaded certificates, files and options", attrs...)
	return strings.Join(words, "\n")
}

// certificates counts the changes of certificates, and warns if clients are asked for less.
func (p *plan) certificates(was offered) (sum changes) {
	stays := make(map[int]bool)
	for i, files := range p.files {
		var old *tlsFiles
		if at := p.from[i]; at >= 0 {
			old, stays[at] = was[at], true
		}
		sum.count(old, files)
		if old == nil || files == nil {
			continue
		}
		for _, file := range files.lost {
			slog.Warn(
				"a client CA is gone, and clients are still asked for a certificate of it: restart to end that", "file", file)
		}
		for _, name := range laxer(old, files) {
			slog.Warn(
				"clients are asked for a certificate less strictly than before, or not at all",
				"listener", p.config.Listeners[i].Addr.String(), "name", name)
		}
	}
	for i, old := range was {
		if !stays[i] {
			sum.count(old, nil)
		}
	}
	return sum
}

// listeners names the added and removed ones: "+:8443 -:8444".
func (p *plan) listeners() string {
	if p.engine == nil {
		return ""
	}
	return signs(p.engine.Added, p.engine.Removed, nil)
}

// backends names the added, removed and changed pools: "+http/api ~http/default".
func (p *plan) backends() string {
	var added, removed, changed []string
	name := func(p *pool) string { return p.router.String() + "/" + p.name() }
	stays := make(map[*backend.Pool]bool)
	for _, q := range p.pools.next.pools {
		switch old := p.pools.before.find(q.router, q.name()); {
		case old == nil:
			added = append(added, name(q))
		case p.pools.differs[q.Pool], old.Pool != q.Pool:
			changed = append(changed, name(q))
		}
		stays[q.Pool] = true
	}
	for _, q := range p.pools.before.pools {
		if !stays[q.Pool] && p.pools.next.find(q.router, q.name()) == nil {
			removed = append(removed, name(q))
		}
	}
	return signs(added, removed, changed)
}

func signs(added, removed, changed []string) string {
	var words []string
	for _, part := range []struct {
		sign string
		list []string
	}{{"+", added}, {"-", removed}, {"~", changed}} {
		for _, word := range part.list {
			words = append(words, part.sign+word)
		}
	}
	return strings.Join(words, " ")
}
