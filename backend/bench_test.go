package backend_test

import (
	"fmt"
	"slices"
	"testing"

	"reprise/backend"
)

// BenchmarkPick is a Pick and its Release, by one loop and by one on each core.
func BenchmarkPick(b *testing.B) {
	for _, nodes := range []int{3, 100} {
		for balance, name := range []string{"round-robin", "least-connections", "source", "two-choices"} {
			o := backend.Options{Balance: backend.Balance(balance)}
			b.Run(fmt.Sprintf("balance=%s/nodes=%d/loops=1", name, nodes), func(b *testing.B) {
				b.ReportAllocs()
				p, c := newPool(b, specs(slices.Repeat([]int{1}, nodes)...), o), new(backend.Cursor)
				for i := 0; b.Loop(); i++ {
					n, _ := p.Pick(c, client(i), nil, start)
					n.Release()
				}
			})
			b.Run(fmt.Sprintf("balance=%s/nodes=%d/loops=all", name, nodes), func(b *testing.B) {
				b.ReportAllocs()
				p := newPool(b, specs(slices.Repeat([]int{1}, nodes)...), o)
				b.RunParallel(func(pb *testing.PB) {
					c := new(backend.Cursor)
					for i := 0; pb.Next(); i++ {
						n, _ := p.Pick(c, client(i), nil, start)
						n.Release()
					}
				})
			})
		}
	}
}
