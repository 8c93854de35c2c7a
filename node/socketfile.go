package node

import (
	"fmt"
	"os"
	"syscall"

	"reprise/config"
)

// setSocketFile returns a function that gives the file of a unix socket the configured owner and
// mode; nil if neither is configured.
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

// setUmask sets the process's umask.
func setUmask(c *config.Config) {
	if c.HasUmask {
		syscall.Umask(int(c.Umask))
	}
}
