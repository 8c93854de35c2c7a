package handshake

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

const (
	// longTurn is a bound of the node's histogram: no turn should take longer.
	longTurn = 2048 * time.Microsecond
	// maxTurn is how much CPU time turns under attack may take on average: the time of a turn, and
	// its last piece.
	maxTurn = time.Millisecond
)

// TestNoTurnIsLong: work that costs a client a few bytes, such as a chunk, a request answered here
// or a record, is not done by the thousand while others wait.
//
// A busy machine takes the loop's core away in the middle of turns, which then look long. So the
// bound is on the CPU time of the turns, nearly all of which is the attack's. The wait of another
// connection of the loop, and the longest turn, are printed: on a quiet core 1 to 3 ms at most, and
// 1 ms (at 7ed34b5: 200 and 125 ms).
func TestNoTurnIsLong(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tc := range []struct {
		name   string
		attack func(t *testing.T, n *node, web, redirect string) (conn io.WriteCloser, burst []byte)
	}{
		{"chunks of a byte", func(t *testing.T, _ *node, web, _ string) (io.WriteCloser, []byte) {
			conn, err := nettest.Dial(web)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, chunked); err != nil {
				t.Fatal(err)
			}
			return conn, []byte(strings.Repeat("1\r\nx\r\n", 50_000))
		}},
		{"pipelined requests", func(t *testing.T, _ *node, _, redirect string) (io.WriteCloser, []byte) {
			conn, err := nettest.Dial(redirect)
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			return conn, []byte(strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 10_000))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			web, redirect := nettest.FreeAddr(t), nettest.FreeAddr(t)
			n := start(t, testpki.ECDSA, "", "--http", web, "--http-to=http://"+nettest.Serve(t, nettest.Discard).Addr, "--http-to-https", redirect)
			conn, burst := tc.attack(t, n, web, redirect)
			judgeTurns(t, n, conn, func() []byte { return burst })
		})
	}
	t.Run("records of a byte", func(t *testing.T) {
		n := start(t, testpki.ECDSA, "")
		c := n.connectRaw(t)
		go func() { _, _ = io.Copy(io.Discard, c) }()
		judgeTurns(t, n, c, func() []byte {
			var burst []byte
			for range 5_000 {
				burst = c.appendRecord(burst, typeData, 'x')
			}
			return burst
		})
	})
}

// judgeTurns writes bursts while another connection of the loop is used, and compares the node's
// turns with their bound.
func judgeTurns(t *testing.T, n *node, conn io.WriteCloser, next func() []byte) {
	t.Helper()
	other := n.connect(t, n.config(0))
	stop := make(chan struct{})
	var attack sync.WaitGroup
	bursts := 0
	attack.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := conn.Write(next()); err != nil {
				return
			}
			bursts++
		}
	})
	var waits []time.Duration
	before, err := nettest.CPUTime(n.Pid())
	if err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); time.Since(begun) < 2*time.Second; {
		asked := time.Now()
		if err := harness.Ping(other); err != nil {
			t.Fatal(err)
		}
		waits = append(waits, time.Since(asked))
	}
	after, err := nettest.CPUTime(n.Pid())
	if err != nil {
		t.Fatal(err)
	}
	close(stop)
	conn.Close()
	attack.Wait()
	slices.Sort(waits)
	all, long, longest := n.turns(t)
	middle := waits[len(waits)/2]
	mean := (after - before) / time.Duration(all)
	t.Logf("%d bursts; %v of CPU time a turn; waits: %v in the middle, 99%% %v, %v at most; %d of %d turns longer than %v, the longest %v",
		bursts, mean, middle, waits[len(waits)*99/100], waits[len(waits)-1], long, all, longTurn, longest)
	if bursts < 2 {
		t.Errorf("%d bursts got to the node: the attack did not take place", bursts)
	}
	if mean > maxTurn {
		t.Errorf("a turn takes %v of CPU time, want %v at most", mean, maxTurn)
	}
}

// turns returns how many turns the node's loop has had, how many were longer than
// longTurn, and the longest.
func (n *node) turns(t *testing.T) (all, long uint64, longest time.Duration) {
	t.Helper()
	var stats struct {
		Engine struct {
			Flows struct {
				Turn struct {
					Count   uint64            `json:"count"`
					MaxUS   float64           `json:"max_us"`
					Buckets map[string]uint64 `json:"buckets_us"`
				} `json:"turn"`
			} `json:"flows"`
		} `json:"engine"`
	}
	n.Decode(&stats)
	turn := stats.Engine.Flows.Turn
	for bound, n := range turn.Buckets {
		if us, err := strconv.ParseFloat(bound, 64); err != nil ||
			us > float64(longTurn/time.Microsecond) {
			long += n // "+Inf" too, which parses
		}
	}
	if turn.Count == 0 {
		t.Fatal("the node tells of no turn")
	}
	return turn.Count, long, time.Duration(turn.MaxUS * float64(time.Microsecond))
}
