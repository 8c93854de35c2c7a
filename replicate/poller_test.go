package replicate

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"reprise/internal/nettest"
)

// lockedMemory is a mapMemory that a test may look into.
type lockedMemory struct {
	mu sync.Mutex
	*mapMemory
}

func (m *lockedMemory) Put(key Key, value []byte, age, left time.Duration, pulled bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mapMemory.Put(key, value, age, left, pulled)
}

func (m *lockedMemory) Find(dst []byte, key Key) (value []byte, age, left time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mapMemory.Find(dst, key)
}

func (m *lockedMemory) Delete(key Key, lifetime time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mapMemory.Delete(key, lifetime)
}

func (m *lockedMemory) Scan(cursor uint64,
	visit func(Key, []byte, time.Duration, time.Duration),
) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mapMemory.Scan(cursor, visit)
}

func (m *lockedMemory) AddRule(r Rule, done func(int)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mapMemory.AddRule(r, done)
}

func (m *lockedMemory) Hold(dst []byte, key Key, again uint64) (value []byte, age,
	left time.Duration, hold uint64, v Verdict,
) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mapMemory.Hold(dst, key, again)
}

func (m *lockedMemory) Release(key Key, hold uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mapMemory.Release(key, hold)
}

func (m *lockedMemory) Rules(dst []Rule) []Rule {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mapMemory.Rules(dst)
}

func (m *lockedMemory) RulesDigest() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mapMemory.RulesDigest()
}

func (m *lockedMemory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions)
}

var testBegan = time.Now()

type livePoller struct {
	*Poller
	memory *lockedMemory
	log    *strings.Builder
}

func startPoller(t *testing.T, secret string, network Network, change func(*Options)) *livePoller {
	t.Helper()
	l := newPoller(t, secret, network, change)
	l.Start()
	return l
}

