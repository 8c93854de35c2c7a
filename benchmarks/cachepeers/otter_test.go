package cachepeers

import (
	"bytes"
	"testing"

	"github.com/maypok86/otter/v2"
)

func BenchmarkOtter(b *testing.B) {
	run(b, func(items int) store {
		return otterStore{otter.Must(&otter.Options[key, []byte]{
			MaximumSize:      items,
			InitialCapacity:  items,
			ExpiryCalculator: otter.ExpiryWriting[key, []byte](lifetime),
		})}
	})
}

type otterStore struct{ c *otter.Cache[key, []byte] }

func (o otterStore) appendGet(dst []byte, k *key) ([]byte, bool) {
	value, ok := o.c.GetIfPresent(*k)
	return append(dst, value...), ok
}

func (o otterStore) put(k *key, value []byte) { o.c.Set(*k, bytes.Clone(value)) }
func (o otterStore) close()                   { o.c.InvalidateAll(); o.c.StopAllGoroutines() }
