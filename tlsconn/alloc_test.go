//go:build !race

// Under the race detector sync.Pool, from which crypto/tls takes its output buffers, drops buffers
// at random.

package tlsconn_test

import "testing"

func TestRecordsCostNoAllocation(t *testing.T) {
	onEach(t, func(t *testing.T, e engine) {
		if e.allocates {
			t.Skip("this engine does")
		}
		for _, version := range versions {
			for _, size := range []int{1, 100, 16 << 10} {
				client, _ := clientOf(version.id)
				p := newPair(t, e.server(t), client).doHandshake()
				plaintext := make([]byte, size)
				const runs = 100
				var records [][]byte
				for range runs + 1 { // AllocsPerRun warms up once
					p.link.toServer = nil
					p.client.Write(plaintext)
					records = append(records, p.link.toServer)
				}
				buf, out := make([]byte, 16<<10), make([]byte, 0, 32<<10)
				got := testing.AllocsPerRun(runs, func() {
					read := 0
					p.conn.Feed(nil, records[0])
					for {
						n, _ := p.conn.Read(nil, buf)
						if n == 0 {
							break
						}
						read += n
					}
					if read != size {
						t.Fatalf("read %d bytes, want %d", read, size)
					}
					records = records[1:]
					out = p.conn.Write(out[:0], plaintext)
				})
				if got != 0 {
					t.Errorf("%s, %d bytes in and out: %v allocations, want 0", version.name, size, got)
				}
			}
		}
	})
}
