package supervise

import "time"

const (
	firstWait = 100 * time.Millisecond
	maxWait   = 10 * time.Second

	// stable is how long a child must live for the wait to start over.
	stable = time.Minute
)

// backoff is how long to wait before the child is started again. The zero value is
// ready.
type backoff struct{ last time.Duration }

// next returns the wait after a child that ran for ran.
func (b *backoff) next(ran time.Duration) time.Duration {
	if ran >= stable {
		b.last = 0
	}
	b.last = min(max(2*b.last, firstWait), maxWait)
	return b.last
}
