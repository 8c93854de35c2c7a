package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"reprise/config"
)

// dropPrivileges makes the process, all its threads, go on as the user that the configuration
// names. What only root may read or bind has been read and bound; from here on a reload and a
// successor do what that user may do.
// With succeeds the process before has done so already.
func dropPrivileges(c *config.Config, succeeds bool) error {
	p := &c.Privileges
	switch uid := os.Geteuid(); {
	case p.User == "" || uid == p.UID && (succeeds || p.Chroot == ""):
		return nil
	case uid != 0:
		return fmt.Errorf(
			"user = %s: only root can go on as somebody else, and this process is user %d: start it as root, or as that user", p.User, uid)
	}
	giveAway(c, p)
	if p.Chroot != "" {
		err := unix.Chroot(p.Chroot)
		if err == nil {
			err = os.Chdir("/") // or paths could lead out of it
		}
		if err != nil {
			return fmt.Errorf("chroot = %s: %w", p.Chroot, err)
		}
	}
	if err := errors.Join(
		os.NewSyscallError("setgroups", syscall.Setgroups(p.Groups)),
		os.NewSyscallError("setgid", syscall.Setgid(p.GID)),
		// the last: it takes away what the others need
		os.NewSyscallError("setuid", syscall.Setuid(p.UID)),
	); err != nil {
		return fmt.Errorf("user = %s: %w", p.User, err)
	}
	if err := stillPrivileged(p); err != nil {
		return fmt.Errorf("user = %s: %w", p.User, err)
	}
	warnOfUnreadable(c)
	return nil
}

// giveAway lets the user open the access log anew, which root has made.
func giveAway(c *config.Config, p *config.Privileges) {
	log := c.AccessLog.File
	if info, err := os.Lstat(log); log == "" || err != nil || !info.Mode().IsRegular() {
		return
	}
	if err := os.Lchown(log, p.UID, p.GID); err != nil {
		slog.Warn("the access log cannot be opened again later", "file", log, "error", err)
	}
}

// stillPrivileged returns an error if something of root is left to the process.
func stillPrivileged(p *config.Privileges) error {
	if uid, gid := os.Getuid(), os.Getgid(); uid != p.UID || os.Geteuid() != p.UID ||
		gid != p.GID || os.Getegid() != p.GID {
		return fmt.Errorf("the process is still user %d, group %d", uid, gid)
	}
	if held, err := hasCapabilities(); err != nil || held {
		return errors.Join(err, errors.New("the process still has capabilities"))
	}
	if p.UID != 0 && syscall.Setuid(0) == nil {
		return errors.New("the process can become root again")
	}
	return nil
}

// warnOfUnreadable tells at the start, not when a renewal fails, which files a reload cannot read.
func warnOfUnreadable(c *config.Config) {
	var files []string
	for i := range c.Listeners {
		if t := c.Listeners[i].TLS; t != nil {
			for _, cert := range t.Certs {
				files = append(files, cert.CertFile, cert.KeyFile)
			}
		}
	}
	files = append(files, c.ClusterSecretFiles...)
	slices.Sort(files)
	var unreadable []string
	for _, f := range slices.Compact(files) {
		if f != "" && unix.Access(f, unix.R_OK) != nil {
			unreadable = append(unreadable, f)
		}
	}
	if len(unreadable) > 0 {
		slog.Warn(
			"files that root could read, and the user cannot: a reload and an upgrade fail by them",
			"user", c.Privileges.User, "files", strings.Join(unreadable, " "))
	}
}
