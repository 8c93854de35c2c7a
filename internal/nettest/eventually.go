package nettest

import "time"

// Eventually ends test t unless cond becomes true within timeout. The message names the condition.
// cond runs on the caller's goroutine, often.
func Eventually(t T, timeout time.Duration, cond func() bool, format string, args ...any) {
	t.Helper()
	if !poll(timeout, cond) {
		t.Fatalf("not within %v: "+format, append([]any{timeout}, args...)...)
	}
}

// poll calls cond until it returns true or timeout has passed, and at least once. It starts with
// short pauses, since most conditions hold within a millisecond, and soon leaves the processor to
// the awaited goroutine.
func poll(timeout time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(timeout)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if cond() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
	}
}
