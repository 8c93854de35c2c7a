package fleet

import (
	"crypto/tls"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// TestForget: sessions that are forgotten at one node resume at none.
func TestForget(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"push+pull", "pull"} {
		t.Run(mode, func(t *testing.T) {
			f := harness.StartFleet(t, 3, mode, harness.PatientLookup)
			for _, test := range []struct {
				name     string
				args     []string
				others   bool // sessions for another name are forgotten too
				listener int
			}{
				{"sni", []string{"--sni", "localhost"}, false, 0},
				{"listener", []string{"--listener", f.TLS(1)}, true, 1},
				{"all", []string{"--all"}, true, 2},
			} {
				t.Run(test.name, func(t *testing.T) {
					harness.ForEachVersion(t, func(t *testing.T, version uint16) {
						config, w := harness.OneSessionConfig(f.PKI, version)
						other, otherW := harness.OneSessionConfig(f.PKI, version)
						other.ServerName = "other.example"
						harness.AskLine(t, f.TLS(0), config)
						harness.AskLine(t, f.TLS(0), other)
						config, other = harness.Offering(config, w.Session), harness.Offering(other, otherW.Session)
						for i := range f.Nodes {
							f.AwaitPushed()
							if !harness.AskLine(t, f.TLS(i), config).DidResume ||
								!harness.AskLine(t, f.TLS(i), other).DidResume {
								t.Fatalf("node %d: not resumed before", i)
							}
						}
						r := f.ForgetAt(test.listener, test.args...)
						if r.ExitCode != 0 || strings.Count(r.Stdout, "forgotten at ") != 2 || !strings.Contains(r.Stdout, "forgotten here: ") {
							t.Fatalf("exit code %d, want 0 and three nodes that have forgotten:\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
						}
						for i := range f.Nodes {
							if harness.AskLine(t, f.TLS(i), config).DidResume {
								t.Errorf("node %d: resumed what was forgotten", i)
							}
							if got := harness.AskLine(t, f.TLS(i), other).DidResume; got == test.others {
								t.Errorf("node %d: of another name: resumed is %v", i, got)
							}
						}
					})
				})
			}
		})
	}
}

// TestForgetRefuses: the command refuses a name that no client can have sent, and the nodes refuse
// an unknown listener.
func TestForgetRefuses(t *testing.T) {
	t.Parallel()
	f := startFleet(t, 1)
	if r := f.ForgetAt(0, "--listener", "/nowhere/socket"); r.ExitCode != harness.ExitFailure || !strings.Contains(r.Stderr, "no listener") {
		t.Errorf("no such listener: exit code %d\n%s", r.ExitCode, r.Stderr)
	}
	r := harness.Run(t, "forget", "--sni", "bücher.example")
	if r.ExitCode != harness.ExitConfig || !strings.Contains(r.Stderr, "xn--bcher-kva.example") {
		t.Errorf("exit code %d: %s", r.ExitCode, r.Stderr)
	}
}

// TestForgetOutlivesTheNode: a forgotten session stays forgotten when its node starts anew beside a
// store that still has it, also at a node of another fleet, and with a name as a client may write
// it.
func TestForgetOutlivesTheNode(t *testing.T) {
	t.Parallel()
	for _, kind := range storeServers {
		t.Run(kind.name, func(t *testing.T) {
			addr := nettest.FreeAddr(t)
			kind.start(t, addr)
			f := harness.NewFleet(t, 2, "pull")
			secret := f.SecretFile("store")
			run := func(i int) {
				f.Nodes[i] = harness.Start(t, "--sslrouter2=addr="+f.TLS(i)+","+f.Listener, harness.To(f.Backend), "--sslrouter-session-context=foobar",
					"--session-store="+kind.scheme+addr, secret, "--cache-lookup-timeout=2s")
				// Its look-ups are answered from now on.
				nettest.Eventually(t, harness.Patience,
					func() bool { return !f.Nodes[i].Shared().Store1.BreakerOpen }, "the store to be used")
			}
			run(0)
			config, w := harness.OneSessionConfig(f.PKI, tls.VersionTLS13)
			harness.AskLine(t, f.TLS(0), config)
			config = harness.Offering(config, w.Session)
			nettest.Eventually(t, harness.Patience,
				func() bool { return f.Nodes[0].Shared().Store1.Sets > 0 }, "the session to be stored")
			run(1)
			if !harness.AskLine(t, f.TLS(1), config).DidResume {
				t.Fatal("not resumed through the store: the test proves nothing")
			}
			if r := f.ForgetAt(0, "--sni", "*.other.example"); r.ExitCode != harness.ExitOK || !strings.Contains(r.Stdout, "no node had such a session") {
				t.Errorf("another name: exit code %d\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
			}
			if r := f.ForgetAt(0, "--sni", "LOCALHOST."); r.ExitCode != harness.ExitOK || !strings.Contains(r.Stdout, "forgotten here: 2\n") {
				t.Fatalf("exit code %d\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
			}
			f.Nodes[0].Stop()
			run(0)
			if harness.AskLine(t, f.TLS(0), config).DidResume {
				t.Error("resumed after the restart")
			}
			// The other node knows no peer: it learns the rule from the store.
			nettest.Eventually(t, harness.Patience,
				func() bool { return f.Nodes[1].Shared().Lookups.Rules > 0 }, "the rule to be read")
			if harness.AskLine(t, f.TLS(1), config).DidResume {
				t.Error("resumed at a node that was told by the store only")
			}
		})
	}
}
