package acme

import (
	"context"
	"log/slog"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
)

// storage holds certmagic's certificates, keys, accounts and challenges, with a pause after each
// challenge is stored.
type storage struct {
	certmagic.Storage
	client *Client
	tokens string // the directory of challenges
	failed atomic.Bool
}

// openStorage opens a directory, or Redis.
func openStorage(where string, secrets [][]byte) (certmagic.Storage, error) {
	if strings.HasPrefix(where, "redis://") || strings.HasPrefix(where, "rediss://") {
		return openRedis(where, secrets)
	}
	return &certmagic.FileStorage{Path: where}, nil
}

// Store implements certmagic.Storage. When it returns for a challenge, all nodes that can read the
// storage have had time to see it.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	if err := s.Storage.Store(ctx, key, value); err != nil || path.Dir(key) != s.tokens {
		return err
	}
	s.client.lookForChallenges(ctx)
	select {
	case <-time.After(settle):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// note logs when the storage becomes unreadable, and when it is readable again.
func (s *storage) note(err error) {
	if failed := err != nil; s.failed.Swap(failed) != failed {
		if failed {
			slog.Error("acme: the storage cannot be read", "error", err)
		} else {
			slog.Info("acme: the storage can be read again")
		}
	}
}

func (s *storage) close() {
	if closer, ok := s.Storage.(interface{ close() }); ok {
		closer.close()
	}
}
