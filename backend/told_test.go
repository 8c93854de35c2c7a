package backend

import (
	"testing"
	"time"
)

// TestLogLinesAreSpaced: a lasting fault is logged at intervals, with the number of events.
func TestLogLinesAreSpaced(t *testing.T) {
	var log told
	start := time.Now()
	for _, test := range []struct {
		why   string
		after time.Duration
		times int // 0 if the log is not told
	}{
		{"a", 0, 1},
		{"a", time.Second, 0},
		{"a", tellEvery - 1, 0},
		{"a", tellEvery, 3},
		{"b", tellEvery + 1, 1},
		{"a", tellEvery + 2, 0}, // reasons that alternate are one line, not many
		{"b", tellEvery + 3, 0},
		{"a", 2*tellEvery + 1, 3},
	} {
		if times, isDue := log.due(test.why, start.Add(test.after)); times != test.times ||
			isDue != (test.times > 0) {
			t.Errorf("%s after %v: got %d, %v, want %d", test.why, test.after, times, isDue, test.times)
		}
	}
}
