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

// storage is what certmagic keeps certificates, keys, accounts and challenges in, with a
// pause behind each challenge that is stored.
type storage struct {
	certmagic.Storage
	client *Client
	tokens string // where challenges lie
	failed atomic.Bool
}

// openStorage opens a directory, or Redis.
func openStorage(where string, secrets [][]byte) (certmagic.Storage, error) {
	if strings.HasPrefix(where, "redis://") || strings.HasPrefix(where, "rediss://") {
		return openRedis(where, secrets)
	}
	return &certmagic.FileStorage{Path: where}, nil
}

// Store implements certmagic.Storage. When it returns for a challenge, all nodes that can
// read the storage have had the time to see it.
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

// note tells when the storage cannot be read any more, and when it can again.
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
