package cache

import (
	"fmt"
	"math/bits"
	"runtime"

	"github.com/klauspost/cpuid/v2"
)

// Options describe a cache. Items, KeyLen and BlockLen have no default.
type Options struct {
	Name     string // for messages and statistics only
	Items    int    // bound on live entries, 1 to 2^30
	KeyLen   int    // longest key in bytes, 1 to 65535
	BlockLen int    // longest value in bytes, 1 to 2^20
	// Stripes is a power of two, at most one per 1024 items; 0 chooses by the number of cores. With
	// one stripe eviction is strictly oldest first; with more it is so within each stripe.
	Stripes int
}

const (
	maxItems    = 1 << 30
	maxKeyLen   = 1<<16 - 1
	maxBlockLen = 1 << 20

	// minStripeItems keeps the stripes' shares so even that the oldest entry of one is about the
	// oldest of all, and that no stripe is empty while the cache is full.
	minStripeItems = 1024
	// maxStripeItems bounds how long a stripe is locked while its index grows: some 0.1 ms.
	maxStripeItems = 1 << 14
	// stripesPerCore makes it unlikely that two cores want the same stripe at the same moment.
	stripesPerCore = 4
)

func (o Options) check() error {
	for _, b := range []struct {
		name  string
		value int
		max   int
	}{
		{"items", o.Items, maxItems},
		{"keysize", o.KeyLen, maxKeyLen},
		{"blocksize", o.BlockLen, maxBlockLen},
	} {
		if b.value < 1 || b.value > b.max {
			return fmt.Errorf("cache %q: %s=%d: must be between 1 and %d", o.Name, b.name, b.value,
				b.max)
		}
	}
	if most := mostStripes(o.Items); o.Stripes < 0 || o.Stripes > most ||
		o.Stripes&(o.Stripes-1) != 0 {
		return fmt.Errorf(
			"cache %q: stripes=%d: must be a power of two up to %d for items=%d, or 0 to choose",
			o.Name, o.Stripes, most, o.Items)
	}
	return nil
}

func (o Options) stripes() int {
	if o.Stripes != 0 {
		return o.Stripes
	}
	// GOMAXPROCS follows a container's limit, which may be raised while the process runs; the
	// number of stripes cannot.
	cores := max(runtime.GOMAXPROCS(0), cpuid.CPU.LogicalCores)
	n := max(stripesPerCore*cores, o.Items/maxStripeItems)
	return min(nextPowerOfTwo(n), mostStripes(o.Items))
}

// stripeRecords is the number of records for which one of n stripes has room. The bound on items
// applies to the whole cache; a stripe may exceed its share by an eighth, which is six standard
// deviations at minStripeItems.
func (o Options) stripeRecords(n int) int {
	if n == 1 {
		return o.Items
	}
	share := (o.Items + n - 1) / n
	return share + share/8 + 64
}

// mostStripes is the largest power of two that leaves each stripe its minStripeItems.
func mostStripes(items int) int { return 1 << (bits.Len(uint(max(items/minStripeItems, 1))) - 1) }

func nextPowerOfTwo(n int) int { return 1 << bits.Len(uint(n-1)) }
