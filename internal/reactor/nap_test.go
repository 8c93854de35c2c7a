package reactor

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fast is the pace at which a nap pays.
var fast = pace{came: napEvents, took: time.Millisecond}

func TestNapThatBringsLittleIsNotRepeatedSoon(t *testing.T) {
	for _, tc := range []struct{ brought, want int }{
		{0, napSkip}, {minNapEvents - 1, napSkip}, {minNapEvents, 0},
	} {
		var n naps
		n.brought(tc.brought)
		got := 0
		for ; got <= napSkip && !n.pay(&fast); got++ {
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
		r.naps, r.pace = naps{}, fast
		r.pace.since = r.now.Add(time.Hour)
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
