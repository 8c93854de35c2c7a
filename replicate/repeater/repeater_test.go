package repeater

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/internal/nettest"
	"reprise/replicate/udp"
	"reprise/replicate/wire"
)

var (
	loopback = netip.MustParseAddrPort("127.0.0.1:0")
	addrA    = netip.MustParseAddrPort("192.0.2.1:7171")
	addrB    = netip.MustParseAddrPort("192.0.2.2:7171")
	addrC    = netip.MustParseAddrPort("[2001:db8::3]:7171")
)

// A testRepeater has a socket and no goroutine: datagrams are given to it, and
// what it wants to send is looked at.
type testRepeater struct {
	*Repeater
	log *strings.Builder
}

func newTestRepeater(t testing.TB, o Options) *testRepeater {
	t.Helper()
	log := new(strings.Builder)
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	if o.Listen == nil {
		o.Listen = []netip.AddrPort{loopback}
	}
	if o.Keys == nil {
		o.Keys = [][]byte{clusterKey(t, 1)}
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return &testRepeater{r, log}
}

// give hands r a datagram and returns what it sends. It is valid until the next.
func (r *testRepeater) give(now time.Duration, from netip.AddrPort,
	datagram []byte,
) []udp.Outgoing {
	o := r.outlets[0]
	o.pending, r.answers = o.pending[:0], r.answers[:0]
	r.expire(now)
	r.handle(now, o, from, datagram)
	return o.pending
}

// offer lets s subscribe from addr, challenge and all, and returns the last that
// it sent.
func (r *testRepeater) offer(now time.Duration, addr netip.AddrPort, s *Subscriber) (sent []byte) {
	for range 2 {
		s.Tick(now, func(_ netip.AddrPort, b []byte) { sent = bytes.Clone(b) })
		for _, o := range r.give(now, addr, sent) {
			s.Receive(now, o.Datagram)
		}
	}
	return sent
}

// subscribe subscribes addr and returns the subscribe that did it.
func (r *testRepeater) subscribe(t testing.TB, now time.Duration, addr netip.AddrPort) []byte {
	t.Helper()
	s := NewSubscriber(clusterKey(t, 1), []netip.AddrPort{loopback})
	sent := r.offer(now, addr, s)
	if s.counts.accepted.Load() != 1 {
		t.Fatalf("%v was not accepted", addr)
	}
	return sent
}

func addressees(list []udp.Outgoing) (to []netip.AddrPort) {
	for _, o := range list {
		to = append(to, o.To)
	}
	return to
}

func sealedDatagram(t testing.TB) []byte {
	return sealed(t, []byte("messages"))
}

func TestRepeaterForwards(t *testing.T) {
	r := newTestRepeater(t, Options{})
	all := []netip.AddrPort{addrA, addrB, addrC}
	for _, addr := range all {
		r.subscribe(t, 0, addr)
	}
	for i, from := range all {
		d := sealedDatagram(t)
		got := r.give(time.Second, from, d)
		if want := slices.Delete(slices.Clone(all), i, i+1); !slices.Equal(addressees(got), want) {
			t.Errorf("from %v to %v, want %v", from, addressees(got), want)
		}
		for _, o := range got {
			if !bytes.Equal(o.Datagram, d) {
				t.Errorf("forwarded as %x", o.Datagram)
			}
		}
	}
}

// What was recorded, or garbage, is not multiplied, though its source is forged to be a
// subscriber's.
func TestRepeaterDoesNotMultiply(t *testing.T) {
	r := newTestRepeater(t, Options{})
	for _, addr := range []netip.AddrPort{addrA, addrB, addrC} {
		r.subscribe(t, 0, addr)
	}
	d := sealedDatagram(t)
	if got := r.give(0, addrA, d); len(got) != 2 {
		t.Fatalf("forwarded to %d, want 2", len(got))
	}
	garbage := bytes.Clone(d)
	garbage[20] ^= 1 // the check
	for _, bad := range [][]byte{d, garbage} {
		for range 1000 {
			if got := r.give(0, addrB, bad); len(got) != 0 {
				t.Fatalf("%x was forwarded to %d", bad, len(got))
			}
		}
	}
	if s := r.Stats(); s.Dropped.Counts()["repeated"] != 1000 || s.Dropped.Counts()["forged"] != 1000 {
		t.Errorf("dropped %v", s.Dropped.Counts())
	}
	// One hello is forwarded as often as a node sends it.
	hello := wire.NewInitiator(secretOf(t, 1), wire.NewChecker(clusterKey(t, 1)), wire.ShortID{1},
		wire.ShortID{2}, wire.Cookie{})
	forwarded := 0
	for range 10_000 {
		forwarded += len(r.give(time.Millisecond, addrA, hello.Hello))
	}
	if forwarded != 2*introductionTries {
		t.Errorf("one hello was forwarded %d times, want %d", forwarded, 2*introductionTries)
	}
}

func TestRepeaterDrops(t *testing.T) {
	key := clusterKey(t, 1)
	d := sealedDatagram(t)
	withControl := func(kind controlType, key []byte) []byte {
		return control{kind: kind, nonce: nonce{1}}.append(nil, wire.NewMAC(key))
	}
	flipped := withControl(controlSubscribe, key)
	flipped[20] ^= 1
	for _, tt := range []struct {
		name     string
		from     netip.AddrPort
		datagram []byte
		reason   string
	}{
		{"stranger", addrC, d, "not_subscribed"},
		{"subscriber's other port", netip.AddrPortFrom(addrA.Addr(), 7172), d, "not_subscribed"},
		{"empty, or longer than any", addrA, nil, "not_sealed"},
		{"short", addrA, d[:wire.HeaderLen-1], "not_sealed"},
		{"foreign version", addrA, append([]byte{1}, d[1:]...), "not_sealed"},
		{"garbage", addrA, append([]byte{2}, make([]byte, 100)...), "forged"},
		{"short control", addrC, flipped[:controlLen-1], "bad_control"},
		{"long control", addrC, append(slices.Clone(flipped), 0), "bad_control"},
		{"another repeater's challenge", addrC, withControl(controlChallenge, key), "bad_control"},
		{"another repeater's acceptance", addrC, withControl(controlAccepted, key), "bad_control"},
		{"unknown control", addrC, withControl(9, key), "bad_control"},
		{"forged", addrC, flipped, "forged_control"},
		{"forged from a subscriber", addrA, flipped, "forged_control"},
		{"foreign key", addrC, withControl(controlSubscribe, clusterKey(t, 2)), "forged_control"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newTestRepeater(t, Options{})
			r.subscribe(t, 0, addrA)
			r.subscribe(t, 0, addrB)
			if got := r.give(0, tt.from, tt.datagram); len(got) != 0 {
				t.Errorf("sent %x to %v", got[0].Datagram, addressees(got))
			}
			s := r.Stats()
			if s.Dropped.Counts()[tt.reason] != 1 || s.Subscribers.Load() != 2 {
				t.Errorf("got %+v, want one %s", s, tt.reason)
			}
		})
	}
}

