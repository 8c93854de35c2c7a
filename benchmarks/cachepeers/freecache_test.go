package cachepeers

import (
	"testing"

	"github.com/coocood/freecache"
)

// freecache is bounded in bytes and has 256 segments; a tenth more than the entries need lets it
// keep nearly all of them.
func BenchmarkFreecache(b *testing.B) {
	run(b, func(items int) store {
		const entryLen = 24 + len(key{}) + valueLen
		timer := freecache.NewCachedTimer()
		return freecacheStore{freecache.NewCacheCustomTimer(items*entryLen*11/10, timer), timer}
	})
}

type freecacheStore struct {
	c     *freecache.Cache
	timer freecache.StoppableTimer
}

func (f freecacheStore) appendGet(dst []byte, k *key) ([]byte, bool) {
	err := f.c.GetFn(k[:], func(value []byte) error {
		dst = append(dst, value...)
		return nil
	})
	return dst, err == nil
}

func (f freecacheStore) put(k *key, value []byte) { f.c.Set(k[:], value, int(lifetime.Seconds())) }
func (f freecacheStore) close()                   { f.timer.Stop() }
