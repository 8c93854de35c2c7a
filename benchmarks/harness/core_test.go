package main

import (
	"testing"
	"time"
)

func TestParseCoreTime(t *testing.T) {
	const stat = "cpu  10 20 30 40\ncpu0 1 2 3 400 5 6 7 8 9 0\ncpu10 100 0 0 400 5 6 7 8 9 0\nintr 7\n"
	tests := []struct {
		name string
		stat string
		cpu  int
		want time.Duration
	}{
		{"first", stat, 0, 60 * time.Millisecond},
		{"tenth", stat, 10, time.Second},
		{"not there", stat, 1, 0},
		{"garbage", "cpu0 a b c\n", 0, 0},
		{"too short", "cpu0 1\n", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := parseCoreTime(tt.stat, tt.cpu); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
