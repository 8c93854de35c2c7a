package store

import (
	"context"
	"time"

	"reprise/internal/storeurl"
)

// A server stores values. Its methods block, at most for about as long as their ctx, and are safe
// for concurrent use, except that connect and close must not run beside other methods.
type server interface {
	// connect prepares the other methods. It is called before them, and again before each probe.
	connect() error
	// get returns the value under name, nil if there is none, and its remaining life, or untold if
	// this kind of server does not report it.
	get(ctx context.Context, name string) (value []byte, left time.Duration, err error)
	set(ctx context.Context, name string, value []byte, left time.Duration) error
	remove(ctx context.Context, name string) error
	// swap stores value if the value under name is old, or there is none and old is nil. It reports
	// whether that was so.
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