// A recorded subscribe that is sent again from another address subscribes nothing.
func TestRepeaterReplay(t *testing.T) {
	const lifetime = 10 * time.Second
	r := newTestRepeater(t, Options{Lifetime: lifetime})
	recorded := r.subscribe(t, 0, addrA)
	r.subscribe(t, 0, addrB)

	got := r.give(0, addrC, recorded)
	if len(got) != 1 || got[0].To != addrC || len(got[0].Datagram) > len(recorded) {
		t.Fatalf("got %v", got)
	}
	if c, _ := parseControl(got[0].Datagram); c.kind != controlChallenge {
		t.Errorf("answered with %+v", c)
	}
	if got := addressees(r.give(0, addrB, sealedDatagram(t))); !slices.Equal(got,
		[]netip.AddrPort{addrA}) {
		t.Errorf("forwarded to %v", got)
	}
	// From its own address it prolongs a subscription, but not for ever.
	for now := time.Duration(0); now < 3*lifetime; now += lifetime / 10 {
		r.give(now, addrA, recorded)
	}
	if r.expire(3 * lifetime); r.find(addrA) >= 0 {
		t.Error("a recording keeps its address subscribed")
	}
	// A repeater that was started again takes no recording at all.
	r = newTestRepeater(t, Options{Lifetime: lifetime})
	if r.give(0, addrA, recorded); len(r.subscribers) != 0 {
		t.Error("subscribed by a recording from an earlier life")
	}
}

