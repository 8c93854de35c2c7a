package stats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"reprise/internal/metric"
	"reprise/stats"
)

// A part registers a snapshot; a client that connects reads it.
func Example() {
	type snapshot struct {
		Accepted uint64 `json:"accepted" metric:"counter" help:"Connections accepted."`
	}
	var accepted metric.Counter
	accepted.Add(3)

	r := stats.NewRegistry("1.0")
	r.Register("flows", func() any { return snapshot{Accepted: accepted.Load()} })
	s, err := stats.ListenJSON("127.0.0.1:0", r, stats.JSONOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Shutdown(context.Background())

	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	var document struct {
		Version string
		Flows   snapshot
	}
	if err := json.NewDecoder(c).Decode(&document); err != nil {
		fmt.Println(err)
	}
	fmt.Println(document.Version, document.Flows.Accepted)
	// Output: 1.0 3
}
