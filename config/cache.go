package config

import (
	"errors"
	"fmt"
	"slices"

	"reprise/config/migrate"
	"reprise/config/suggest"
	"reprise/config/values"
)

const (
	// minSessionBlock is the least block size that uWSGI took for a cache of TLS sessions.
	minSessionBlock = 4096
	// legacyKeySize is uWSGI's key size for the cache that `cache = N` makes and for others that
	// state none.
	legacyKeySize = 2048
	// defaultCache keeps sessions if no cache is configured.
	defaultCache = "name=default,items=20000,keysize=128,blocksize=4096"

	maxCacheItems = 1 << 30
	maxKeySize    = 1<<16 - 1
	maxBlockSize  = 1 << 30
)

// cacheKeys are the keys of cache2 that have an effect, by every spelling that uWSGI takes.
var cacheKeys = map[string]string{
	"name":  "name",
	"items": "items", "max_items": "items", "maxitems": "items",
	"keysize": "keysize", "key_size": "keysize",
	"blocksize": "blocksize",
	"node":      "node", "nodes": "node",
	"udp": "udp", "udp_server": "udp", "udp_servers": "udp", "udpserver": "udp",
	"udpservers": "udp",
	"sync":       "sync",
}

// cacheAddresses are the addresses that a cache states for itself: see Replication.
type cacheAddresses struct{ listen, peers []Address }

// addCache sets cache2.
func addCache(b *builder, value string) error {
	pairs, err := values.Pairs(value)
	if err != nil {
		return err
	}
	c := Cache{KeySize: legacyKeySize, BlockSize: 64 << 10}
	var own cacheAddresses
	seen := make(map[string]bool)
	for _, p := range pairs {
		key := cacheKeys[p.Key]
		switch {
		case key == "":
			if err := b.foreignCacheKey(p.Key); err != nil {
				return err
			}
			continue
		case seen[key]:
			return fmt.Errorf("key %q stands twice", p.Key)
		}
		seen[key] = true
		switch key {
		case "name":
			c.Name = p.Value
		case "items":
			c.Items, err = values.Int(p.Value, 1, maxCacheItems)
		case "keysize":
			c.KeySize, err = values.Size(p.Value, 1, maxKeySize)
		case "blocksize":
			c.BlockSize, err = values.Size(p.Value, 1, maxBlockSize)
		case "node":
			own.peers, err = parseList(p.Value, parsePeer)
		case "udp":
			own.listen, err = parseList(p.Value, parseUDP)
		case "sync":
			noteSync(b)
		}
		if err != nil {
			return fmt.Errorf("%s %q: %w", p.Key, p.Value, err)
		}
	}
	if c.Name == "" || c.Items == 0 {
		return errors.New("incomplete: name and items are needed")
	}
	if err := c.fits(); err != nil {
		return err
	}
	if first, taken := b.cacheFrom[c.Name]; taken {
		return fmt.Errorf("cache %q exists since %s: choose another name", c.Name, first.source)
	}
	b.cacheFrom[c.Name] = b.now
	b.cacheUDP[c.Name] = own
	b.config.Caches = append(b.config.Caches, c)
	return nil
}

// addressSpace is what the entries of a cache may take of the 2^47 bytes that a process can
// address: with its index and its arenas a cache reserves somewhat more than twice as much.
const addressSpace = 1 << 45

// fits returns an error if c is larger than a process can be.
func (c *Cache) fits() error {
	if c.Items > addressSpace/(c.KeySize+c.BlockSize) {
		return fmt.Errorf("%d items of up to %s bytes are more than a process can address: lower "+
			"items or blocksize",
			c.Items, values.FormatSize(c.KeySize+c.BlockSize))
	}
	return nil
}

// foreignCacheKey handles a key that only uWSGI has. In uWSGI it is on whatever its value.
func (b *builder) foreignCacheKey(key string) error {
	r := cacheTable.Find(key)
	switch {
	case r == nil:
		return suggest.UnknownKey(key, []string{
			"blocksize", "items", "keysize", "name", "node",
			"udp",
		})
	case r.Verdict == migrate.Refused:
		return fmt.Errorf("key %q is not supported: %s", key, r.Note)
	case r.Verdict == migrate.Warned:
		b.warnf(b.now, "key %q has no effect: %s", key, r.Note)
	}
	return nil
}

// resolveCaches makes the caches that exist without cache2, and finds the one that keeps the
// sessions.
func (b *builder) resolveCaches() {
	b.resolveLegacyCache()
	use := b.written("ssl-sessions-use-cache")
	wanted, notBoolean := values.Bool(use.value)
	i := slices.IndexFunc(b.config.Caches, func(c Cache) bool { return c.Name == use.value })
	switch {
	case i >= 0:
	case b.failed["cache"] || b.failed["cache2"]: // it may be one of those
		return
	case notBoolean != nil:
		b.fail(use.errorf("no cache has this name: add cache2 = name=%s,items=20000", use.value))
		return
	case !wanted:
		return
	default:
		i = 0
		if len(b.config.Caches) == 0 {
			b.set(setting{optionsByName["cache2"], "cache2", defaultCache, byDefault})
		}
	}
	sessions := b.config.Caches[i]
	b.config.SessionCache = sessions.Name
	if sessions.BlockSize < minSessionBlock {
		b.fail(b.cacheFrom[sessions.Name].errorf(
			"blocksize %d is too small for TLS sessions: write "+
				"at least %d",
			sessions.BlockSize, minSessionBlock))
	}
}

// resolveLegacyCache makes the cache that cache and cache-blocksize describe. uWSGI counts it as
// the first.
func (b *builder) resolveLegacyCache() {
	size := b.written("cache-blocksize")
	if b.legacyCache == 0 {
		if size.value != size.option.byDefault {
			b.warnf(size, "no effect without cache = ITEMS")
		}
		return
	}
	c := Cache{
		Name: "default", Items: b.legacyCache, KeySize: legacyKeySize,
		BlockSize: b.legacyBlockSize,
	}
	if other, taken := b.cacheFrom[c.Name]; taken {
		b.fail(other.errorf("cache %q is also what %s makes: choose another name", c.Name,
			b.written("cache").source))
		return
	}
	b.cacheFrom[c.Name] = b.blame("cache-blocksize", "cache")
	b.config.Caches = slices.Insert(b.config.Caches, 0, c)
}
