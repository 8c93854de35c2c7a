package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"reprise/config/pki"
	"reprise/config/source"
	"reprise/config/values"
)

// ACME says which certificates are got from an authority while the node runs, and how.
type ACME struct {
	// Names are those of the certificates, in lower case, without wildcards. None means that ACME
	// is not used, and the other fields have no effect.
	Names []string
	// Directory is the URL of the authority.
	Directory string
	// Email is where the authority may write to; empty for nowhere.
	Email string
	// Storage is where certificates, keys and the account are kept: a directory, or a URL of Redis.
	// It may hold a password: never log it.
	Storage string
	// CAFile has the certificates by which the authority itself is trusted; empty means the
	// machine's.
	CAFile string
	// NoHTTP and NoTLSALPN turn a kind of challenge off.
	NoHTTP, NoTLSALPN bool
}

// acmeCert replaces the certificate and key of a listener whose only certificates are those of
// acme.
const acmeCert = "acme"

// letsEncrypt is the directory of the most used authority.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// acmeOptions say how certificates are got.
var acmeOptions = []option{
	{
		name: "acme", group: groupListen, form: "NAME,...", repeat: true,
		help: "get certificates for these names by ACME, from Let's Encrypt unless acme-directory " +
			"says otherwise, and renew them; each is for " +
			"clients that ask for its name on every TLS listener. Write https = ADDR,acme for a listener " +
			"that has no others. Needs acme-storage and acme-agree",
		set: addACME,
	},
	{
		name: "acme-directory", group: groupListen, form: "URL", byDefault: letsEncrypt,
		help: "the authority that issues the certificates of acme",
		set: fill(func(c *Config) *string { return &c.ACME.Directory },
			func(s string) (string, error) {
				if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" {
					return "", errors.New("not the URL of a directory: write one such as " +
						"https://ca.example/directory")
				}
				return s, nil
			}),
	},
	{
		name: "acme-agree", group: groupListen, form: boolForm, byDefault: "false", optional: true,
		help: "agree to the terms of the authority",
		set:  boolean(func(*Config) *bool { return new(bool) }),
	},
	{
		name: "acme-email", group: groupListen, form: "ADDRESS",
		help: "where the authority may write to, for instance that a certificate was revoked",
		set:  func(b *builder, value string) error { b.config.ACME.Email = value; return nil },
	},
	{
		name: "acme-storage", group: groupListen, form: "DIR|URL", mask: maskACMEStorage,
		help: "where the certificates of acme, their keys and the account are kept: a directory that " +
			"only Reprise can read, or " +
			"redis://[USER:PASSWORD@]HOST:PORT[/DB] (rediss:// with TLS), where they are sealed by " +
			"cluster-secret-file. Nodes that have the same are one client of the authority: any of them " +
			"answers it, all serve what one has got",
		set: func(b *builder, value string) error { b.config.ACME.Storage = value; return nil },
	},
	{
		name: "acme-ca", group: groupListen, form: "FILE",
		help: "the certificates by which a private authority at acme-directory is trusted",
		set:  func(b *builder, value string) error { b.config.ACME.CAFile = value; return nil },
	},
	{
		name: "acme-challenge", group: groupListen, form: "any|http-01|tls-alpn-01",
		byDefault: "any",
		help: "how to prove to the authority that a name is served here: by a request to port 80, " +
			"which must reach an http or http-to-https listener of a node, by a handshake at port " +
			"443, which must reach a TLS listener, or by whichever works",
		set: func(b *builder, value string) error {
			a := &b.config.ACME
			a.NoHTTP, a.NoTLSALPN = value == "tls-alpn-01", value == "http-01"
			if !a.NoHTTP && !a.NoTLSALPN && value != "any" {
				return errors.New("bad choice: write any or http-01 or tls-alpn-01")
			}
			return nil
		},
	},
}

// maskACMEStorage hides the password of a URL.
func maskACMEStorage(value string) string {
	if !strings.Contains(value, "://") {
		return value
	}
	return maskStore(value)
}

