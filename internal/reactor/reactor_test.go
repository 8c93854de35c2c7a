package reactor

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A host counts its calls.
type host struct {
	now      time.Time
	tick     uint64
	turns    int
	panics   []any
	roundEnd func() bool
}

func (h *host) TurnBegins(now time.Time, tick uint64) { h.now, h.tick = now, tick }

func (h *host) TurnEnds(_ Handler, _ time.Duration, panicked any) {
	h.turns++
	if panicked != nil {
		h.panics = append(h.panics, panicked)
	}
}

func (h *host) RoundEnds() bool { return h.roundEnd != nil && h.roundEnd() }

// funcs is a handler of functions.
type funcs struct {
	event func(fd int, e Events)
	timer func()
}

func (f *funcs) OnEvent(fd int, e Events) { f.event(fd, e) }
func (f *funcs) OnTimer()                 { f.timer() }

func open(t *testing.T, h *host) *Reactor {
	t.Helper()
	return openWith(t, Options{Host: h, Tick: time.Millisecond})
}

func openWith(t *testing.T, o Options) *Reactor {
	t.Helper()
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// run runs r until the test ends.
func run(t *testing.T, r *Reactor) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- r.Run() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func pair(t *testing.T) (ours, theirs int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func round(t *testing.T, r *Reactor) {
	t.Helper()
	if _, err := r.Round(false); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// An edge is reported once, a level in each round until it has been read.
func TestEdgesAndLevels(t *testing.T) {
	r := open(t, new(host))
	for _, tc := range []struct {
		name  string
		watch func(fd int, h Handler) error
		want  int
	}{{"edge", r.WatchInput, 1}, {"level", r.WatchLevel, 3}} {
		ours, theirs := pair(t)
		got := 0
		if err := tc.watch(ours, &funcs{event: func(fd int, e Events) {
			if fd != ours || !e.Readable() {
				t.Errorf("%s: got event %x of %d", tc.name, e, fd)
			}
			got++
		}}); err != nil {
			t.Fatal(err)
		}
		write(t, theirs)
		for range 3 {
			round(t, r)
		}
		if r.Forget(ours); got != tc.want {
			t.Errorf("%s: %d events in three rounds, want %d", tc.name, got, tc.want)
		}
		round(t, r)
		if got != tc.want {
			t.Errorf("%s: an event after Forget", tc.name)
		}
	}
}

// A task posted by a task runs in the next round: events come in between.
func TestTasksThatPostTheirSuccessor(t *testing.T) {
	r := open(t, new(host))
	ours, theirs := pair(t)
	var order []string
	if err := r.WatchInput(ours, &funcs{event: func(int,
		Events,
	) {
		order = append(order, "event")
	}}); err != nil {
		t.Fatal(err)
	}
	var again func(any)
	again = func(any) {
		order = append(order, "task")
		if len(order) < 100 {
			r.Post(again, nil)
		}
	}
	r.Post(again, nil)
	round(t, r)
	write(t, theirs)
	round(t, r)
	if want := []string{"task", "event", "task"}; len(order) != 3 || order[0] != want[0] || order[1] != want[1] {
		t.Errorf("got %v, want %v", order, want)
	}
}

// Work left at the end of a round is done in the next, without waiting.
func TestWorkThatIsLeft(t *testing.T) {
	h := new(host)
	r := open(t, h)
	rounds := 0
	h.roundEnd = func() bool {
		if rounds++; rounds == 5 {
			r.Stop()
		}
		return rounds < 5
	}
	if err := r.Run(); err != nil || rounds != 5 {
		t.Errorf("%d rounds, %v; want 5", rounds, err)
	}
}

// A panic ends the turn in which it happens, not the reactor.
func TestPanic(t *testing.T) {
	h := new(host)
	r := open(t, h)
	ours, theirs := pair(t)
	if err := r.WatchInput(ours, &funcs{event: func(int, Events) { panic("event") }}); err != nil {
		t.Fatal(err)
	}
	timer := Timer{Owner: &funcs{timer: func() { panic("timer") }}}
	r.SetTimer(&timer, 1)
	write(t, theirs)
	for deadline := time.Now().Add(10 * time.Second); h.turns < 2 && time.Now().Before(deadline); {
		if _, err := r.Round(true); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.panics) != 2 || h.panics[0] != "event" || h.panics[1] != "timer" {
		t.Errorf("got panics %v", h.panics)
	}
}

// A timer wakes a waiting reactor, and not too early.
func TestTimerWakes(t *testing.T) {
	eachWay(t, testTimerWakes)
}

// eachWay runs a test with a reactor for each way to wait.
func eachWay(t *testing.T, test func(t *testing.T, h *host, r *Reactor)) {
	t.Helper()
	for name, o := range map[string]Options{
		"epoll_wait": {}, "keeps its P": {KeepsP: true}, "parked": {Parks: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := new(host)
			o.Host, o.Tick = h, time.Millisecond
			test(t, h, openWith(t, o))
		})
	}
}

func testTimerWakes(t *testing.T, h *host, r *Reactor) {
	fired := make(chan uint64, 1)
	timer := Timer{Owner: &funcs{timer: func() { fired <- h.tick }}}
	r.Post(func(any) { r.SetTimer(&timer, 20) }, nil)
	run(t, r)
	if got := <-fired; got < 20 {
		t.Errorf("fired at tick %d, want 20", got)
	}
}

// The collector gets its pauses while a reactor waits or works.
func TestCollections(t *testing.T) { eachWay(t, testCollections) }

func testCollections(t *testing.T, _ *host, r *Reactor) {
	run(t, r)
	for range 20 {
		ran := make(chan bool)
		r.Post(func(any) { close(ran) }, nil)
		runtime.GC()
		<-ran
	}
}

// All tasks of many goroutines run once each, in the order of their goroutine, while the reactor
// keeps falling asleep.
func TestPostFromManyGoroutines(t *testing.T) { eachWay(t, testPostFromManyGoroutines) }

func testPostFromManyGoroutines(t *testing.T, _ *host, r *Reactor) {
	const posters, each = 8, 2000
	next := make([]int, posters)
	var ran atomic.Int64
	run(t, r)
	var posting sync.WaitGroup
	for p := range posters {
		posting.Go(func() {
			for i := range each {
				r.Post(func(arg any) {
					if next[p] != arg.(int) {
						t.Errorf("task %d of goroutine %d, want %d", arg, p, next[p])
					}
					next[p]++
					ran.Add(1)
				}, i)
				if i%100 == 0 {
					time.Sleep(time.Microsecond)
				}
			}
		})
	}
	posting.Wait()
	done := make(chan bool)
	r.Post(func(any) { close(done) }, nil)
	<-done
	if got := ran.Load(); got != posters*each {
		t.Errorf("%d tasks ran, want %d", got, posters*each)
	}
}

// A handler with first claim gets its events before others, even those whose events came earlier,
// and has then all that a look at epoll has brought, unless the look was full.
func TestFirstClaim(t *testing.T) {
	r := open(t, new(host))
	var order []string
	watch := func(name string) (ours, theirs int) {
		ours, theirs = pair(t)
		if err := r.WatchInput(ours, &funcs{event: func(int,
			Events,
		) {
			order = append(order, name)
		}}); err != nil {
			t.Fatal(err)
		}
		return ours, theirs
	}
	_, first := watch("an early event")
	ours, second := watch("")
	r.GiveFirst(ours, &funcs{event: func(int, Events) {
		order = append(order, "first claim")
		if !r.Known(time.Minute) {
			t.Error("the look was not complete")
		}
	}})
	write(t, first)
	write(t, second)
	round(t, r)
	if want := "first claim, an early event"; strings.Join(order, ", ") != want {
		t.Errorf("got %v, want %s", order, want)
	}
	if r.Known(-1) {
		t.Error("it was before it was")
	}
	for range maxEvents {
		_, theirs := watch("one of many")
		write(t, theirs)
	}
	round(t, r)
	if r.Known(time.Minute) {
		t.Errorf("a look that brought %d events may have left some", r.got)
	}
}
