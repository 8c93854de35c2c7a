package config

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
)

// Privileges say as which user the process goes on once its files are read and its addresses bound.
type Privileges struct {
	User   string // as it was written; empty: unchanged
	UID    int
	GID    int
	Groups []int  // all of them, GID among them
	Chroot string // its root directory from then on; empty: unchanged
}

// privilegeOptions are for a process that is started as root and need not stay root.
var privilegeOptions = []option{
	{
		name: "user", group: groupProcess, form: "USER",
		help: "go on as this user, by name or number, once keys are read and addresses bound as root. " +
			"A reload reads and binds as that user, " +
			"and so does an upgrade",
		set: text(func(c *Config) *string { return &c.Privileges.User }),
	},
	{
		name: "group", group: groupProcess, form: "GROUP",
		help: "the group that goes with user, by name or number; without it those that the user is in",
		set:  func(b *builder, value string) error { return nil }, // resolvePrivileges reads it
	},
	{
		name: "chroot", group: groupProcess, form: "DIR",
		help: "with user, the root directory once files are read and addresses bound: what is read " +
			"or run later, by a reload or an upgrade say, has to be in it under the same path",
		set: func(b *builder, value string) error {
			if !filepath.IsAbs(value) {
				return fmt.Errorf("%q: write an absolute path", value)
			}
			b.config.Privileges.Chroot = filepath.Clean(value)
			return nil
		},
	},
}

// resolvePrivileges looks up the numbers of user and group. A node that serves does not: it keeps
// those of its start.
func (b *builder) resolvePrivileges() {
	p, who, group := &b.config.Privileges, b.written("user"), b.written("group")
	if who.option == nil {
		b.warnUnused("no effect without user", "group", "chroot")
		p.Chroot = ""
		return
	}
	if b.serving || b.failed["user"] || b.failed["group"] {
		return
	}
	if !b.config.Application.IsZero() {
		b.fail(who.errorf(
			"an application (module) would be started before, as root: start Reprise as " +
				"that user"))
		return
	}
	if p.Chroot != "" {
		if info, err := os.Stat(p.Chroot); err != nil || !info.IsDir() {
			at := b.written("chroot")
			b.fail(at.errorf("there is no such directory: make it"))
			return
		}
	}
	u, err := user.Lookup(p.User)
	if err != nil {
		u, err = user.LookupId(p.User)
	}
	number, notNumber := strconv.ParseUint(p.User, 10, 31)
	switch {
	case err == nil:
		p.UID, _ = strconv.Atoi(u.Uid)
	case notNumber != nil:
		b.fail(who.errorf("there is no user of that name on this machine: write one, or a number"))
		return
	case group.option == nil:
		b.fail(who.errorf("no user has this number: add group"))
		return
	default:
		p.UID = int(number)
	}
	if group.option == nil {
		p.GID, p.Groups = groupsOf(u)
		return
	}
	if p.GID, err = groupID(group.value); err != nil {
		b.fail(group.errorf("%w", err))
	}
	p.Groups = []int{p.GID}
}

// groupsOf returns the primary group of a user and all its groups.
func groupsOf(u *user.User) (first int, all []int) {
	first, _ = strconv.Atoi(u.Gid)
	all = []int{first}
	ids, _ := u.GroupIds()
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return first, all
}

func groupID(name string) (int, error) {
	return ownerID("group", name, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", fmt.Errorf("group %s: %w", name, err)
		}
		return g.Gid, nil
	})
}
