package reactor_test

import (
	"fmt"
	"time"

	"reprise/internal/reactor"
)

// A clock is the smallest host: it has one timer and no descriptor.
type clock struct {
	reactor *reactor.Reactor
	timer   reactor.Timer
}

func (c *clock) TurnBegins(time.Time, uint64)                 {}
func (c *clock) TurnEnds(reactor.Handler, time.Duration, any) {}
func (c *clock) RoundEnds() bool                              { return false }
func (c *clock) OnEvent(int, reactor.Events)                  {}
func (c *clock) OnTimer()                                     { fmt.Println("it is time"); c.reactor.Stop() }

func Example() {
	c := new(clock)
	var err error
	if c.reactor, err = reactor.Open(reactor.Options{Host: c, Tick: time.Millisecond}); err != nil {
		fmt.Println(err)
		return
	}
	defer c.reactor.Close()
	c.timer.Owner = c
	c.reactor.SetTimer(&c.timer, 10)
	if err := c.reactor.Run(); err != nil {
		fmt.Println(err)
	}
	// Output: it is time
}
