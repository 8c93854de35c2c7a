package store

import (
	"context"
	"time"

	"reprise/internal/storeurl"
)

// A server is where values are kept. Its methods block, at most for about as long
// as their ctx, and are safe for concurrent use, except that connect and close
// have the server to themselves.
type server interface {
	// connect makes ready what the other methods need. It is called before
	// them, and again before each probe.
	connect() error
	// get returns the value under name, nil if there is none, and how long it
	// still lives, or untold if this kind of server does not say.
	get(ctx context.Context, name string) (value []byte, left time.Duration, err error)
	set(ctx context.Context, name string, value []byte, left time.Duration) error
	remove(ctx context.Context, name string) error
	// swap is set if the value under name is old, or there is none and old is nil.
	// It reports whether that was so.
	swap(ctx context.Context, name string, old, value []byte, left time.Duration) (bool, error)
	// close ends all connections within about a second.
	close()
}

const untold time.Duration = -1

// newServer returns the client for l without connecting.
func newServer(l storeurl.Location, lookupTimeout time.Duration) server {
	if l.Scheme == "memcached" {
		return newMemcached(l, lookupTimeout)
	}
	return newRedis(l)
}
