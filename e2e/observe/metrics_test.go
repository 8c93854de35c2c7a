package observe

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestMetricsOfAFleetAreClean: promtool, which knows the conventions, reports nothing about the
// metrics of a node that has peers, certificates and backends, and has served something.
func TestMetricsOfAFleetAreClean(t *testing.T) {
	nettest.Need(t, "promtool")
	f := healthyFleet(t, 3)
	f.visit(0)
	text := f.nodes[0].get("/metrics")
	r := nettest.Run(t, nettest.Command{Path: "promtool", Args: []string{"check", "metrics"}, Stdin: strings.NewReader(text)})
	if r.ExitCode != 0 || r.Stdout+r.Stderr != "" {
		t.Errorf("promtool check metrics: exit code %d\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
	}
	got := f.nodes[0].series()
	for series, want := range map[string]float64{
		"reprise_replication_configured_peers": 2,
		"reprise_replication_alive_peers":      2,
		`reprise_backends_pools_request_duration_seconds_count{class="2xx",pool="default",router="http"}`: 1,
		`reprise_engine_tls_handshake_duration_seconds_count{kind="tls13_full"}`:                          1,
	} {
		if v, ok := got[series]; !ok || v != want {
			t.Errorf("%s: got %v (there: %v), want %v", series, v, ok, want)
		}
	}
}

// TestRestartsOfAPeerMakeNoSeries: a peer is named by its configuration, not by an id of one run.
func TestRestartsOfAPeerMakeNoSeries(t *testing.T) {
	f := healthyFleet(t, 3)
	before := peerSeries(f.nodes[0])
	for i := range 20 {
		f.nodes[1].Stop()
		f.run(1, f.secret, f.cert)
		f.nodes[0].await(`reprise_replication_introduced_total`, float64(3+i))
	}
	f.nodes[0].await("reprise_replication_alive_peers", 2)
	if after := peerSeries(f.nodes[0]); !slices.Equal(before, after) {
		t.Errorf("%d series became %d:\n%s", len(before), len(after), strings.Join(after, "\n"))
	}
}

// peerSeries are the names of all series of a node, sorted.
func peerSeries(n *node) []string {
	return slices.Sorted(maps.Keys(n.series()))
}

// healthyFleet runs n nodes with one secret, a certificate that lasts, and peers that know each
// other.
func healthyFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := newFleet(t, n)
	f.secret = harness.SecretFile(t)
	f.cert = f.pki.Issue(testpki.Template{
		Names:    []string{"localhost"},
		NotAfter: time.Now().Add(90 * 24 * time.Hour),
	})
	for i := range n {
		f.run(i, f.secret, f.cert)
	}
	for _, node := range f.nodes {
		node.await("reprise_replication_alive_peers", float64(n-1))
	}
	return f
}
