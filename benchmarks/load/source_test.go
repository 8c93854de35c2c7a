package load

import (
	"testing"
	"testing/synctest"
	"time"
)

// The generator is late from when an operation is due and its client free until it begins. A client
// that the server keeps busy past that time is not the generator's fault.
func TestLate(t *testing.T) {
	tests := []struct {
		name string
		// until when the client is busy, and the pacer asleep; it is due at 100 ms
		busy, woken time.Duration
		late        time.Duration
	}{
		{"in time", 0, 100 * time.Millisecond, 0},
		{"the pacer slept", 0, 130 * time.Millisecond, 30 * time.Millisecond},
		{"the client was busy", 150 * time.Millisecond, 100 * time.Millisecond, 0},
		{"both", 110 * time.Millisecond, 130 * time.Millisecond, 20 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				due := start.Add(100 * time.Millisecond)
				l := &lane{
					due: make(chan struct{}, 1), first: due, giveUp: start.Add(time.Second),
					late: newHistogram(),
				}
				time.AfterFunc(tt.woken, func() { l.due <- struct{}{} })
				time.Sleep(tt.busy)
				if from, ok := l.next(); !ok || !from.Equal(due) {
					t.Errorf("got an operation from %v, %v, want %v", from.Sub(start), ok, due.Sub(start))
				}
				if got := l.late.Max(); got != tt.late {
					t.Errorf("got %v late, want %v", got, tt.late)
				}
			})
		})
	}
}
