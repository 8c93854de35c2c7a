package values

import (
	"testing"
	"time"
)

// TestDuration: durations of Go and systemd are read, and a number alone means seconds.
func TestDuration(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"0": 0, "10": 10 * time.Second, "0.3": 300 * time.Millisecond, ".5": 500 * time.Millisecond,
		"300ms": 300 * time.Millisecond, "1m30s": 90 * time.Second, "1.5h": 90 * time.Minute, "0s": 0,
		"7us": 7 * time.Microsecond, "7µs": 7 * time.Microsecond, "7μs": 7 * time.Microsecond, "9ns": 9,
		"1min 30s": 90 * time.Second, "1min30s": 90 * time.Second, "2 h": 2 * time.Hour, "1hr": time.Hour,
		"5sec": 5 * time.Second, "2 seconds": 2 * time.Second, "1 minute": time.Minute,
		"20 msec": 20 * time.Millisecond, "3 usec": 3 * time.Microsecond,
		"1d": 24 * time.Hour, "2 days 3hours": 51 * time.Hour, "1w": week, "1week": week,
		" 5s ": 5 * time.Second, "48h0m0s": 48 * time.Hour,
	} {
		if got, err := Duration(s, 0, week); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", " ", "s", "-1", "-1s", "+1s", "1e3", "1e3s", "Inf", "NaN", "0x10", "1_0", "1.2.3s", ".", ".s", "5 fortnights", "1M", "1y",
		"1s 5", "5 5s", "1,5s", "8d", "200h", "9999999999999999999999h", "1S", "1 s s", "292y", "infinity",
	} {
		if got, err := Duration(s, 0, week); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}

// FuzzDuration: a duration that time.ParseDuration reads means the same here, to the precision of a
// float64.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"1h2m3s", "0.3", "1min 30s", "5.ms", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const most = 7 * 24 * time.Hour
		got, err := Duration(s, 0, most)
		if err == nil && (got < 0 || got > most) {
			t.Fatalf("%q: got %v", s, got)
		}
		want, goErr := time.ParseDuration(s)
		if goErr != nil || s[0] == '+' || s[0] == '-' || want < 0 || want > most {
			return
		}
		if err != nil || (got-want).Abs() > time.Nanosecond*8 {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	})
}
