package config

import (
	"path/filepath"
	"slices"
	"strings"
)

// reloaded are the options whose change a running node takes over when it reads the configuration again. Of the listeners'
// options it takes over certificates, ciphers, client CAs and application protocols, but not addresses.
var (
	reloaded         = []string{"sni", "sni-dir", "sni-dir-ciphers", "ssl-client-crl", "acme", "sslrouter-alpn", "http2", "cluster-secret-file"}
	reloadedInPlaces = []string{"https", "https2", "sslrouter", "sslrouter2"}
)

// NeedsRestart says what of now a running node that was started with c cannot take over, a line each: "http-to: was A, is B".
func (c *Config) NeedsRestart(now *Config) []string {
	var lines []string
	for i := range options {
		o := &options[i]
		if slices.Contains(reloaded, o.name) || slices.Contains(reloadedInPlaces, o.name) {
			continue
		}
		if was, is := c.stated(o), now.stated(o); was != is {
			lines = append(lines, o.name+": was "+was+", is "+is)
		}
	}
	was, is := c.tlsAddresses(), now.tlsAddresses()
	for _, a := range is {
		if !slices.Contains(was, a) {
			lines = append(lines, a+": added")
		}
	}
	for _, a := range was {
		if !slices.Contains(is, a) {
			lines = append(lines, a+": removed")
		}
	}
	return lines
}

// stated returns what is set for an option, as an operator may see it.
func (c *Config) stated(o *option) string {
	var values []string
	for _, s := range c.settings {
		if s.option != o {
			continue
		}
		if !o.repeat {
			values = values[:0] // the last one counts
		}
		values = append(values, s.shown())
	}
	if len(values) == 0 {
		return "not set"
	}
	return strings.Join(values, ", ")
}

// tlsAddresses returns where TLS is terminated, each with its kind of router.
func (c *Config) tlsAddresses() []string {
	var list []string
	for _, l := range c.Listeners {
		if l.TLS != nil {
			list = append(list, l.Router.String()+" at "+l.Addr.String())
		}
	}
	return list
}

// ReloadDirs returns the directories in which files may change, come or go that a running node reads again.
func (c *Config) ReloadDirs() []string {
	dirs := slices.Clone(c.dirs)
	add := func(files ...string) {
		for _, f := range files {
			if f != "" {
				dirs = append(dirs, filepath.Dir(f))
			}
		}
	}
	for i := range c.Listeners {
		if t := c.Listeners[i].TLS; t != nil {
			add(t.ClientCA)
			for _, cert := range t.Certs {
				add(cert.CertFile, cert.KeyFile, cert.ClientCA)
			}
		}
	}
	add(c.ClientCRLs...)
	add(c.ClusterSecretFiles...)
	slices.Sort(dirs)
	return slices.Compact(dirs)
}
