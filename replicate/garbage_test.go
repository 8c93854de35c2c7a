package replicate

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/replicate/udp"
	"reprise/replicate/wire"
)

// A node under a flood of garbage, a tenth of which has the version and the secret's
// id of its fleet, keeps its peers and answers look-ups, and so do they.
func TestGarbage(t *testing.T) {
	const lasting = time.Second
	fleet := loopbackFleet(t, 2, nil)
	a, b := fleet[0], fleet[1]
	target := b.sockets.List[0].Addr
	sockets, err := udp.Open(&udp.Network{Peers: []netip.AddrPort{target}})
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	const asks = 100
	for i := range asks {
		a.memory.Put(simKey(i), []byte("session"), 0, time.Minute, false)
		b.memory.Put(simKey(asks+i), []byte("session"), 0, time.Minute, false)
	}
	stop := sendGarbage(sockets, target, a.node.secrets[0].ID())
	found := 0
	answers := make(chan bool, 1)
	began := time.Now()
	for i := range asks {
		asker, owner, key := a, b, simKey(asks+i)
		if i%2 == 0 {
			asker, owner, key = b, a, simKey(i)
		}
		asker.TryAsk(&Question{
			Key: key, Owner: owner.node.id,
			Answer: func(r Reply) { answers <- r.Verdict == Found },
		})
		if <-answers {
			found++
		}
	}
	<-time.After(lasting - time.Since(began))
	sent := stop()
	took := time.Since(began)
	for _, l := range fleet {
		if s := l.Stats(); len(s.Peers) != 1 || s.Peers[0].Alive != 1 {
			t.Errorf("peers after the flood: %+v", s.Peers)
		}
	}
	if found < asks*95/100 {
		t.Errorf("%d of %d look-ups were answered", found, asks)
	}
	t.Logf("%.0f datagrams of garbage a second: %d of %d look-ups answered; dropped %v", float64(sent)/took.Seconds(), found, asks, b.Stats().Dropped.Counts())
	nettest.Eventually(t, 10*time.Second,
		func() bool { return b.Stats().Dropped.Load(dropReason(wire.Forged)) > 0 }, "no garbage arrived")
}

// sendGarbage sends it until it is stopped, a tenth with a version and a secret's id.
func sendGarbage(sockets *udp.Sockets, target netip.AddrPort,
	secret byte,
) (stop func() (sent int)) {
	const perMillisecond = 100
	end, stopped := make(chan struct{}), make(chan int)
	go func() {
		rnd, d, sent := rand.New(rand.NewPCG(1, 2)), make([]byte, 300), 0
		for ticker := time.NewTicker(time.Millisecond); ; <-ticker.C {
			for i := range perMillisecond {
				for j := 0; j+8 <= len(d); j += 8 {
					*(*[8]byte)(d[j:]) = [8]byte{byte(rnd.Uint32()), byte(i), byte(j)}
				}
				if i%10 == 0 {
					d[0], d[1], d[2] = wire.Version, byte(wire.KindSealed), secret
				}
				sockets.Send(target, d[:60+rnd.IntN(240)])
			}
			sockets.Flush()
			sent += perMillisecond
			select {
			case <-end:
				stopped <- sent
				return
			default:
			}
		}
	}()
	return func() int {
		close(end)
		return <-stopped
	}
}
