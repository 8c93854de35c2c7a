package backend_test

import (
	"fmt"
	"testing"
	"time"

	"reprise/backend"
)

func nodes(n int) []*backend.Node {
	var list []*backend.Node
	for i := range n {
		list = append(list, &backend.Node{Network: "tcp", Address: fmt.Sprintf("127.0.0.1:%d", 9000+i)})
	}
	return list
}

func picks(p *backend.Pool, c *backend.Cursor, now time.Time, n int) (got []string) {
	for range n {
		got = append(got, p.Pick(c, now).Address[len("127.0.0.1:900"):])
	}
	return got
}

func TestPick(t *testing.T) {
	start := time.Unix(1000, 0)
	tests := []struct {
		name   string
		failed map[int]time.Time
		now    time.Time
		want   string
	}{
		{"round robin", nil, start, "[0 1 2 0 1 2]"},
		{"failed is left alone", map[int]time.Time{1: start}, start.Add(time.Second), "[0 2 0 2 0 2]"},
		{"comes back after the grace", map[int]time.Time{1: start}, start.Add(30 * time.Second), "[0 1 2 0 1 2]"},
		{
			"all failed: the one that failed first is probed",
			map[int]time.Time{0: start.Add(2), 1: start.Add(1), 2: start.Add(3)},
			start.Add(time.Second), "[1 1 1 1 1 1]",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			list := nodes(3)
			p, err := backend.NewPool(list, 30*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for i, at := range test.failed {
				list[i].Failed(at)
			}
			var c backend.Cursor
			if got := fmt.Sprint(picks(p, &c, test.now, 6)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestConnectedHealsAndCounts(t *testing.T) {
	list := nodes(2)
	p, err := backend.NewPool(list, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1000, 0)
	list[0].Failed(at)
	if s := p.Stats()[0]; s.Up != 0 || s.Grace != 1000 || s.Failures != 1 {
		t.Errorf("after a failure: %+v", s)
	}
	list[0].Connected()
	if s := p.Stats()[0]; s.Up != 1 || s.Grace != 0 || s.Hits != 1 {
		t.Errorf("after a connection: %+v", s)
	}
}

func TestEmptyPool(t *testing.T) {
	if _, err := backend.NewPool(nil, 0); err == nil {
		t.Error("a pool without nodes was accepted")
	}
}

func ExamplePool() {
	p, _ := backend.NewPool([]*backend.Node{
		{Network: "tcp", Address: "127.0.0.1:9000"},
		{Network: "tcp", Address: "127.0.0.1:9001"},
	}, 30*time.Second)
	var c backend.Cursor // each loop has its own
	now := time.Now()
	n := p.Pick(&c, now)
	n.Failed(now) // connection refused
	fmt.Println(n.Address, p.Pick(&c, now).Address, p.Pick(&c, now).Address)
	// Output: 127.0.0.1:9000 127.0.0.1:9001 127.0.0.1:9001
}
