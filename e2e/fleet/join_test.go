package fleet

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"testing"
	"time"

	"reprise/config"
	"reprise/e2e/harness"
	"reprise/internal/asynclog"
	"reprise/internal/nettest"
	"reprise/node"
	"reprise/tlsconn"
)

// TestJoinLargeFleet: a node that starts beside one with many sessions has them
// within seconds, and both serve meanwhile.
func TestJoinLargeFleet(t *testing.T) {
	sessions := 200_000
	if harness.RaceEnabled {
		sessions = 10_000
	}
	const cacheOption = "--cache2=name=ssl,items=250000,keysize=128,blocksize=4096"
	f := harness.NewFleet(t, 2, "push+pull", cacheOption, harness.PatientLookup)
	f.Backend = nettest.Serve(t, nettest.Echo).Addr
	donor := donorNode(t, f.Args(0))
	fill(donor, sessions)
	donor.Start()
	held := map[uint16]*harness.OneSession{}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, w := harness.OneSessionConfig(f.PKI, version)
		harness.Visit(t, f.TLS(0), client)
		held[version] = w
	}
	fresh := harness.With(harness.ClientConfig(f.PKI), harness.NoResumption)
	stop := pinging(t, f.TLS(0), fresh)
	var alone chronicle
	for range 100 {
		begun := time.Now()
		harness.Visit(t, f.TLS(0), fresh)
		alone = append(alone, time.Since(begun))
	}
	keptAlone := stop()

	stop = pinging(t, f.TLS(0), fresh)
	defer stop()
	begun := time.Now()
	f.Run(1)
	var giving, joining chronicle
	nettest.Eventually(t, harness.Patience, func() bool {
		for i, took := range []*chronicle{&giving, &joining} {
			begun := time.Now()
			harness.Visit(t, f.TLS(i), fresh)
			*took = append(*took, time.Since(begun))
		}
		return f.Nodes[1].Document().Caches[0].Items >= sessions*99/100
	}, "99 %% of the sessions are there")
	t.Logf("99 %% of %d sessions are there %v after the start of the process", sessions, time.Since(begun).Round(time.Millisecond))
	t.Logf("donor alone: connections %v; an established flow %v", alone, keptAlone)
	t.Logf("giving:      connections %v; an established flow %v", giving, stop())
	t.Logf("joining:     connections %v", joining)
	turn := donor.EngineStats().Flows.Turn.Snapshot()
	t.Logf("donor's loop: p99 of a turn %v", turn.Quantile(0.99))
	nettest.Eventually(t, harness.Patience,
		func() bool { return f.Nodes[1].Shared().Replication.Join == "done" }, "the join ends")

	for version, w := range held {
		client, _ := harness.OneSessionConfig(f.PKI, version)
		before := f.Nodes[1].Document()
		harness.WantResumed(t, f.TLS(1), harness.Offering(client, w.Session), true)
		f.Nodes[1].WantOutcomes(before, map[string]uint64{"resumed_pushed": 1})
	}
}

// fill gives a node sessions that no client has.
func fill(donor *node.Node, sessions int) {
	state := make([]byte, 600) // as long as one for a client without certificate, about
	for range sessions {
		var key tlsconn.Key
		rand.Read(key[:])
		rand.Read(state)
		donor.Sessions().Put(key, state, 0, time.Hour, false)
	}
}

// donorNode makes a node in this process, so that its memory can be filled. It does
// not serve yet.
func donorNode(t *testing.T, args []string) *node.Node {
	t.Helper()
	c, err := config.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	log := asynclog.New(io.Discard, node.LogLines)
	t.Cleanup(log.Close)
	n, err := node.New(node.Program{}, c, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
		defer cancel()
		n.Drain(ctx)
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}
