package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"reprise/e2e/harness"
)

// TestMulticast: nodes need to know only one group.
func TestMulticast(t *testing.T) {
	f := harness.NewFleet(t, 3, "push+pull", harness.PatientLookup)
	group := fmt.Sprintf("239.255.77.77:%d", f.UDPPort)
	f.Peer = func(_, _ int) string { return "" }
	for i := range f.Nodes {
		args := slices.DeleteFunc(f.Args(i), func(arg string) bool { return strings.HasPrefix(arg, "--cache-udp-server") })
		f.Nodes[i] = harness.Start(t, append(args, "--cache-udp-server="+group, "--cache-udp-node="+group, "--cache-udp-interface=lo")...)
	}
	f.AwaitIntroduced()
	f.WantShared("resumed_pushed")
	for i, s := range f.Nodes {
		// A node that listens to a group hears itself.
		got := harness.Since(s.Shared().Replication.Dropped, nil)
		reflected := got["reflected"]
		delete(got, "reflected")
		delete(got, "not_introduced") // datagrams before the introduction
		delete(got, "replayed")       // an introduction's messages are repeated when an answer takes long
		if reflected == 0 || len(got) > 0 {
			t.Errorf("node %d dropped %d of its own datagrams and %v, want nothing else", i, reflected, got)
		}
	}
}

// TestNamedCaches: a cache may have addresses of its own, as in uWSGI's document.
func TestNamedCaches(t *testing.T) {
	t.Parallel()
	f := harness.NewFleet(t, 2, "push+pull", harness.PatientLookup)
	for i := range f.Nodes {
		f.Nodes[i] = harness.Start(t, "--sslrouter2=addr="+f.TLS(i)+","+f.Listener, harness.To(f.Backend), "--sslrouter-session-context=foobar",
			"--cache2=name=ssl,items=20000,keysize=128,blocksize=4096,node="+f.UDP(1-i)+",udp="+f.UDP(i),
			"--ssl-sessions-use-cache=ssl", "--ssl-sessions-timeout=300", harness.PatientLookup)
	}
	f.AwaitIntroduced()
	f.WantShared("resumed_pushed")
	if c := f.Nodes[1].Document().Caches[0]; c.Name != "ssl" || c.Items == 0 {
		t.Errorf("cache %q has %d items", c.Name, c.Items)
	}
}
