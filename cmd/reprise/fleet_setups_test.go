package main

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"reprise/internal/nettest"
)

// wantShared makes a session at node 0 and resumes it at the others.
func (f *fleet) wantShared(outcome string) {
	f.t.Helper()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config, w := walletConfig(f.pki, version)
		askLine(f.t, f.tls(0), config)
		config = offering(config, w.session)
		f.awaitPushed()
		for i, s := range f.nodes[1:] {
			before := s.document()
			if !askLine(f.t, f.tls(i+1), config).DidResume {
				f.t.Errorf("%s: not resumed at node %d", tls.VersionName(version), i+1)
			}
			s.wantOutcomes(before, map[string]uint64{outcome: 1})
			f.awaitPushed() // in TLS 1.3 there is another one now
		}
	}
}

// TestMulticast: one group is all that nodes have to know of each other.
func TestMulticast(t *testing.T) {
	f := newFleet(t, 3, "push+pull", patientLookup)
	group := fmt.Sprintf("239.255.77.77:%d", f.udpPort)
	f.peer = func(_, _ int) string { return "" }
	for i := range f.nodes {
		args := slices.DeleteFunc(f.args(i), func(arg string) bool { return strings.HasPrefix(arg, "--cache-udp-server") })
		f.nodes[i] = start(t, append(args, "--cache-udp-server="+group, "--cache-udp-node="+group, "--cache-udp-interface=lo")...)
	}
	f.awaitIntroduced()
	f.wantShared("resumed_pushed")
	for i, s := range f.nodes {
		// Who listens to a group hears itself.
		got := since(s.shared().Replication.Dropped, nil)
		reflected := got["reflected"]
		delete(got, "reflected")
		delete(got, "not_introduced") // what was said before the introduction
		delete(got, "replayed")       // an introduction's messages are repeated when an answer takes long
		if reflected == 0 || len(got) > 0 {
			t.Errorf("node %d dropped %d of its own datagrams and %v, want nothing else", i, reflected, got)
		}
	}
}

// TestNamedCaches: a cache may have addresses of its own, as in uWSGI's document.
func TestNamedCaches(t *testing.T) {
	f := newFleet(t, 2, "push+pull", patientLookup)
	for i := range f.nodes {
		f.nodes[i] = start(t, "--sslrouter2=addr="+f.tls(i)+","+f.listener, to(f.backend), "--sslrouter-session-context=foobar",
			"--cache2=name=ssl,items=20000,keysize=128,blocksize=4096,node="+f.udp(1-i)+",udp="+f.udp(i),
			"--ssl-sessions-use-cache=ssl", "--ssl-sessions-timeout=300", patientLookup)
	}
	f.awaitIntroduced()
	f.wantShared("resumed_pushed")
	if c := f.nodes[1].document().Caches[0]; c.Name != "ssl" || c.Items == 0 {
		t.Errorf("cache %q has %d items", c.Name, c.Items)
	}
}

// forgetAt runs reprise forget.
func (f *fleet) forgetAt(i int, args ...string) nettest.Result {
	f.t.Helper()
	return nettest.Run(f.t, nettest.Command{Path: program(f.t), Args: append([]string{"forget", "--admin", f.nodes[i].admin}, args...), Timeout: patience})
}

// TestForget: sessions that are forgotten at one node resume at none.
func TestForget(t *testing.T) {
	for _, mode := range []string{"push+pull", "pull"} {
		t.Run(mode, func(t *testing.T) {
			f := startFleet(t, 3, mode, patientLookup)
			for _, test := range []struct {
				name     string
				args     []string
				others   bool // sessions for another name are forgotten too
				listener int
			}{
				{"sni", []string{"--sni", "localhost"}, false, 0},
				{"listener", []string{"--listener", f.tls(1)}, true, 1},
				{"all", []string{"--all"}, true, 2},
			} {
				t.Run(test.name, func(t *testing.T) {
					forEachVersion(t, func(t *testing.T, version uint16) {
						config, w := walletConfig(f.pki, version)
						other, otherW := walletConfig(f.pki, version)
						other.ServerName = "other.example"
						askLine(t, f.tls(0), config)
						askLine(t, f.tls(0), other)
						config, other = offering(config, w.session), offering(other, otherW.session)
						for i := range f.nodes {
							f.awaitPushed()
							if !askLine(t, f.tls(i), config).DidResume || !askLine(t, f.tls(i), other).DidResume {
								t.Fatalf("node %d: not resumed before", i)
							}
						}
						r := f.forgetAt(test.listener, test.args...)
						if r.ExitCode != 0 || strings.Count(r.Stdout, "forgotten at ") != 2 || !strings.Contains(r.Stdout, "forgotten here: ") {
							t.Fatalf("exit code %d, want 0 and three nodes that have forgotten:\n%s%s", r.ExitCode, r.Stdout, r.Stderr)
						}
						for i := range f.nodes {
							if askLine(t, f.tls(i), config).DidResume {
								t.Errorf("node %d: resumed what was forgotten", i)
							}
							if got := askLine(t, f.tls(i), other).DidResume; got == test.others {
								t.Errorf("node %d: of another name: resumed is %v", i, got)
							}
						}
					})
				})
			}
		})
	}
}

// TestForgetSaysWhoIsSilent: a node that has not acknowledged may still resume
// what should be forgotten, so the operator is told.
func TestForgetSaysWhoIsSilent(t *testing.T) {
	f := startFleet(t, 3, "push+pull", "--cache-udp-dead-after=1h")
	config, w := walletConfig(f.pki, tls.VersionTLS13)
	askLine(t, f.tls(0), config)
	config = offering(config, w.session)
	f.awaitPushed()
	id := f.udp(2)
	f.nodes[2].Signal(syscall.SIGSTOP)
	r := f.forgetAt(0, "--all")
	f.nodes[2].Signal(syscall.SIGCONT)
	if r.ExitCode != exitFailure || !strings.Contains(r.Stderr, "no answer from "+id) || strings.Count(r.Stdout, "forgotten at ") != 1 {
		t.Errorf("exit code %d, want 1, one node that has forgotten, and no answer from %s:\n%s%s", r.ExitCode, id, r.Stdout, r.Stderr)
	}
	// It finds the command in its socket's buffer.
	f.nodes[2].await("the silent node forgets too", func(d document) bool { return d.Caches[0].Items == 0 })
	for i := range f.nodes {
		if askLine(t, f.tls(i), config).DidResume {
			t.Errorf("node %d: resumed what was forgotten", i)
		}
	}
	if r := f.forgetAt(0, "--listener", filepath.Join("/nowhere", "socket")); r.ExitCode != exitFailure || !strings.Contains(r.Stderr, "no listener") {
		t.Errorf("no such listener: exit code %d\n%s", r.ExitCode, r.Stderr)
	}
}
