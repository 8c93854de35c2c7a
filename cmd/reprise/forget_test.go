package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"reprise/internal/nettest"
	"reprise/node"
)

// TestForgetRefuses: what no client can have sent is refused before a node is asked.
func TestForgetRefuses(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"forget", "--sni", "bücher.example"}, &out, &errs); code != exitConfig || !strings.Contains(errs.String(), "xn--bcher-kva.example") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}

func TestForgetResult(t *testing.T) {
	for _, test := range []struct {
		result node.Forgotten
		out    string
		silent bool
	}{
		{node.Forgotten{Here: 2, Peers: map[string]int{"b": 1, "a": 3}}, "forgotten here: 2\nforgotten at a: 3\nforgotten at b: 1\n", false},
		{node.Forgotten{Peers: map[string]int{"b": 0}}, "forgotten here: 0\nforgotten at b: 0\nno node had such a session: is that what you meant?\n", false},
		{node.Forgotten{Here: 1, Silent: []string{"node c", "session-store redis://h:6379"}}, "forgotten here: 1\n", true},
	} {
		var out bytes.Buffer
		err := printForgotten(&test.result, &out)
		_, atRunTime := errors.AsType[node.RuntimeError](err)
		if out.String() != test.out || atRunTime != test.silent {
			t.Errorf("got %q, %v; want %q, silent %t", out.String(), err, test.out, test.silent)
		}
		for _, name := range test.result.Silent {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%v does not name %s", err, name)
			}
		}
	}
}

// H2: what is forgotten stays so when its node starts anew beside a store that still
// has it, also at a node of another fleet, and with a name as a client may write it.
func TestForgetOutlivesTheNode(t *testing.T) {
	for _, kind := range storeServers {
		t.Run(kind.name, func(t *testing.T) {
			addr := nettest.FreeAddr(t)
			kind.start(t, addr)
			f := newFleet(t, 2, "pull")
			secret := f.secretFile("store")
			run := func(i int) {
				f.nodes[i] = start(t, "--sslrouter2=addr="+f.tls(i)+","+f.listener, to(f.backend), "--sslrouter-session-context=foobar",
					"--session-store="+kind.scheme+addr, secret, "--cache-lookup-timeout=2s")
				// Its look-ups are answered from now on.
				nettest.Eventually(t, patience, func() bool { return !f.nodes[i].shared().Store1.BreakerOpen }, "the store to be used")
			}
			run(0)
			config, w := walletConfig(f.pki, tls.VersionTLS13)
			askLine(t, f.tls(0), config)
			config = offering(config, w.session)
			nettest.Eventually(t, patience, func() bool { return f.nodes[0].shared().Store1.Sets > 0 }, "the session to be stored")
			run(1)
			if !askLine(t, f.tls(1), config).DidResume {
				t.Fatal("not resumed through the store: the test proves nothing")
			}
			if r := f.forgetAt(0, "--sni", "*.other.example"); r.ExitCode != exitOK || !strings.Contains(r.Stdout, "no node had such a session") {
				t.Errorf("another name: exit code %d\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
			}
			if r := f.forgetAt(0, "--sni", "LOCALHOST."); r.ExitCode != exitOK || !strings.Contains(r.Stdout, "forgotten here: 2\n") {
				t.Fatalf("exit code %d\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
			}
			f.nodes[0].Stop()
			run(0)
			if askLine(t, f.tls(0), config).DidResume {
				t.Error("resumed after the restart")
			}
			// The other node knows no peer: it learns the rule from the store.
			nettest.Eventually(t, patience, func() bool { return f.nodes[1].shared().Lookups.Rules > 0 }, "the rule to be read")
			if askLine(t, f.tls(1), config).DidResume {
				t.Error("resumed at a node that was told by the store only")
			}
		})
	}
}
