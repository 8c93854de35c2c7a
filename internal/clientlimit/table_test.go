package clientlimit

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
	"unsafe"
)

func newTable(t testing.TB, clients int) *Table {
	t.Helper()
	table, err := NewTable(clients)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Close)
	return table
}

// client is the nth IPv4 address.
func client(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n)+1<<24)
	return netip.AddrFrom4(b)
}

func TestConnectionsAtTheSameTime(t *testing.T) {
	table, now := newTable(t, 100), time.Now()
	p := &Policy{Connections: 3}
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var key Key
	for i := range 3 {
		var v Verdict
		if key, v = p.Connect(table, a, now); v != Admitted {
			t.Fatalf("connection %d: got %v, want it admitted", i, v)
		}
	}
	if _, v := p.Connect(table, a, now); v != TooMany {
		t.Errorf("a fourth connection: got %v, want TooMany", v)
	}
	if _, v := p.Connect(table, b, now); v != Admitted {
		t.Errorf("another client: got %v, want it admitted", v)
	}
	if got := table.Stats().Clients; got != 2 {
		t.Errorf("%d clients, want 2", got)
	}
	table.Disconnect(key)
	if _, v := p.Connect(table, a, now); v != Admitted {
		t.Errorf("after one has ended: got %v, want it admitted", v)
	}
}

func TestRateAndBurst(t *testing.T) {
	table, now := newTable(t, 100), time.Now()
	p := &Policy{Requests: Rate{PerSecond: 10, Burst: 5}, Handshakes: Rate{PerSecond: 1, Burst: 1}}
	key, _ := p.Connect(table, netip.MustParseAddr("192.0.2.1"), now)
	for i := range 5 {
		if wait := p.Request(table, key, now); wait != 0 {
			t.Fatalf("request %d of a burst has to wait for %v", i, wait)
		}
	}
	if got := p.Request(table, key, now); got != 100*time.Millisecond {
		t.Errorf("behind the burst: wait for %v, want 100ms", got)
	}
	if !p.Handshake(table, key, now) || p.Handshake(table, key, now) {
		t.Error("one handshake, and no other, may be made: requests have nothing to do with it")
	}
	served := 0
	for range 1000 { // ten seconds of a hundred requests each
		now = now.Add(10 * time.Millisecond)
		if p.Request(table, key, now) == 0 {
			served++
		}
	}
	if served != 100 {
		t.Errorf("%d served in ten seconds, want 100", served)
	}
	now = now.Add(time.Hour)
	for i := range 6 {
		if got, want := p.Request(table, key, now) == 0, i < 5; got != want {
			t.Errorf("request %d after a pause: got %v, want %v", i, got, want)
		}
	}
}

// Use stays counted when all connections have ended, and under another policy.
func TestWhatIsUsedUpOutlivesConnectionsAndPolicies(t *testing.T) {
	table, now := newTable(t, 100), time.Now()
	p := &Policy{Requests: Rate{PerSecond: 1, Burst: 1000}}
	addr := netip.MustParseAddr("192.0.2.1")
	key, _ := p.Connect(table, addr, now)
	for range 1000 {
		p.Request(table, key, now)
	}
	table.Disconnect(key)
	key, _ = p.Connect(table, addr, now)
	if p.Request(table, key, now) == 0 {
		t.Error("a new connection has a burst of its own")
	}
	short := &Policy{Requests: Rate{PerSecond: 10, Burst: 2}}
	if got := short.Request(table, key, now); got != 100*time.Millisecond {
		t.Errorf("by a policy of ten a second: wait for %v, want 100ms and not the 17 minutes of the one before", got)
	}
	table.Disconnect(key)
}

