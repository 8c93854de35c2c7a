package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"reprise/config/source"
	"reprise/config/values"
)

// SocketFile says how the file of a unix socket is made.
type SocketFile struct {
	// Mode is the file's, if HasMode; else the umask decides.
	Mode    fs.FileMode
	HasMode bool
	// Owner is what was written of the owner: UID and GID as numbers, each -1 for the process's
	// own. Empty means both are the process's own, whatever UID and GID hold.
	Owner    string
	UID, GID int
}

// socketFileOptions are uWSGI's for files of sockets.
var socketFileOptions = []option{
	{
		name: "chmod-socket", group: groupListen, form: "MODE|" + boolForm, optional: true,
		help: "who may connect to the unix sockets of listeners, statistics and the application: " +
			"permissions " +
			"in octal, such as 660; without a value 666. Without the option the umask decides",
		set: func(b *builder, value string) (err error) {
			f := &b.config.SocketFile
			switch on, notBool := values.Bool(value); {
			case notBool != nil:
				f.Mode, err = parseMode(value)
				f.HasMode = err == nil
			default:
				f.Mode, f.HasMode = 0o666, on // uWSGI's
			}
			return err
		},
	},
	{
		name: "chown-socket", group: groupListen, form: "USER[:GROUP]",
		help: "owner of these sockets, by name or number. Giving them to another user takes root",
		set: func(b *builder, value string) (err error) {
			f := &b.config.SocketFile
			f.Owner = value
			f.UID, f.GID, err = parseOwner(value)
			return err
		},
	},
	{
		name: "umask", group: groupProcess, form: "MODE",
		help: "permissions, in octal, that files which the process makes do not get, such as 027; " +
			"without it " +
			"those of the process that starts it",
		set: func(b *builder, value string) (err error) {
			b.config.Umask, err = parseMode(value)
			b.config.HasUmask = err == nil
			return err
		},
	},
}

// parseMode reads permissions in octal.
func parseMode(s string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, errors.New("bad permissions: write them in octal, such as 660")
	}
	return fs.FileMode(mode), nil
}

// parseOwner reads USER, USER:GROUP or :GROUP, by name or number.
func parseOwner(s string) (uid, gid int, err error) {
	owner, group, _ := strings.Cut(s, ":")
	uid, gid = -1, -1
	if owner == "" && group == "" {
		return uid, gid, errors.New("nobody: write USER or USER:GROUP")
	}
	lookUser := func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	}
	lookGroup := func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	}
	if uid, err = ownerID("user", owner, lookUser); err != nil {
		return -1, -1, err
	}
	gid, err = ownerID("group", group, lookGroup)
	return uid, gid, err
}

// ownerID returns the number of a user or group; -1 if it is empty.
func ownerID(kind, name string, look func(string) (string, error)) (int, error) {
	if name == "" {
		return -1, nil
	}
	if id, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(id), nil
	}
	id, err := look(name)
	if err != nil {
		return -1, fmt.Errorf("there is no %s %q: write one of this machine, or a number", kind,
			name)
	}
	return strconv.Atoi(id)
}

// checkSocketFiles checks that the files of unix sockets can be made where they are to stand.
func (b *builder) checkSocketFiles() {
	found := false
	for _, at := range b.listensAt() {
		if at.Network != "unix" {
			continue
		}
		found = true
		dir := filepath.Dir(at.Path)
		if info, err := os.Stat(dir); err != nil {
			b.fail(at.from.errorf("cannot make a socket in %s: %w", dir, source.Cause(err)))
		} else if !info.IsDir() {
			b.fail(at.from.errorf("%s is not a directory", dir))
		}
		if info, err := os.Lstat(at.Path); err == nil && info.Mode().Type() != fs.ModeSocket {
			b.fail(at.from.errorf("%s is there and not a socket: remove it, or choose another path",
				at.Path))
		}
	}
	if !found {
		b.warnUnused("no effect: no socket is a file", "chmod-socket", "chown-socket")
	}
}
