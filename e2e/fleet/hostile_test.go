package fleet

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
)

// quiet keeps nodes from sending once they know each other, so that datagrams can be counted.
var quiet = []string{"--cache-udp-heartbeat=1m", "--cache-udp-dead-after=1h", harness.PatientLookup}

// TestDatagramsTellNothing: an eavesdropper learns no secret of a session.
func TestDatagramsTellNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range fleetModes {
		t.Run(mode, func(t *testing.T) {
			f := harness.NewFleet(t, 2, mode, harness.PatientLookup)
			n := newNetwork(f)
			f.RunAll()
			var secrets [][]byte
			harness.ForEachVersion(t, func(t *testing.T, version uint16) {
				var keyLog bytes.Buffer
				config, w := harness.OneSessionConfig(f.PKI, version)
				config.KeyLogWriter = &keyLog
				for i := range 20 {
					if i%4 == 0 {
						w.Session = nil
					}
					f.AwaitPushed()
					state := harness.AskLine(t, f.TLS(i%2), config)
					if want := i%4 > 0; state.DidResume != want {
						t.Errorf("visit %d: resumed is %v, want %v", i, state.DidResume, want)
					}
					secrets = append(secrets, secretOf(t, w.Session))
				}
				if master := fmt.Sprintf("%x", secrets[len(secrets)-1]); version == tls.VersionTLS12 &&
					!strings.Contains(keyLog.String(), master) {
					t.Errorf("%s is not the master secret of a connection", master)
				}
			})
			var all []byte
			for _, c := range n.captured() {
				all = append(all, c.datagram...)
			}
			for _, secret := range secrets {
				for begin := range len(secret) - 16 { // no part of it either
					if bytes.Contains(all, secret[begin:begin+16]) {
						t.Fatalf("a secret is in one of %d datagrams", len(n.captured()))
					}
				}
			}
			// Each of them crossed the network twice or more.
			if len(all) < len(secrets)/5*200 {
				t.Errorf("only %d bytes captured", len(all))
			}
		})
	}
}

// TestHostileDatagrams: a datagram that no node with the secret has just sent is dropped, and
// counted by its fault.
func TestHostileDatagrams(t *testing.T) {
	t.Parallel()
	f := harness.NewFleet(t, 2, "pull", quiet...)
	n := newNetwork(f)
	f.RunAll()
	f.AwaitQuiet()
	var genuine []byte
	for _, c := range n.captured() {
		// Not the question whether a peer is a repeater.
		if c.datagram[0] == wireVersion && c.datagram[1] == kindSealed && c.from == 0 {
			genuine = c.datagram
		}
	}
	const versionAt, kindAt, secretAt, bodyCheckAt = 0, 1, 2, headerLen - 4
	flip := func(from, to int) (list [][]byte) {
		for bit := 8 * from; bit < 8*to; bit++ {
			flipped := bytes.Clone(genuine)
			flipped[bit/8] ^= 1 << (bit % 8)
			list = append(list, flipped)
		}
		return list
	}
	cut := func(from, to int) (list [][]byte) {
		for size := from; size < to; size++ {
			list = append(list, genuine[:size])
		}
		return list
	}
	for _, test := range []struct {
		name   string
		from   int
		list   [][]byte
		reason string
	}{
		{"version", 0, flip(versionAt, kindAt), "foreign_version"},
		{"kind", 0, flip(kindAt, secretAt), "forged"},
		{"secret's id", 0, flip(secretAt, secretAt+1), "foreign_secret"},
		{"any other bit of the header", 0, flip(secretAt+1, bodyCheckAt), "forged"},
		{"any bit of the check of all, or behind it", 0, flip(bodyCheckAt, len(genuine)), "not_authentic"},
		{"cut in the header", 0, cut(1, headerLen), "too_short"},
		{"cut later", 0, cut(headerLen, len(genuine)), "not_authentic"},
		{"replayed", 0, [][]byte{genuine, genuine, genuine}, "replayed"},
		{"reflected", 1, [][]byte{genuine, genuine}, "reflected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantDropped(t, n, test.from, test.list, test.reason)
		})
	}
	config, _ := harness.OneSessionConfig(f.PKI, tls.VersionTLS13)
	harness.AskLine(t, f.TLS(0), config)
	if !harness.AskLine(t, f.TLS(1), config).DidResume {
		t.Error("the nodes do not speak any more")
	}
}

