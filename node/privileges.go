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

// dropPrivileges makes the process, with all its threads, go on as the user that the configuration
// names. Files and addresses that need root have been read and bound; from here on a reload and a
// successor do what that user may do. With succeeds the process before has done so already.
func dropPrivileges(c *config.Config, succeeds bool) error {
	p := &c.Privileges
	switch uid := os.Geteuid(); {
	case p.User == "" || uid == p.UID && (succeeds || p.Chroot == ""):
		return nil
	case uid != 0:
		return fmt.Errorf(
			"user = %s: only root can go on as another user, and this process is user %d: start it as root, or as that user", p.User, uid)
	}
	chownLog(c, p)
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
		// the last: it removes the privilege that the others need
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

// chownLog lets the user open the access log again, which root has made.
func chownLog(c *config.Config, p *config.Privileges) {
	log := c.AccessLog.File
	if info, err := os.Lstat(log); log == "" || err != nil || !info.Mode().IsRegular() {
		return
	}
	if err := os.Lchown(log, p.UID, p.GID); err != nil {
		slog.Warn("the access log cannot be opened again later", "file", log, "error", err)
	}
}

// stillPrivileged returns an error if the process still has any privilege of root.
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

// warnOfUnreadable names the files that a reload could not read, at the start and not when a
// renewal fails.
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
			"files that root could read and the user cannot: a reload and an upgrade will fail",
			"user", c.Privileges.User, "files", strings.Join(unreadable, " "))
	}
}
