package node

import (
	"fmt"
	"os"
	"syscall"

	"reprise/config"
)

// setSocketFile gives the files of unix sockets the owner and the mode that are configured; nil if
// neither is.
func setSocketFile(c *config.SocketFile) func(path string) error {
	if !c.HasMode && c.Owner == "" {
		return nil
	}
	return func(path string) error {
		if c.Owner != "" {
			if err := os.Lchown(path, c.UID, c.GID); err != nil {
				return fmt.Errorf("chown-socket: %w", err)
			}
		}
		if c.HasMode {
			if err := os.Chmod(path, c.Mode); err != nil {
				return fmt.Errorf("chmod-socket: %w", err)
			}
		}
		return nil
	}
}

// setUmask sets what is taken off the modes of files that this process makes.
func setUmask(c *config.Config) {
	if c.HasUmask {
		syscall.Umask(int(c.Umask))
	}
}