func addACME(b *builder, value string) error {
	for field := range strings.SplitSeq(value, ",") {
		name, err := pki.ParseServerName(strings.TrimSpace(field))
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(name, "*."):
			return fmt.Errorf(
				"%s: an authority issues wildcards only to those who change DNS entries: "+
					"name each host", name)
		case !slices.Contains(b.config.ACME.Names, name):
			b.config.ACME.Names = append(b.config.ACME.Names, name)
			b.names = append(b.names, pendingCertificate{
				Certificate{Name: name, ACME: true},
				b.now,
			})
		}
	}
	return nil
}

// resolveACME reports what is missing for acme.
func (b *builder) resolveACME() {
	a, from := &b.config.ACME, b.written("acme")
	only := slices.IndexFunc(b.listeners, func(l pendingListener) bool {
		return l.TLS != nil && len(l.TLS.Certs) == 0
	})
	if only >= 0 && len(a.Names) == 0 && !b.failed["acme"] {
		b.fail(b.listeners[only].from.errorf(
			"no certificate: add acme = NAME,... or write CERT,KEY"))
	}
	if len(a.Names) == 0 {
		b.config.ACME = ACME{}
		b.warnUnused("no effect without acme", "acme-directory", "acme-agree", "acme-email",
			"acme-storage", "acme-ca", "acme-challenge")
		return
	}
	if agreed, _ := values.Bool(cmp.Or(b.written("acme-agree").value, "true")); !agreed {
		b.fail(from.errorf(
			"read the terms of the authority, and write acme-agree = true if you agree"))
	}
	isRedis := strings.HasPrefix(a.Storage, "redis://") || strings.HasPrefix(a.Storage, "rediss://")
	switch {
	case a.Storage == "":
		b.fail(from.errorf("nowhere to keep certificates: add acme-storage = DIR"))
	case strings.Contains(a.Storage, "://") && !isRedis:
		b.fail(b.written("acme-storage").errorf(
			"not a store for certificates: write a directory or " +
				"redis://HOST:PORT"))
	case isRedis && len(b.config.ClusterSecretFiles) == 0:
		b.fail(b.written("acme-storage").errorf("keys in a store need a secret that seals them: %s",
			makeSecret))
	}
	listeners := b.tlsListeners()
	if len(listeners) == 0 {
		b.warnUnused("no effect without https or sslrouter", "acme")
		return
	}
	if len(listeners[0].TLS.Certs) == 0 && len(b.config.ClusterSecretFiles) == 0 {
		b.fail(listeners[0].from.errorf(
			"the keys of acme change, and tickets need a secret that does " +
				"not: make one with `reprise secret > FILE` and add cluster-secret-file = FILE"))
	}
	if !a.NoHTTP && !b.hasListener(func(l Listener) bool {
		return l.Router == HTTPRouter && l.TLS == nil
	}) {
		a.NoHTTP = true // no request of the authority could arrive
		if a.NoTLSALPN {
			b.fail(b.written("acme-challenge").errorf(
				"no listener that the authority could ask: add " +
					"http-to-https = :80"))
		}
	}
}

// checkACME reads the files that acme needs.
func (b *builder) checkACME() {
	a := &b.config.ACME
	if len(a.Names) == 0 {
		return
	}
	if a.CAFile != "" {
		if _, err := pki.ReadCertificates(a.CAFile); err != nil {
			b.fail(b.written("acme-ca").errorf("%w", err))
		}
	}
	if a.Storage == "" || strings.Contains(a.Storage, "://") {
		return
	}
	from := b.written("acme-storage")
	info, err := os.Stat(a.Storage)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		b.fail(from.errorf("cannot read %s: %w", a.Storage, source.Cause(err)))
	case !info.IsDir():
		b.fail(from.errorf("%s is not a directory", a.Storage))
	case info.Mode().Perm()&0o077 != 0:
		b.warnf(from, "others can look into %s, where keys are kept: chmod 700 it", a.Storage)
	}
}