func TestWhatIsAClient(t *testing.T) {
	for _, test := range []struct {
		name string
		p    Policy
		a, b string
		same bool
	}{
		{"two IPv4 addresses", Policy{}, "192.0.2.1", "192.0.2.2", false},
		{"an IPv4 address as IPv6", Policy{}, "192.0.2.1", "::ffff:192.0.2.1", true},
		{"a subscriber's IPv6 addresses", Policy{}, "2001:db8::1", "2001:db8::ffff:1", true},
		{"two subscribers", Policy{}, "2001:db8::1", "2001:db8:0:1::1", false},
		{"a short prefix", Policy{Prefix6: 48}, "2001:db8::1", "2001:db8:0:1::1", true},
		{"a short IPv4 prefix", Policy{Prefix4: 24}, "192.0.2.1", "192.0.2.255", true},
		{"over its end", Policy{Prefix4: 24}, "192.0.2.1", "192.0.3.1", false},
		{"loopback and an IPv4 address", Policy{}, "::1", "0.0.0.0", false},
		{"an IPv6 address like an IPv4 one", Policy{}, "0:0:0:0:c000:201::", "192.0.2.1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := test.p.keyOf(netip.MustParseAddr(test.a)), test.p.keyOf(netip.MustParseAddr(test.b))
			if a == 0 || b == 0 {
				t.Error("a client's key is 0")
			}
			if (a == b) != test.same {
				t.Errorf("%s and %s: %x and %x", test.a, test.b, a, b)
			}
		})
	}
}

func TestLists(t *testing.T) {
	prefixes := func(list ...string) Networks {
		var all []netip.Prefix
		for _, s := range list {
			all = append(all, netip.MustParsePrefix(s))
		}
		return NewNetworks(all)
	}
	table, now := newTable(t, 100), time.Now()
	p := &Policy{
		Connections: 1, Allow: prefixes("10.1.2.3/32", "2001:db8:1::/48"),
		Deny: prefixes("10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "11.0.0.0/8", "192.0.2.1/32"),
	}
	for addr, want := range map[string][2]Verdict{ // of two connections
		"9.255.255.255":   {Admitted, TooMany},
		"10.0.0.0":        {Denied, Denied},
		"10.1.2.3":        {Admitted, Admitted},
		"::ffff:10.1.2.4": {Denied, Denied},
		"11.255.255.255":  {Denied, Denied},
		"12.0.0.0":        {Admitted, TooMany},
		"192.0.2.1":       {Denied, Denied},
		"192.0.2.2":       {Admitted, TooMany},
		"2001:db8::1":     {Denied, Denied},
		"2001:db8:1::1":   {Admitted, Admitted},
		"2001:db9::1":     {Admitted, TooMany},
		"fe80::1%eth0":    {Admitted, TooMany},
	} {
		for i, want := range want {
			if _, got := p.Connect(table, netip.MustParseAddr(addr), now); got != want {
				t.Errorf("%s, connection %d: got %v, want %v", addr, i, got, want)
			}
		}
	}
	if _, v := p.Connect(table, netip.Addr{}, now); v != Admitted {
		t.Errorf("a unix socket's client: got %v, want it admitted", v)
	}
	if (Networks{}).Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Error("an empty set contains an address")
	}
}

// A million clients fit into a table made for them, in the documented memory.
func TestMillionClients(t *testing.T) {
	const clients = 1_000_000
	table, now := newTable(t, clients), time.Now()
	if size := unsafe.Sizeof(entry{}); size != 32 {
		t.Fatalf("an entry has %d bytes", size)
	}
	if got := table.Stats().Bytes; got > 41_000_000 {
		t.Errorf("the table has %d bytes, want at most 41 MB", got)
	}
	p := &Policy{Connections: 1}
	for i := range clients {
		if _, v := p.Connect(table, client(i), now); v != Admitted {
			t.Fatalf("client %d: got %v", i, v)
		}
	}
	for i := range clients {
		if _, v := p.Connect(table, client(i), now); v != TooMany {
			t.Fatalf("client %d, again: got %v, want TooMany", i, v)
		}
	}
	if s := table.Stats(); s.Clients != clients || s.Forgotten != 0 || s.Untracked != 0 {
		t.Errorf("got %+v", s)
	}
}

