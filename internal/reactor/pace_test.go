package reactor

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	begin := time.Now()
	for _, tc := range []struct {
		name   string
		events int
		took   time.Duration
		want   bool // 50 in a millisecond
	}{
		{"none", 0, time.Millisecond, false},
		{"too few", 49, time.Millisecond, false},
		{"enough", 50, time.Millisecond, true},
		{"enough, but in a longer time", 50, 10 * time.Millisecond, false},
		{"more in a longer time", 500, 10 * time.Millisecond, true},
		{"in an hour", 5000, time.Hour, false},
	} {
		p := pace{since: begin, events: tc.events}
		p.look(begin.Add(tc.took))
		for _, after := range []time.Duration{0, minStretch - 1} {
			p.look(begin.Add(tc.took + after))
			if got := p.reaches(50, time.Millisecond); got != tc.want {
				t.Errorf("%s: %v later got %v, want %v", tc.name, after, got, tc.want)
			}
		}
		if p.look(begin.Add(tc.took + minStretch)); p.reaches(1, time.Hour) {
			t.Errorf("%s: a stretch without events has a pace", tc.name)
		}
	}
	if (&pace{}).reaches(0, time.Hour) {
		t.Error("a pace that is not known yet reaches another")
	}
}
