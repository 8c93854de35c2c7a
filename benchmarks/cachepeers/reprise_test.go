package cachepeers

import (
	"testing"

	"reprise/cache"
)

// The configuration of uWSGI's document, keysize=128 and blocksize=4096, whatever the values are.
func BenchmarkReprise(b *testing.B) {
	run(b, func(items int) store {
		c, err := cache.New(cache.Options{Name: "b", Items: items, KeyLen: 128, BlockLen: 4096})
		if err != nil {
			b.Fatal(err)
		}
		return reprise{c}
	})
}

// With one stripe all cores share one lock.
func BenchmarkRepriseOneStripe(b *testing.B) {
	run(b, func(items int) store {
		c, err := cache.New(cache.Options{Name: "b", Items: items, KeyLen: 128, BlockLen: 4096, Stripes: 1})
		if err != nil {
			b.Fatal(err)
		}
		return reprise{c}
	})
}

type reprise struct{ c *cache.Cache }

// Its clock is its caller's, which reads it once for a batch of events.
const now = 0

func (r reprise) appendGet(dst []byte, k *key) ([]byte, bool) {
	dst, _, outcome := r.c.AppendGet(dst, k[:], now)
	return dst, outcome == cache.Hit
}

func (r reprise) put(k *key, value []byte) {
	r.c.Put(k[:], value, cache.Entry{Expires: now + int64(lifetime)}, now)
}
func (r reprise) close() { r.c.Close() }
