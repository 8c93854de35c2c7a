package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"reprise/config/pki"
	"reprise/config/source"
)

// uwsgiOptions are further options that uWSGI has.
var uwsgiOptions = []option{
	{
		name: "sni-dir", group: groupListen, form: "DIR", repeat: true,
		help: "each NAME.crt with NAME.key in DIR is a certificate for NAME, as sni would add it; " +
			"NAME.ca beside them lets clients send " +
			"certificates. The directory is read at start",
		set: func(b *builder, _ string) error { b.sniDirs = append(b.sniDirs, b.now); return nil },
	},
	{
		name: "sni-dir-ciphers", group: groupListen, form: "CIPHERS",
		help: "the TLS 1.2 suites for the certificates of sni-dir, instead of the listener's",
		set:  func(b *builder, value string) error { b.sniDirCiphers = value; return nil },
	},
	{
		name: "cache-expire-freq", group: groupSessions, form: durationForm, byDefault: "3s",
		help: "how often expired sessions are looked for and their memory is freed. They are never " +
			"resumed, however rarely that is",
		set: duration(100*time.Millisecond, time.Hour,
			func(c *Config) *time.Duration { return &c.CacheSweep }),
	},
	routerStats("http"),
	routerStats("rawrouter"),
	routerStats("sslrouter"),
}

// routerStats returns the option for the statistics of one kind of router.
func routerStats(router string) option {
	return option{
		name: router + "-stats", aliases: []string{
			router + "-stats-server",
			router + "-ss",
		}, group: groupObserve, form: "ADDR",
		help: "send a JSON document about the " + router +
			" listeners and their backends to each client that " +
			"connects to ADDR, and close",
		set: func(b *builder, value string) error {
			addr, err := ParseAddress(value)
			if err != nil {
				return err
			}
			if b.config.RouterStats == nil {
				b.config.RouterStats = make(map[string]Address)
			}
			b.config.RouterStats[router] = addr
			return nil
		},
	}
}

// byGroup sorts rows by their group, in the order in which groups first appear.
func byGroup(rows []option) []option {
	first := make(map[string]int)
	for i, o := range rows {
		if _, seen := first[o.group]; !seen {
			first[o.group] = i
		}
	}
	slices.SortStableFunc(rows, func(a, b option) int { return first[a.group] - first[b.group] })
	return rows
}

// readSNIDirs adds the certificates in the directories of sni-dir.
func (b *builder) readSNIDirs() {
	for _, dir := range b.sniDirs {
		b.now = dir
		b.config.dirs = append(b.config.dirs, dir.value)
		files, err := os.ReadDir(dir.value)
		if err != nil {
			b.reject(dir, source.Cause(err))
			continue
		}
		found := false
		for _, f := range files {
			name, isCert := strings.CutSuffix(f.Name(), ".crt")
			if !isCert {
				continue
			}
			found = true
			if err := b.addSNIFiles(name, filepath.Join(dir.value, name)); err != nil && b.serving {
				b.unusable(filepath.Join(dir.value, f.Name()), dir.errorf("%w", err))
			} else if err != nil {
				b.reject(dir, err)
			}
		}
		if !found {
			b.fail(dir.errorf("no certificate in it: name files such as www.example.com.crt and " +
				"www.example.com.key"))
		}
	}
	if len(b.sniDirs) == 0 && !b.failed["sni-dir"] {
		b.warnUnused("no effect without sni-dir", "sni-dir-ciphers")
	}
}

// addSNIFiles adds the certificate in base.crt and base.key, which is for this name.
func (b *builder) addSNIFiles(name, base string) error {
	name, err := pki.ParseServerName(name)
	if err != nil {
		return err
	}
	// Any file there asks for client certificates, even one that cannot be read: a dangling link
	// must not switch them off.
	clientCA := base + ".ca"
	if _, err := os.Lstat(clientCA); errors.Is(err, fs.ErrNotExist) {
		clientCA = ""
	} else if err != nil {
		return fmt.Errorf("cannot read %s: %w", clientCA, source.Cause(err))
	}
	policy, err := b.parsePolicy(b.sniDirCiphers, clientCA)
	if err != nil {
		return err
	}
	b.names = append(b.names, pendingCertificate{Certificate{
		Name: name, CertFile: base + ".crt",
		KeyFile: base + ".key", Policy: policy,
	}, b.now})
	return nil
}
