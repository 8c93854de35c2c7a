package backend_test

import (
	"fmt"
	"testing"
	"time"

	"reprise/backend"
)

func TestPickDoesNotAllocate(t *testing.T) {
	for _, balance := range []backend.Balance{
		backend.RoundRobin, backend.LeastConns, backend.Source,
		backend.TwoChoices,
	} {
		p := newPool(t, limited(specs(1, 2, 3), 1, 1, 1),
			backend.Options{Balance: balance, QueueLen: 1, SlowStart: time.Hour})
		var c backend.Cursor
		p.Nodes()[1].SetDraining(true)
		p.Nodes()[1].SetDraining(false)
		once := func() {
			for range 3 {
				n, _ := p.Pick(&c, client(1), nil, start)
				n.Endpoint(&c)
				n.Connected()
			}
			if _, verdict := p.Pick(&c, client(1), p.Nodes()[0], start); verdict != backend.Full ||
				!p.Enqueue() {
				t.Fatal("not full")
			}
			p.Dequeue()
			for _, n := range p.Nodes() {
				n.Release()
			}
		}
		once() // the cursor's first use
		if allocs := testing.AllocsPerRun(100, once); allocs != 0 {
			t.Errorf("balance %v: got %v allocations, want 0", fmt.Sprint(balance), allocs)
		}
	}
}
