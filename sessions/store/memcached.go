package store

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"net"
	"time"

	"reprise/internal/storeurl"

	"github.com/bradfitz/gomemcache/memcache"
)

// memcached is one or several memcached servers. Its client has no contexts but one time-out, for
// connecting and again for each request: hence two clients, so that a look-up times out sooner than
// a write.
type memcached struct {
	reader, writer *memcache.Client
}

func newMemcached(l storeurl.Location, lookupTimeout time.Duration) *memcached {
	client := func(timeout time.Duration, workers int) *memcache.Client {
		c := memcache.NewFromSelector(rendezvous(l.Hosts))
		c.Timeout, c.MaxIdleConns = timeout, workers
		return c
	}
	return &memcached{reader: client(lookupTimeout, readers), writer: client(writeTimeout, writers)}
}

// each request without an idle connection connects
func (m *memcached) connect() error { return nil }

func (m *memcached) get(ctx context.Context, name string) ([]byte, time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	item, err := m.reader.Get(name)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return item.Value, untold, nil
}

func (m *memcached) set(ctx context.Context, name string, value []byte,
	lifetime time.Duration,
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.writer.Set(&memcache.Item{Key: name, Value: value, Expiration: expiration(lifetime)})
}

// expiration is rounded up: the lifetime inside the value is exact.
func expiration(lifetime time.Duration) int32 {
	return int32((lifetime + time.Second - 1) / time.Second)
}

func (m *memcached) swap(ctx context.Context, name string, old, value []byte,
	lifetime time.Duration,
) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if old == nil {
		err := m.writer.Add(&memcache.Item{
			Key: name, Value: value,
			Expiration: expiration(lifetime),
		})
		return err == nil, ifOther(err, memcache.ErrNotStored)
	}
	item, err := m.writer.Get(name) // again, for the cas value
	if err != nil {
		return false, ifOther(err, memcache.ErrCacheMiss)
	}
	if !bytes.Equal(item.Value, old) {
		return false, nil
	}
	item.Value, item.Expiration = value, expiration(lifetime)
	switch err = m.writer.CompareAndSwap(item); {
	case errors.Is(err, memcache.ErrCASConflict), errors.Is(err, memcache.ErrCacheMiss),
		errors.Is(err, memcache.ErrNotStored):
		return false, nil
	}
	return err == nil, err
}

// ifOther returns err unless it is the expected one.
func ifOther(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

func (m *memcached) remove(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := m.writer.Delete(name)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil
	}
	return err
}

func (m *memcached) close() {
	_ = m.reader.Close()
	_ = m.writer.Close()
}

// rendezvous spreads names over servers by highest random weight (Thaler and Ravishankar, 1998):
// nodes agree, in whatever order they list the servers, and adding or removing a server moves only
// its own share. The servers' names are resolved whenever a connection is made.
type rendezvous []string

// PickServer returns the server for a name.
func (r rendezvous) PickServer(name string) (net.Addr, error) {
	var best host
	var bestWeight uint64
	for _, address := range r {
		h := fnv.New64a()
		_, _ = h.Write([]byte(address))
		_, _ = h.Write([]byte(name))
		if weight := h.Sum64(); best == "" || weight > bestWeight {
			best, bestWeight = host(address), weight
		}
	}
	return best, nil
}

// Each calls f for each server until a call fails.
func (r rendezvous) Each(f func(net.Addr) error) error {
	for _, address := range r {
		if err := f(host(address)); err != nil {
			return err
		}
	}
	return nil
}

// host is an address whose name is not yet resolved.
type host string

func (h host) Network() string { return "tcp" }
func (h host) String() string  { return string(h) }