// newPoller returns a poller that is to be started.
func newPoller(t *testing.T, secret string, network Network, change func(*Options)) *livePoller {
	t.Helper()
	l := &livePoller{memory: &lockedMemory{
		mapMemory: newMapMemory(func() time.Duration { return time.Since(testBegan) }),
	}, log: new(
		strings.Builder)}
	o := Options{
		ID: NewID(), Secrets: []Secret{testSecret(t, secret)}, DatagramLen: 1200,
		Heartbeat: 50 * time.Millisecond, DeadAfter: time.Second, LookupTimeout: 200 * time.Millisecond,
		MaxQuestions: 100, SnapshotRate: 32 << 20, Mode: Push, HoldFor: time.Second,
		KnownFor: time.Minute,
	}
	if change != nil {
		change(&o)
	}
	p, err := NewPoller(PollerOptions{
		Network: network, RingLen: 4096,
		Logger: slog.New(slog.NewTextHandler(l.log, nil)),
	}, o, l.memory)
	if err != nil {
		t.Fatal(err)
	}
	l.Poller = p
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func loopbackFleet(t *testing.T, n int, change func(*Options)) []*livePoller {
	var addrs []netip.AddrPort
	for range n {
		addrs = append(addrs, netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", nettest.FreePort(t))))
	}
	var fleet []*livePoller
	for i := range n {
		var peers []netip.AddrPort
		for j, a := range addrs {
			if j != i {
				peers = append(peers, a)
			}
		}
		fleet = append(fleet, startPoller(t, "a cluster secret for tests", Network{Listen: addrs[i : i+1], Peers: peers}, change))
	}
	for _, p := range fleet {
		nettest.Eventually(t, 10*time.Second, func() bool { return p.introducedLen() == n-1 }, "nodes were not introduced")
	}
	return fleet
}

// introducedLen is how many peers the node believes.
func (l *livePoller) introducedLen() int {
	result := make(chan int)
	l.do(func() {
		n := 0
		for _, p := range l.node.peers {
			if p.introduced {
				n++
			}
		}
		result <- n
	})
	return <-result
}

func (l *livePoller) make(key Key, value string) {
	l.memory.Put(key, []byte(value), 0, time.Minute, false)
	l.Publish(Update{Kind: UpdateSession, Key: key, Left: time.Minute, Value: []byte(value)})
}

func TestPollersShareSessions(t *testing.T) {
	fleet := loopbackFleet(t, 3, nil)
	const each = 3000
	var loops sync.WaitGroup
	for i, p := range fleet {
		for loop := range 2 {
			loops.Add(1)
			go func() {
				defer loops.Done()
				for s := range each / 2 {
					key := simKey(i*each + loop*each/2 + s)
					p.memory.Put(key, []byte("session"), 0, time.Minute, false)
					for !p.Publish(Update{Kind: UpdateSession, Key: key, Left: time.Minute, Value: []byte("session")}) {
						time.Sleep(time.Millisecond) // the ring is full: a loop would go on without
					}
				}
			}()
		}
	}
	loops.Wait()
	for i, p := range fleet {
		nettest.Eventually(t, 20*time.Second, func() bool { return p.memory.len() == 3*each },
			"node %d has %d sessions of %d", i, p.memory.len(), 3*each)
	}
}

func TestPollerAsks(t *testing.T) {
	fleet := loopbackFleet(t, 2, func(o *Options) { o.Mode = Pull })
	a, b := fleet[0], fleet[1]
	a.make(simKey(1), "made at a")
	answer := make(chan string, 1)
	b.TryAsk(&Question{Key: simKey(1), Owner: a.node.o.ID.Short(), Answer: func(r Reply) {
		answer <- fmt.Sprint(string(r.Value), r.Verdict == Found)
	}})
	if got := <-answer; got != "made at atrue" {
		t.Errorf("got %q", got)
	}
	if b.memory.len() != 1 {
		t.Error("the answer was not kept")
	}
}

func TestPollerReportsAnotherSecret(t *testing.T) {
	a := netip.MustParseAddrPort(nettest.FreeAddr(t))
	b := netip.MustParseAddrPort(nettest.FreeAddr(t))
	pa := startPoller(t, "a cluster secret for tests", Network{Listen: []netip.AddrPort{a}, Peers: []netip.AddrPort{b}}, nil)
	startPoller(t, "another cluster secret", Network{Listen: []netip.AddrPort{b}, Peers: []netip.AddrPort{a}}, nil)
	text := func() string {
		result := make(chan string)
		pa.do(func() { result <- pa.log.String() })
		return <-result
	}
	nettest.Eventually(t, 10*time.Second, func() bool { return strings.Contains(text(), "cluster-secret-file") }, "a line in the log")
	if got := strings.Count(text(), "sends datagrams"); got != 1 {
		t.Errorf("logged %d times, want once:\n%s", got, text())
	}
	if !strings.Contains(text(), b.String()+" sends datagrams this node cannot open") {
		t.Errorf("got %q", text())
	}
}

// Two nodes of one machine find each other by a group on the loopback interface.
func TestPollersMulticast(t *testing.T) {
	group := netip.MustParseAddrPort(fmt.Sprintf("239.255.71.71:%d", nettest.FreePort(t)))
	network := Network{
		Listen: []netip.AddrPort{group}, Peers: []netip.AddrPort{group}, Interface: "lo",
		TTL: 1,
	}
	var fleet []*livePoller
	for range 3 {
		fleet = append(fleet, startPoller(t, "a cluster secret for tests", network, nil))
	}
	for _, p := range fleet {
		nettest.Eventually(t, 10*time.Second, func() bool { return p.introducedLen() == 2 }, "nodes were not introduced")
	}
	fleet[0].make(simKey(1), "session")
	for _, p := range fleet {
		nettest.Eventually(t, 10*time.Second, func() bool { return p.memory.len() == 1 }, "the session did not arrive")
	}
}

func TestNetworkErrors(t *testing.T) {
	taken := netip.MustParseAddrPort(nettest.FreeAddr(t))
	startPoller(t, "a cluster secret for tests", Network{Listen: []netip.AddrPort{taken}}, nil)
	tests := []struct {
		name    string
		network Network
		want    string
	}{
		{"taken", Network{Listen: []netip.AddrPort{taken}}, "cannot listen on UDP " + taken.String() + ": bind: address already in use: choose another address or stop what listens there"},
		{"not ours", Network{Listen: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7171")}}, "cannot listen on UDP 192.0.2.1:7171: bind: cannot assign requested address: no interface has this address; 0.0.0.0:PORT takes all"},
		{"no interface", Network{Listen: []netip.AddrPort{netip.MustParseAddrPort("239.1.1.1:7171")}, Interface: "nowhere0"}, `cannot listen on UDP 239.1.1.1:7171: interface "nowhere0": route ip+net: no such network interface`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewPoller(PollerOptions{Network: test.network, RingLen: 2},
				Options{Secrets: []Secret{testSecret(t, "a cluster secret for tests")}}, nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
