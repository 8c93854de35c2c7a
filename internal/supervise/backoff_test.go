package supervise

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	var b backoff
	for i, step := range []struct{ ran, want time.Duration }{
		{0, 100 * ms},
		{0, 200 * ms},
		{time.Second, 400 * ms},
		{59 * time.Second, 800 * ms},
		{0, 1600 * ms},
		{0, 3200 * ms},
		{0, 6400 * ms},
		{0, 10 * time.Second},
		{0, 10 * time.Second},
		{time.Minute, 100 * ms},
		{0, 200 * ms},
	} {
		if got := b.next(step.ran); got != step.want {
			t.Errorf("end %d, after %v: got %v, want %v", i, step.ran, got, step.want)
		}
	}
}
