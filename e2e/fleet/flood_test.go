package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// A flood sends datagrams made without the secret that look like those of the fleet, each with
// another sender and other contents.
type flood struct {
	sent   int
	took   time.Duration
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// startFlood sends to the nodes in turn, so many datagrams per second in all, or as
// many as one sender can if rate is 0. Their first three bytes, of the version and of
// the secret's id, are those of genuine ones.
func (f *fleet) startFlood(genuine [][]byte, rate int, nodes ...int) *flood {
	f.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	fl := &flood{cancel: cancel}
	var conns []net.Conn
	for _, i := range nodes {
		conn, err := net.Dial("udp", f.UDP(i))
		if err != nil {
			f.T.Fatal(err)
		}
		conns = append(conns, conn)
	}
	fl.done.Go(func() {
		random := rand.New(rand.NewPCG(1, 2))
		begun := time.Now()
		for ctx.Err() == nil {
			d := bytes.Clone(genuine[fl.sent%len(genuine)])
			for i := 3; i < min(len(d), 26); i++ {
				d[i] = byte(random.Uint32())
			}
			_, _ = conns[fl.sent%len(conns)].Write(d) // a full buffer is no concern of the flood
			fl.sent++
			if rate > 0 && fl.sent%64 == 0 {
				time.Sleep(time.Until(begun.Add(time.Duration(fl.sent) * time.Second / time.Duration(rate))))
			}
		}
		fl.took = time.Since(begun)
		for _, conn := range conns {
			conn.Close()
		}
	})
	f.T.Cleanup(func() { fl.stop() })
	return fl
}

// stop ends the flood and returns how many datagrams per second it was.
func (fl *flood) stop() (rate float64) {
	fl.cancel()
	fl.done.Wait()
	return float64(fl.sent) / fl.took.Seconds()
}

// genuineDatagrams returns datagrams of nodes of a fleet with f's secret.
func (f *fleet) genuineDatagrams() (list [][]byte) {
	f.T.Helper()
	other := newFleet(f.T, 2, quickFleet...)
	other.Secret = f.Secret
	n := newNetwork(other.Fleet)
	other.RunAll()
	for _, h := range other.hold(0) {
		other.wantAll(1, []holder{h})
	}
	for i := range other.Nodes {
		other.Nodes[i].Stop()
	}
	for _, c := range n.captured() {
		list = append(list, c.datagram)
	}
	return list
}

// TestInventedSendersDoNotDelayAJoin: a node is introduced to its peers while an attacker without
// the secret invents 26,000 senders a second for each.
func TestInventedSendersDoNotDelayAJoin(t *testing.T) {
	const rate = 26_000
	f := newFleet(t, 2, patientLookup) // nodes speak as often as they do by default
	genuine := f.genuineDatagrams()
	f.Run(0)
	held := f.hold(0)
	const joins = 5
	join := func() (each time.Duration) {
		begun := time.Now()
		for range joins {
			f.Run(1)
			f.AwaitIntroduced()
			each += time.Since(begun) / joins
			f.wantAll(1, held)
			f.Nodes[1].Stop()
			f.Nodes[1] = nil
			begun = time.Now()
		}
		return each
	}
	alone := join()
	fl := f.startFlood(genuine, 2*rate, 0, 1)
	beside := join()
	t.Logf("a join, with the start of the process, takes %v alone and %v beside %.0f invented senders a second", alone, beside, fl.stop())
	if beside > alone+time.Second {
		t.Errorf("joins took %v each, %v without invented senders", beside, alone)
	}
}

// TestGarbageFlood: nodes keep their peers and answer look-ups while one sender sends garbage as
// fast as it can.
func TestGarbageFlood(t *testing.T) {
	const while = 3 * time.Second
	f := newFleet(t, 2, "--cache-replication=pull", "--cache-udp-heartbeat=200ms", "--cache-udp-dead-after=2s", "--cache-lookup-timeout=250ms")
	genuine := f.genuineDatagrams()
	f.RunAll()
	holders := make([]*goHolder, 20)
	for i := range holders {
		holders[i] = f.goHolder(0, tls.VersionTLS13)
	}
	fl := f.startFlood(genuine, 0, 1)
	begun, visits, resumed := time.Now(), 0, 0
	for ; time.Since(begun) < while; visits++ {
		// Each look-up leaves the process: a pulled session is not kept.
		if f.resumes(1, holders[visits%len(holders)]) {
			resumed++
		}
		for i, n := range f.Nodes {
			for _, p := range n.Shared().Replication.Peers {
				if p.Alive != 1 || p.Introduced != 1 {
					t.Fatalf("node %d has lost its peer %v after %v", i, p, time.Since(begun))
				}
			}
		}
	}
	rate := fl.stop()
	d := f.Nodes[1].Shared().Replication
	t.Logf("%d of %d look-ups found beside %.0f datagrams a second; %d arrived, dropped: %v", resumed, visits, rate, d.ReceivedDatagrams, d.Dropped)
	if rate < 20_000 {
		t.Skipf("one sender makes only %.0f datagrams a second on this machine", rate)
	}
	if resumed*100 < visits*95 {
		t.Errorf("%d of %d look-ups found, want 95 %%", resumed, visits)
	}
	nettest.Eventually(t, harness.Patience,
		func() bool { return f.resumes(1, f.goHolder(0, tls.VersionTLS13)) }, "look-ups are answered afterwards")
}
