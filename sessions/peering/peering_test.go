package peering_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"reprise/cache"
	"reprise/internal/nettest"
	"reprise/replicate"
	"reprise/sessions"
	"reprise/sessions/peering"
	"reprise/tlsconn"
)

const (
	lifetime = 5 * time.Minute
	patience = 20 * time.Second
)

// A node is a memory with its connection to other nodes, as a process has them.
type node struct {
	*sessions.Memory
	t      testing.TB
	id     replicate.ID
	poller *replicate.Poller
}

func (n *node) self() tlsconn.NodeID { return tlsconn.NodeID(n.id.Short()) }

// start runs a node at one of a fleet's addresses.
func start(t testing.TB, addrs []netip.AddrPort, at int, mode replicate.Mode, blockLen int) *node {
	t.Helper()
	made, err := cache.New(cache.Options{Name: "t", Items: 10_000, KeyLen: 16, BlockLen: blockLen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.Close() }) // after the poller
	secret, err := replicate.NewSecret([]byte("a cluster secret for tests"))
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, id: replicate.NewID()}
	n.Memory = sessions.New(sessions.Options{
		Cache: made, Lifetime: lifetime, Hold: 10 * time.Second, Self: n.self(), MaxLookups: 100,
	})
	peers := append(append([]netip.AddrPort(nil), addrs[:at]...), addrs[at+1:]...)
	n.poller, err = replicate.NewPoller(
		replicate.PollerOptions{
			Network: replicate.Network{Listen: addrs[at : at+1], Peers: peers},
			RingLen: 4096,
		},
		replicate.Options{
			ID: n.id, Instance: replicate.Instance{byte(at +
				1)}, Secrets: []replicate.Secret{secret}, Mode: mode, DatagramLen: 1200,
			Heartbeat: 100 * time.Millisecond, DeadAfter: patience, LookupTimeout: patience,
			MaxQuestions: 100,
			SnapshotRate: 64 << 20, HoldFor: patience, KnownFor: lifetime,
		}, peering.Memory(n.Memory))
	if err != nil {
		t.Fatal(err)
	}
	n.Connect(peering.New(n.poller, true))
	n.poller.Start()
	t.Cleanup(func() {
		if err := n.poller.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func freeAddrs(t testing.TB, n int) (addrs []netip.AddrPort) {
	for range n {
		addrs = append(addrs, netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", nettest.FreePort(t))))
	}
	return addrs
}

// startFleet runs nodes that are in contact.
func startFleet(t testing.TB, nodes int, mode replicate.Mode) (fleet []*node) {
	t.Helper()
	addrs := freeAddrs(t, nodes)
	for i := range nodes {
		fleet = append(fleet, start(t, addrs, i, mode, 4096))
	}
	for _, a := range fleet {
		for _, b := range fleet {
			if a != b {
				nettest.Eventually(t, patience, func() bool { return a.poller.Reachable(b.id.Short()) }, "the nodes to hear each other")
			}
		}
	}
	return fleet
}

func numbered(i int) (key tlsconn.Key) {
	binary.BigEndian.PutUint64(key[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(key[8:], uint64(i))
	return key
}

func state(name string) []byte {
	b := tlsconn.AppendStatePrefix(nil, tlsconn.NameHash(name), tlsconn.ContextHash("ctx"),
		tlsconn.CodecStandard)
	return append(b, "a master secret"...)
}

// save makes a session as a full handshake does.
func (n *node) save(key tlsconn.Key, name string) {
	now := n.Now()
	n.Save(key, tlsconn.Session{State: state(name), Born: now, Expires: now.Add(lifetime)})
}

type waker chan struct{}

func (w waker) Wake() { close(w) }

// lookUp is a handshake that wants a session, wherever it is.
func (n *node) lookUp(key tlsconn.Key, owner *node, hold bool) (tlsconn.Session, tlsconn.Verdict) {
	n.t.Helper()
	if s, v := n.Find(nil, key, owner.self(), hold); v != tlsconn.Unknown {
		return s, v
	}
	answered := make(waker)
	l := tlsconn.NewLookup(key, owner.self(), hold, answered)
	if !n.Ask(l) {
		return tlsconn.Session{}, tlsconn.Unknown
	}
	select {
	case <-answered:
	case <-time.After(patience):
		n.t.Fatal("no answer")
	}
	s, v, _ := l.Result()
	return s, v
}

func (n *node) wantVerdict(key tlsconn.Key, owner *node, hold bool,
	want tlsconn.Verdict,
) tlsconn.Session {
	n.t.Helper()
	s, got := n.lookUp(key, owner, hold)
	if got != want {
		n.t.Fatalf("got verdict %v, want %v", got, want)
	}
	return s
}

// A session made at one node is given to a handshake at another, with its remaining life and its
// origin.
func TestSharing(t *testing.T) {
	for _, tt := range []struct {
		mode   replicate.Mode
		source tlsconn.Source
	}{{replicate.Push, tlsconn.SourcePushed}, {replicate.Pull, tlsconn.SourcePulled}} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			fleet := startFleet(t, 2, tt.mode)
			a, b := fleet[0], fleet[1]
			a.save(numbered(1), "a.example")
			if tt.mode == replicate.Push {
				nettest.Eventually(t, patience, func() bool {
					_, v := b.Find(nil, numbered(1), a.self(), false)
					return v == tlsconn.Found
				}, "the session to arrive")
			}
			s := b.wantVerdict(numbered(1), a, false, tlsconn.Found)
			if !bytes.Equal(s.State, state("a.example")) || s.Source != tt.source || s.Hold != 0 {
				t.Errorf("got %q from %v, held as %d", s.State, s.Source, s.Hold)
			}
			if left := s.Expires.Sub(b.Now()); left > lifetime || left < lifetime-patience {
				t.Errorf("%v are left of %v", left, lifetime)
			}
			if age := b.Now().Sub(s.Born); age < 0 || age > patience {
				t.Errorf("it is %v old", age)
			}
			b.wantVerdict(numbered(2), a, false, tlsconn.Unknown)
		})
	}
}

// A single-use session is held for one handshake of one node, released, and spent for all.
func TestSingleUse(t *testing.T) {
	fleet := startFleet(t, 3, replicate.Push)
	a, b, c := fleet[0], fleet[1], fleet[2]
	key := numbered(1)
	a.save(key, "a.example")

	s := b.wantVerdict(key, a, true, tlsconn.Found)
	if s.Hold == 0 {
		t.Fatal("it is not held")
	}
	c.wantVerdict(key, a, true, tlsconn.Held)
	b.Release(key, a.self(), s.Hold)
	nettest.Eventually(t, patience, func() bool {
		s, _ = c.lookUp(key, a, true)
		return s.Hold != 0
	}, "the session to be given back")
	b.wantVerdict(key, a, true, tlsconn.Held)
	if !c.Spend(key, a.self(), s.Hold, lifetime) {
		t.Fatal("the node that holds it cannot spend it")
	}
	nettest.Eventually(t, patience, func() bool {
		_, v := b.lookUp(key, a, true)
		return v == tlsconn.Spent
	}, "the owner to know that it is spent")
	if b.Spend(key, a.self(), s.Hold, lifetime) {
		t.Error("it is spent twice")
	}
}

// All nodes obey a rule given at one and report their counts, and a node that joins learns it.
func TestForgetting(t *testing.T) {
	addrs := freeAddrs(t, 3)
	a, b := start(t, addrs, 0, replicate.Push, 4096), start(t, addrs, 1, replicate.Push, 4096)
	nettest.Eventually(t, patience, func() bool {
		return a.poller.Reachable(b.id.Short()) &&
			b.poller.Reachable(a.id.Short())
	}, "the nodes to hear each other")
	a.save(numbered(1), "a.example")
	a.save(numbered(2), "b.example")
	for i := 1; i <= 2; i++ {
		nettest.Eventually(t, patience, func() bool {
			_, v := b.Find(nil, numbered(i), a.self(), false)
			return v == tlsconn.Found
		}, "the sessions to arrive")
	}
	result, err := b.poller.Forget(replicate.ForgetScope(sessions.ForgetName), tlsconn.NameHash("a.example"))
	if err != nil {
		t.Fatal(err)
	}
	if result.Here != 1 || len(result.Dropped) != 1 {
		t.Errorf("forgotten: %+v, want one session here and one there", result)
	}
	late := start(t, addrs, 2, replicate.Push, 4096)
	nettest.Eventually(t, patience, func() bool { return len(late.Rules(nil)) == 1 }, "the rule to reach a node that joins")
	for _, n := range []*node{a, b, late} {
		n.wantVerdict(numbered(1), a, false, tlsconn.Unknown)
		n.wantVerdict(numbered(2), a, false, tlsconn.Found)
		rules := n.Rules(nil)
		if len(rules) != 1 || rules[0].What != sessions.ForgetName ||
			rules[0].Hash != tlsconn.NameHash("a.example") ||
			rules[0].Age > patience || rules[0].ID != sessions.RuleID(result.Rule.ID) {
			t.Errorf("the rules are %+v", rules)
		}
	}
}

// A node that joins gets the sessions of a cache, even of one with blocks of a mebibyte, which is
// walked in few and large steps.
func TestJoining(t *testing.T) {
	for _, blockLen := range []int{4096, 1 << 20} {
		t.Run(fmt.Sprint(blockLen), func(t *testing.T) {
			addrs := freeAddrs(t, 2)
			a := start(t, addrs, 0, replicate.Push, blockLen)
			const made = 10_000
			value := append(state("a.example"), make([]byte, 300)...)
			for i := range made {
				a.Put(numbered(i), value, time.Minute, lifetime-time.Minute, false)
			}
			had := 0
			for i := range made {
				if _, v := a.Find(nil, numbered(i), a.self(), false); v == tlsconn.Found {
					had++
				}
			}
			if had < made*9/10 {
				t.Fatalf("the cache has %d of %d sessions", had, made)
			}
			b := start(t, addrs, 1, replicate.Push, blockLen)
			nettest.Eventually(t, patience, func() bool {
				return b.poller.Stats().Join == replicate.JoinDone.String()
			}, "the node to have joined")
			has := 0
			for i := range made {
				if s, v := b.Find(nil, numbered(i), a.self(), false); v == tlsconn.Found {
					has++
					if age := b.Now().Sub(s.Born); age < time.Minute {
						t.Fatalf("a session of a minute is %v old", age)
					}
				}
			}
			if has < had {
				t.Errorf("%d sessions of %d have come", has, had)
			}
		})
	}
}

// Every verdict is translated, even one of a later version.
func TestVerdicts(t *testing.T) {
	for in, want := range map[replicate.Verdict]tlsconn.Verdict{
		replicate.Found: tlsconn.Found, replicate.Unknown: tlsconn.Unknown, replicate.Held: tlsconn.Held,
		replicate.Spent: tlsconn.Spent, replicate.Expired: tlsconn.Expired,
		replicate.Unanswered: tlsconn.Unknown,
		200:                  tlsconn.Unknown,
	} {
		r := replicate.Reply{Value: []byte("v"), Age: time.Second, Left: time.Minute, Verdict: in, Hold: 7}
		got := peering.Answer(r)
		if got.Verdict != want || got.Hold != 7 || got.Age != time.Second || got.Left != time.Minute ||
			string(got.Value) != "v" {
			t.Errorf("%v becomes %+v, want %v", in, got, want)
		}
	}
}
