package reactor

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A nap pays while enough events came in the last span of counting, and the one before
// brought enough.
func TestNapsPayWhileEventsComeFast(t *testing.T) {
	begin := time.Now()
	after := func(spans int) time.Time { return begin.Add(time.Duration(spans) * napSpan) }
	for _, tc := range []struct {
		name   string
		events int
		spans  int // in which they came
		want   bool
	}{
		{"none", 0, 1, false},
		{"too few", napEvents - 1, 1, false},
		{"enough", napEvents, 1, true},
		{"enough in one span, which came in many", napEvents, 10, false},
		{"many in many", 10 * napEvents, 10, true},
		{"after an hour", 100 * napEvents, int(time.Hour / napSpan), false},
	} {
		n := naps{since: begin, events: tc.events}
		if got := n.pay(after(tc.spans)); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
		if again := n.pay(after(tc.spans)); again != tc.want {
			t.Errorf("%s: at once again: got %v, want %v", tc.name, again, tc.want)
		}
		if n.pay(after(tc.spans + 1)) {
			t.Errorf("%s: a span without events later a nap pays", tc.name)
		}
	}
}

func TestNapThatBringsLittleIsNotRepeatedSoon(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct{ brought, want int }{
		{0, napSkip}, {minNapEvents - 1, napSkip}, {minNapEvents, 0},
	} {
		n := naps{since: now, fast: true}
		n.brought(tc.brought)
		got := 0
		for ; got <= napSkip && !n.pay(now); got++ {
		}
		if got != tc.want {
			t.Errorf("%d events: %d waits without a nap, want %d", tc.brought, got, tc.want)
		}
	}
}

// Whoever wakes a reactor that naps, and what comes to it meanwhile, is heard.
func TestNappingReactorHears(t *testing.T) {
	h := new(host)
	r := open(t, h)
	always := func() bool {
		r.naps = naps{since: r.now.Add(time.Hour), fast: true}
		return false
	}
	h.roundEnd = always
	always()
	ours, theirs := pair(t)
	heard := make(chan struct{}, 1)
	if err := r.Watch(ours, &funcs{event: func(fd int, e Events) {
		if !e.Readable() {
			return
		}
		var b [8]byte
		if n, err := unix.Read(fd, b[:]); n != 1 || err != nil {
			t.Errorf("read %d bytes, error %v; want 1", n, err)
		}
		heard <- struct{}{}
	}}); err != nil {
		t.Fatal(err)
	}
	run(t, r)
	for range 50 {
		r.Post(func(any) { heard <- struct{}{} }, nil)
		<-heard
		write(t, theirs)
		<-heard
	}
}