func TestRepeaterExpires(t *testing.T) {
	r := newTestRepeater(t, Options{Lifetime: 10 * time.Second})
	r.subscribe(t, 0, addrA)
	r.subscribe(t, 0, addrB)
	r.subscribe(t, 9*time.Second, addrB) // renewed
	if got := r.give(10*time.Second-1, addrB, sealedDatagram(t)); len(got) != 1 {
		t.Errorf("forwarded to %v", addressees(got))
	}
	if got := r.give(10*time.Second, addrB, sealedDatagram(t)); len(got) != 0 {
		t.Errorf("forwarded to %v, which did not renew", addressees(got))
	}
	r.give(10*time.Second, addrA, sealedDatagram(t))
	s := r.Stats()
	want := map[string]uint64{"challenged": 3, "subscribed": 2, "renewed": 1, "expired": 1, "refused": 0}
	if fmt.Sprint(s.Subscriptions.Counts()) != fmt.Sprint(want) || s.Subscribers.Load() != 1 ||
		s.Dropped.Counts()["not_subscribed"] != 1 {
		t.Errorf("got %+v", s)
	}
	for _, line := range []string{addrA.String() + " subscribed", addrA.String() + " did not renew"} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, r.log)
		}
	}
}

func TestRepeaterIsBounded(t *testing.T) {
	r := newTestRepeater(t, Options{MaxSubscribers: 2})
	r.subscribe(t, 0, addrA)
	r.subscribe(t, time.Second, addrB)
	late := NewSubscriber(clusterKey(t, 1), []netip.AddrPort{loopback})
	r.offer(5*time.Second, addrC, late)
	r.offer(8*time.Second, addrC, late)
	if s := r.Stats(); s.Subscribers.Load() != 2 || s.Subscriptions.Counts()["refused"] < 2 {
		t.Errorf("got %+v", s)
	}
	if got := strings.Count(r.log.String(), "cannot subscribe"); got != 1 {
		t.Errorf("logged %d times, want once:\n%s", got, r.log)
	}
	r.offer(10*time.Second, addrC, late) // A has expired
	if r.find(addrC) < 0 {
		t.Error("no room after one has expired")
	}
}

// Many addresses, all of them forged: no memory, no more bytes than came, and no
// garbage to collect.
func TestRepeaterFlood(t *testing.T) {
	r := newTestRepeater(t, Options{})
	recorded := r.subscribe(t, 0, addrA)
	foreign := control{kind: controlSubscribe}.append(nil, wire.NewMAC([]byte("another")))
	in, out, next := 0, 0, uint32(0x0a000000)
	flood := func(datagram []byte) func() {
		return func() {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], next)
			next++
			from := netip.AddrPortFrom(netip.AddrFrom4(ip), 7171)
			in += len(datagram)
			for _, o := range r.give(time.Second, from, datagram) {
				if o.To != from {
					t.Fatalf("sent to %v what came from %v", o.To, from)
				}
				out += len(o.Datagram)
			}
		}
	}
	for _, tt := range []struct {
		name     string
		datagram []byte
		answered bool
	}{
		{"foreign key", foreign, false},
		{"replayed", recorded, true},
		{"sealed", sealedDatagram(t), false},
	} {
		in, out = 0, 0
		send := flood(tt.datagram)
		for range 2 * maxReported { // those complained about are remembered, so many
			send()
		}
		if allocs := testing.AllocsPerRun(20_000, send); allocs != 0 {
			t.Errorf("%s: %v allocations each", tt.name, allocs)
		}
		if out > in || tt.answered != (out > 0) {
			t.Errorf("%s: %d bytes for %d", tt.name, out, in)
		}
	}
	if len(r.subscribers) != 1 || len(r.reported) > maxReported ||
		cap(r.answers) != udp.BatchLen*controlLen {
		t.Errorf("%d subscribers, %d reported, %d bytes of answers", len(r.subscribers), len(r.reported), cap(r.answers))
	}
	if got := strings.Count(r.log.String(), "subscribes with a key that this repeater does not have"); got != maxReported {
		t.Errorf("complained %d times, want %d", got, maxReported)
	}
}

