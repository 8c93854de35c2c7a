package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// DefaultAdmin is the unix socket for queries and commands, unless another one is written.
const DefaultAdmin = "/run/reprise/admin.sock"

// addAdmin sets admin.
func addAdmin(b *builder, value string) error {
	a, err := ParseAddress(value)
	if err != nil {
		return err
	}
	b.config.Admin = append(b.config.Admin, a)
	b.admins = append(b.admins, pendingAddress{a, b.now})
	return nil
}

// addAdminHost sets admin-host.
func addAdminHost(b *builder, value string) error {
	host, err := canonicalHost(value)
	if err != nil || strings.Contains(host, ":") {
		return errors.New("bad name: write a DNS name without a port")
	}
	b.config.AdminHosts = append(b.config.AdminHosts, host)
	return nil
}

// checkAdminToken checks that the token can be read and has an effect.
func (b *builder) checkAdminToken() {
	from := b.written("admin-token-file")
	if from.option == nil || b.failed[from.option.name] {
		return
	}
	b.checkSecret(from)
	if token, err := ReadToken(from.value); err == nil {
		clear(token)
	} else if len(b.errs) == 0 {
		b.fail(from.errorf("%w", err))
	}
	if !slices.ContainsFunc(b.config.Admin, func(a Address) bool { return a.Network != "unix" }) {
		b.warnf(from, "no effect without admin = HOST:PORT: a unix socket asks for no token")
	}
}

// ReadToken is ReadSecret of a token, which has to fit into a header.
func ReadToken(file string) ([]byte, error) {
	token, err := ReadSecret(file)
	if err == nil && bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		clear(token)
		return nil, fmt.Errorf("%s has more than one line of letters, digits and signs: %s", file,
			goodSecret)
	}
	return token, err
}

// Admin is how a node's admin server is reached.
type Admin struct {
	Addresses []Address // empty: DefaultAdmin
	TokenFile string    // empty: there is none
}

// ReadAdmin reads only how to reach the admin server of a configuration, which is named as in
// Parse: a user who asks a running node need not be able to read its keys, and other errors in the
// files do not matter.
func ReadAdmin(args []string) (Admin, error) {
	files, flags, err := parseFlags(args)
	if err != nil {
		return Admin{}, err
	}
	b := newBuilder()
	settings := append(b.readFiles(files), flags...)
	if b.unread {
		return Admin{}, errors.Join(b.errs...)
	}
	b.errs = nil
	for _, s := range settings {
		if s.option.name == "admin" || s.option.name == "admin-token-file" {
			b.set(s)
		}
	}
	return Admin{b.config.Admin, b.config.AdminTokenFile}, errors.Join(b.errs...)
}