// wantDropped sends datagrams to a node, which drops all of them for a reason.
func wantDropped(t *testing.T, n *network, from int, list [][]byte, reason string) {
	s := n.f.Nodes[1-from]
	before := s.Shared().Replication
	for _, d := range list {
		n.inject(captured{from, 1 - from, d})
	}
	all := uint64(len(list))
	nettest.Eventually(t, harness.Patience, func() bool {
		return s.Shared().Replication.ReceivedDatagrams >= before.ReceivedDatagrams+all
	}, "%d datagrams arrive", all)
	after := s.Shared().Replication
	got := harness.Since(after.Dropped, before.Dropped)
	if got[reason] != all {
		t.Errorf("%d datagrams dropped as %v, want all as %s", all, got, reason)
	}
	if len(after.Peers) != 1 || after.SentDatagrams != before.SentDatagrams {
		t.Errorf("%d peers, %d datagrams sent: something was believed", len(after.Peers), after.SentDatagrams-before.SentDatagrams)
	}
}

// TestForgedHandlesSendNothing: clients with forged handles cannot make a node send. See
// TestAMillionForgedHandles in tlsconn for more of them.
func TestForgedHandlesSendNothing(t *testing.T) {
	t.Parallel()
	forged := 1000
	if harness.RaceEnabled {
		forged = 100
	}
	f := harness.StartFleet(t, 2, "pull", quiet...)
	f.AwaitQuiet()
	harness.ForEachVersion(t, func(t *testing.T, version uint16) {
		config, w := harness.OneSessionConfig(f.PKI, version)
		harness.AskLine(t, f.TLS(0), config)
		handle, _, err := w.Session.ResumptionState()
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 2))
		before := f.Nodes[1].Shared()
		for range forged {
			h := bytes.Clone(handle)
			for i := 2 + random.IntN(len(h)-2); i < len(h); i++ {
				h[i] = byte(random.Uint32())
			}
			h[len(h)-1] = ^handle[len(h)-1]
			if harness.AskLine(t, f.TLS(1), harness.Offering(config,
				harness.WithHandle(t, w.Session, h))).DidResume {
				t.Fatalf("%x was taken for genuine", h)
			}
		}
		after := f.Nodes[1].Shared()
		sent, asked := after.Replication.SentDatagrams-before.Replication.SentDatagrams,
			after.Replication.Lookups.Asked-before.Replication.Lookups.Asked
		if sent != 0 || asked != 0 {
			t.Errorf("%d forged handles: %d questions and %d datagrams, want none", forged, asked, sent)
		}
		if got := harness.Since(after.Engine.TLS.Outcomes,
			before.Engine.TLS.Outcomes)["bad_handle"]; got != uint64(forged) {
			t.Errorf("bad_handle: got %d, want %d", got, forged)
		}
		if !harness.AskLine(t, f.TLS(1), harness.Offering(config, w.Session)).DidResume {
			t.Error("the genuine handle: not resumed")
		}
		now := f.Nodes[1].Shared().Replication.Lookups
		if now.Asked != after.Replication.Lookups.Asked+1 {
			t.Errorf("the genuine handle: %d questions, want 1", now.Asked-after.Replication.Lookups.Asked)
		}
	})
}

// TestDifferentSecrets: the likeliest mistake is reported plainly and once.
func TestDifferentSecrets(t *testing.T) {
	t.Parallel()
	f := harness.NewFleet(t, 3, "push+pull", "--cache-udp-heartbeat=50ms", "--cache-udp-dead-after=1s")
	for i, text := range []string{"a secret of the fleet", "a secret of the fleet", "another secret, by mistake"} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f.Run(i, "--cluster-secret-file="+path)
	}
	for i, strangers := range [][]int{{2}, {2}, {0, 1}} {
		s := f.Nodes[i]
		nettest.Eventually(t, harness.Patience, func() bool {
			d := s.Shared().Replication.Dropped
			// Ids of keys have one byte, so those of two secrets may be the same.
			return d["foreign_secret"]+d["forged"] >= 10
		}, "node %d drops what it cannot open", i)
		const line = " sends datagrams this node cannot open: do both have the same cluster-secret-file / key?"
		for j := range f.Nodes {
			want := 0
			for _, stranger := range strangers {
				if stranger == j {
					want = 1
				}
			}
			if got := strings.Count(s.Stderr(), f.UDP(j)+line); got != want {
				t.Errorf("node %d says %d times of node %d that it %s; want %d", i, got, j, line, want)
			}
		}
	}
	config, _ := harness.OneSessionConfig(f.PKI, tls.VersionTLS13)
	harness.AskLine(t, f.TLS(2), config)
	before := f.Nodes[0].Document()
	if harness.AskLine(t, f.TLS(0), config).DidResume {
		t.Error("resumed what a stranger made")
	}
	f.Nodes[0].WantOutcomes(before, map[string]uint64{"bad_handle": 1})
}