// While the cluster secret is rotated, nodes with either are subscribers.
func TestRepeaterRekey(t *testing.T) {
	older, newer := clusterKey(t, 1), clusterKey(t, 2)
	r := newTestRepeater(t, Options{Keys: [][]byte{older}})
	answered := func(key []byte) bool {
		got := r.give(0, addrA, control{kind: controlSubscribe}.append(nil, wire.NewMAC(key)))
		return len(got) == 1 && verify(wire.NewMAC(key), got[0].Datagram)
	}
	for _, step := range []struct {
		keys         [][]byte
		older, newer bool
	}{
		{[][]byte{older}, true, false},
		{[][]byte{newer, older}, true, true},
		{[][]byte{newer}, false, true},
	} {
		if err := r.Rekey(step.keys); err != nil {
			t.Fatal(err)
		}
		if answered(older) != step.older || answered(newer) != step.newer {
			t.Errorf("with %d keys: answers older %v, newer %v, want %v, %v", len(step.keys), answered(older), answered(newer), step.older, step.newer)
		}
	}
	if err := r.Rekey([][]byte{newer, make([]byte, 32)}); err == nil || !answered(newer) {
		t.Errorf("after a refused key: %v, still answers: %v", err, answered(newer))
	}
}

func TestRepeaterErrors(t *testing.T) {
	key := clusterKey(t, 1)
	taken := newTestRepeater(t, Options{}).outlets[0].Addr
	for _, tt := range []struct {
		name   string
		listen string
		keys   [][]byte
		want   string
	}{
		{"no key", "127.0.0.1:0", nil, "needs a key"},
		{"short key", "127.0.0.1:0", [][]byte{key, key[:15]}, "repeater key has 15 bytes, at least 16 are needed"},
		{"zero key", "127.0.0.1:0", [][]byte{make([]byte, 32)}, "the same byte over and over"},
		{"taken", taken.String(), [][]byte{key}, "cannot listen on UDP " + taken.String() + ": bind: address already in use: choose another address"},
		{"group", "239.1.1.1:7171", [][]byte{key}, "cannot repeat at 239.1.1.1:7171: it is a multicast group"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nettest.LeakCheck(t)
			_, err := New(Options{
				Listen: []netip.AddrPort{loopback, netip.MustParseAddrPort(tt.listen)},
				Keys:   tt.keys,
			})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// Forwarding makes no garbage and loses nothing, through real sockets and for more
// datagrams than gather at once.
func TestRepeaterServes(t *testing.T) {
	const subscribers = 30
	f := newForwarding(t, subscribers, 100)
	work := func() { f.send(); f.serve(); f.drain() }
	work()
	if allocs := testing.AllocsPerRun(20, work); allocs != 0 {
		t.Errorf("%v allocations for a batch", allocs)
	}
	before := f.r.Stats().SentDatagrams.Load()
	f.send()
	f.serve()
	const want = udp.BatchLen * (subscribers - 1)
	if got := f.r.Stats().SentDatagrams.Load() - before; got != want {
		t.Errorf("%d datagrams became %d, want %d", udp.BatchLen, got, want)
	}
	if got := f.drain(); got != want {
		t.Errorf("%d arrived, want %d", got, want)
	}
	subscribe := control{kind: controlSubscribe}.append(nil, wire.NewMAC(clusterKey(t, 1)))
	for i := range f.batch {
		f.batch[i].Datagram = subscribe
	}
	for range 3 {
		work()
	}
	o := f.r.outlets[0]
	if len(o.pending) != 0 || cap(o.pending) != pendingLen || len(f.r.answers) != 0 ||
		cap(f.r.answers) != udp.BatchLen*controlLen {
		t.Errorf("%d of %d pending, %d of %d bytes of answers", len(o.pending), cap(o.pending), len(f.r.answers), cap(f.r.answers))
	}
}
