package supervise_test

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"reprise/internal/supervise"
)

func Example() {
	p, err := supervise.Start(supervise.Command{
		Path:       "sleep",
		Args:       []string{"100"},
		StopSignal: syscall.SIGINT,
		Log:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Stats().Starts, "start")

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(p.Close(ctx), p.Stats().LastExit)
	// Output:
	// 1 start
	// <nil> signal: interrupt
}