// In a full table clients without a connection make room, and a client that finds none is admitted.
func TestFullTable(t *testing.T) {
	table, now := newTable(t, 1), time.Now()
	p := &Policy{Connections: 1, Requests: Rate{PerSecond: 1, Burst: 10}}
	entries := int(table.Stats().Bytes) / 32
	// One client has a connection, and many have used something up and left.
	stays, _ := p.Connect(table, client(0), now)
	for i := 1; i <= 2*entries; i++ {
		key, v := p.Connect(table, client(i), now)
		if v != Admitted || key == 0 {
			t.Fatalf("client %d: got %v, key %x", i, v, key)
		}
		p.Request(table, key, now)
		table.Disconnect(key)
	}
	if s := table.Stats(); s.Forgotten < uint64(entries)/2 || s.Untracked != 0 || s.Clients != 1 {
		t.Errorf("got %+v", s)
	}
	if _, v := p.Connect(table, client(0), now); v != TooMany {
		t.Errorf("the client with a connection was forgotten: got %v", v)
	}
	table.Disconnect(stays)
	forgotten := table.Stats().Forgotten
	now = now.Add(time.Minute)
	var keys []Key
	for i := 1; i <= 2*entries; i++ {
		key, v := p.Connect(table, client(i), now)
		if v != Admitted {
			t.Fatalf("client %d: got %v", i, v)
		}
		keys = append(keys, key)
	}
	s := table.Stats()
	if s.Forgotten != forgotten {
		t.Errorf("%d were forgotten that nothing was known of any more", s.Forgotten-forgotten)
	}
	if s.Clients > int64(entries) || s.Clients+int64(s.Untracked) != int64(2*entries) {
		t.Errorf("got %+v of %d entries", s, entries)
	}
	for _, key := range keys {
		table.Disconnect(key)
		table.Disconnect(0)
	}
	if got := table.Stats().Clients; got != 0 {
		t.Errorf("%d clients are left", got)
	}
}

// Under concurrent use a client never has more than its limit, and ends with none.
func TestHammer(t *testing.T) {
	table, now := newTable(t, 1000), time.Now()
	p := &Policy{Connections: 2, Handshakes: Rate{1000, 10}, Requests: Rate{1000, 10}}
	var held [50]struct {
		sync.Mutex
		n int
	}
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range 20_000 {
				n := (i*7 + g) % len(held)
				key, v := p.Connect(table, client(n), now.Add(time.Duration(i)*time.Millisecond))
				if v != Admitted {
					continue
				}
				held[n].Lock()
				if held[n].n++; held[n].n > 2 {
					t.Errorf("client %d has %d connections", n, held[n].n)
				}
				held[n].Unlock()
				p.Handshake(table, key, now)
				p.Request(table, key, now)
				held[n].Lock()
				held[n].n--
				held[n].Unlock()
				table.Disconnect(key)
			}
		})
	}
	group.Wait()
	if got := table.Stats().Clients; got != 0 {
		t.Errorf("%d clients are left", got)
	}
}

func TestNoAllocation(t *testing.T) {
	table, now := newTable(t, 1000), time.Now()
	p := &Policy{
		Connections: 2, Handshakes: Rate{1000, 10}, Requests: Rate{1000, 10},
		Deny: NewNetworks([]netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}),
	}
	n := 0
	if got := testing.AllocsPerRun(1000, func() {
		n++
		key, _ := p.Connect(table, client(n), now)
		p.Handshake(table, key, now)
		p.Request(table, key, now)
		table.Disconnect(key)
	}); got != 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func BenchmarkConnection(b *testing.B) {
	for _, clients := range []int{1, 1_000_000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			table, now := newTable(b, clients), time.Now()
			p := &Policy{Connections: 1000}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n = (n + 7919) % clients
				key, _ := p.Connect(table, client(n), now)
				table.Disconnect(key)
			}
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	table, now := newTable(b, 1000), time.Now()
	p := &Policy{Requests: Rate{PerSecond: 1000, Burst: 1000}}
	key, _ := p.Connect(table, client(1), now)
	b.ReportAllocs()
	for b.Loop() {
		p.Request(table, key, now)
	}
}
