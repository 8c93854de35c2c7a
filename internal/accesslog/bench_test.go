package accesslog

import "testing"

// BenchmarkWrite measures the cost of a line for the loop, while the writer sleeps.
func BenchmarkWrite(b *testing.B) {
	for name, format := range map[string]Format{"json": JSON, "combined": Combined} {
		b.Run("format="+name, func(b *testing.B) {
			l := &Log{format: format, queue: make(chan *line, 1024)}
			b.ReportAllocs()
			for e := request(); b.Loop(); {
				l.Write(e)
				if len(l.queue) == cap(l.queue) {
					b.StopTimer()
					for len(l.queue) > 0 {
						pool.Put(<-l.queue)
					}
					b.StartTimer()
				}
			}
		})
	}
}
