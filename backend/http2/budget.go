package http2

// A budget bounds what costs a client little: each use takes from it, and time and useful work give
// back. It starts full. It belongs to one connection; a new connection costs the client a
// handshake.
type budget struct {
	left   int
	max    int
	perSec int
	filled uint64 // millisecond up to which time has been credited
}

func newBudget(burst, perSec int) budget { return budget{left: burst, max: burst, perSec: perSec} }

// spend takes n and reports whether there was that much.
func (b *budget) spend(n int, now uint64) bool {
	if b.left < n {
		b.refill(now)
	}
	b.left -= n
	return b.left >= 0
}

// earn gives back n for work that the client has paid for.
func (b *budget) earn(n int) { b.left = min(b.left+n, b.max) }

func (b *budget) refill(now uint64) {
	if now <= b.filled {
		return
	}
	// After a long pause the product would overflow, and the budget is full anyway.
	elapsed := min(now-b.filled, 3_600_000)
	n := int(elapsed) * b.perSec / 1000
	if n == 0 {
		return // the elapsed time counts at the next call
	}
	b.filled = now
	b.earn(n)
}
