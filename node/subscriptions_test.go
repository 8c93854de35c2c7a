package node

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/backend"
	"reprise/backend/subscription"
	"reprise/config"
)

// newSubscriptions are those of a node that does not serve.
func newSubscriptions(t *testing.T, o subscription.Options) (*subscriptions, *backend.Router) {
	t.Helper()
	router, err := backend.NewRouter(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := new(Node)
	now := &service{config: new(config.Config)}
	now.routers[config.HTTPRouter] = router
	n.service.Store(now)
	o.Members, o.HostMembers = maxSubscribers, maxOfHost
	return &subscriptions{
		n: n, table: subscription.New(o), hosts: make(map[string]*subscribedHost),
		stop:   make(chan struct{}),
		logged: make(map[subscription.Refusal]time.Time),
	}, router
}

// TestUnusableSubscribers: a member that cannot be made a backend has no host, and its changes and
// its end harm no other.
func TestUnusableSubscribers(t *testing.T) {
	s, router := newSubscriptions(t, subscription.Options{})
	defer s.close()
	bad := subscription.Member{Host: "a.example", Network: "tcp", Address: "nonsense", Weight: 1}
	good := subscription.Member{Host: "a.example", Network: "tcp", Address: "127.0.0.1:1", Weight: 1}
	for _, step := range []struct {
		kind   subscription.Kind
		member subscription.Member
		known  bool
	}{
		{subscription.Joined, bad, false},
		{subscription.Reweighted, bad, false},
		{subscription.Left, bad, false},
		{subscription.Joined, bad, false},
		{subscription.Joined, good, true},
		{subscription.Expired, bad, true},
		{subscription.Left, good, false},
		{subscription.Left, good, false},
	} {
		s.apply([]subscription.Change{{Kind: step.kind, Member: step.member}})
		if known := router.Pool("", []byte("a.example"), []byte("/")) != nil; known != step.known {
			t.Errorf("%v %s: the host has a pool: %v, want %v", step.kind, step.member.Address, known, step.known)
		}
	}
}

// TestSubscribersOfSuccessor: a successor knows the backends before the first request, and keeps
// them no longer than the process before would have.
func TestSubscribersOfSuccessor(t *testing.T) {
	o := subscription.Options{Tolerance: 17 * time.Second}
	before, _ := newSubscriptions(t, o)
	defer before.close()
	now := time.Now()
	before.apply(before.table.Take([]subscription.Known{
		{Member: subscription.Member{Host: "a.example", Network: "tcp", Address: "127.0.0.1:1", Weight: 7, HTTP: true}, Present: true},
		{
			Member: subscription.Member{Host: "b.example", Network: "tcp", Address: "127.0.0.1:2", Weight: 1}, Present: true,
			Silent: 12 * time.Second,
		},
	}, 0, now))
	head, err := json.Marshal(estate{Subscribed: before.known()})
	var left estate
	if err != nil || json.Unmarshal(head, &left) != nil {
		t.Fatal(err)
	}
	after, router := newSubscriptions(t, o)
	defer after.close()
	after.succeed(left.Subscribed, 6*time.Second)
	got := router.Pool("", []byte("a.example"), []byte("/"))
	if got == nil || len(got.Stats().Nodes) != 1 {
		t.Fatalf("got pool %+v", got)
	}
	if router.Pool("", []byte("b.example"), []byte("/")) != nil {
		t.Error("one that was silent for 18 s is there")
	}
	if hosts := after.pools(); slices.ContainsFunc(hosts, func(p *pool) bool { return p.name() != "subscribed/a.example" }) {
		t.Errorf("got %d hosts", len(hosts))
	}
}

// TestOwnAddresses: no subscriber may name an address where this process itself listens.
func TestOwnAddresses(t *testing.T) {
	own := ownAddresses(&config.Config{
		Admin: []config.Address{{Network: "unix", Path: "/run/reprise/admin.sock"}}, Stats: config.Address{
			Network: "tcp", Host: "127.0.0.1",
			Port: 5001,
		},
		Listeners: []config.Listener{{Addr: config.Address{Network: "tcp", Port: 8443}}},
	})
	for address, want := range map[string]bool{
		"unix /run/reprise/admin.sock": true, "unix /run/reprise/../reprise/admin.sock": true, "unix /run/app.sock": false,
		"tcp 127.0.0.1:5001": true, "tcp [::ffff:127.0.0.1]:5001": true, "tcp 127.0.0.2:5001": false, "tcp 127.0.0.1:5002": false,
		"tcp 127.0.0.1:8443": true, "tcp 192.0.2.1:8443": false,
	} {
		if network, a, _ := strings.Cut(address, " "); (*own)(network, a) != want {
			t.Errorf("%s: %v, want %v", address, !want, want)
		}
	}
}
