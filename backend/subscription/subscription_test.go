package subscription_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"reprise/backend/subscription"
)

var (
	now   = time.Unix(1795727760, 0) // some seconds after the recorded packets were made
	local = netip.MustParseAddrPort("127.0.0.1:40000")
	lan   = netip.MustParseAddrPort("10.1.2.3:40000")
)

// packet makes a datagram of key=value words.
func packet(leave bool, words ...string) []byte {
	b := []byte{224, 0, 0, 0}
	if leave {
		b[3] = 1
	}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		for _, s := range []string{key, value} {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(s)))
			b = append(b, s...)
		}
	}
	binary.LittleEndian.PutUint16(b[1:], uint16(len(b)-4))
	return b
}

func join(words ...string) []byte { return packet(false, words...) }

// recorded returns what uWSGI sent.
func recorded(t testing.TB) (list [][]byte) {
	data, err := os.ReadFile("testdata/uwsgi-2.0.21.hex")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if line[0] == '#' {
			continue
		}
		b, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, b)
	}
	return list
}

func options() subscription.Options {
	return subscription.Options{
		Tolerance: 17 * time.Second, KeyTolerance: time.Hour, Members: 100, HostMembers: 10,
		Digest:  crypto.SHA256,
		From:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16")},
		Sockets: []string{"/run/app"},
	}
}

// describe makes changes comparable.
func describe(changes []subscription.Change, why subscription.Refusal) string {
	words := []string{}
	if why != subscription.Accepted {
		words = append(words, "refused "+why.String())
	}
	for _, c := range changes {
		w := fmt.Sprintf("%v %s %s:%s *%d", c.Kind, c.Member.Host, c.Member.Network, c.Member.Address, c.Member.Weight)
		if c.Member.HTTP {
			w += " http"
		}
		if c.Member.Backup {
			w += " backup"
		}
		words = append(words, w)
	}
	return strings.Join(words, "; ")
}

// TestRecorded: packets recorded from uWSGI are understood, signed or not.
func TestRecorded(t *testing.T) {
	packets := recorded(t)
	table := subscription.New(options())
	for i, want := range []string{
		"joined a.example tcp:127.0.0.1:13099 *3", "joined b.example tcp:192.0.2.1:13099 *3",
		"left a.example tcp:127.0.0.1:13099 *3", "left b.example tcp:192.0.2.1:13099 *3",
	} {
		if got := describe(table.Receive(now, local, packets[i])); got != want {
			t.Errorf("packet %d: got %s, want %s", i, got, want)
		}
	}
	o := options()
	o.Digest = crypto.SHA1
	o.Key = func(domain []byte) (crypto.PublicKey, error) {
		data, err := os.ReadFile("testdata/" + subscription.KeyFile(domain))
		if err != nil {
			return nil, err
		}
		return subscription.ParseKey(data)
	}
	table = subscription.New(o)
	for i, want := range []string{"refused address", "joined b.example tcp:192.0.2.1:13099 *3", "refused address", "left b.example tcp:192.0.2.1:13099 *3"} {
		from := netip.MustParseAddrPort("198.51.100.1:1") // from anywhere
		if got := describe(table.Receive(now, from, packets[i])); got != want {
			t.Errorf("packet %d with keys: got %s, want %s", i, got, want)
		}
	}
	for i := range packets {
		if got := describe(table.Receive(now, local, packets[i])); !strings.HasPrefix(got, "refused") {
			t.Errorf("packet %d again: got %s", i, got)
		}
	}
}

// TestReceive checks the effect of each packet. It is long because it is a table.
func TestReceive(t *testing.T) {
	const a = "key=a.example"
	tests := []struct {
		name   string
		from   netip.AddrPort
		packet []byte
		want   string
	}{
		{"an address", lan, join(a, "address=10.9.9.9:3031"), "joined a.example tcp:10.9.9.9:3031 *1"},
		{"a domain in capitals", lan, join("key=A.Example.", "address=10.9.9.9:3031"), "joined a.example tcp:10.9.9.9:3031 *1"},
		{"a domain with a port", lan, join("key=a.example:8080", "address=10.9.9.9:3031"), "joined a.example:8080 tcp:10.9.9.9:3031 *1"},
		{"an address for a domain", lan, join("key=192.0.2.1", "address=10.9.9.9:3031"), "joined 192.0.2.1 tcp:10.9.9.9:3031 *1"},
		{"an IPv6 address for a domain", lan, join("key=[2001:DB8::0:1]:80", "address=[2001:db8::2]:1"), "joined [2001:db8::1]:80 tcp:[2001:db8::2]:1 *1"},
		{"an address of the sender", lan, join(a, "address=:3031"), "joined a.example tcp:10.1.2.3:3031 *1"},
		{"every address", lan, join(a, "address=0.0.0.0:3031"), "joined a.example tcp:10.1.2.3:3031 *1"},
		{"every address of IPv6", lan, join(a, "address=[::]:3031"), "joined a.example tcp:10.1.2.3:3031 *1"},
		{"a weight", lan, join(a, "address=:1", "weight=7"), "joined a.example tcp:10.1.2.3:1 *7"},
		{"no weight", lan, join(a, "address=:1", "weight=0"), "joined a.example tcp:10.1.2.3:1 *1"},
		{"a large weight", lan, join(a, "address=:1", "weight=999999999"), "joined a.example tcp:10.1.2.3:1 *65536"},
		{"a backup by HTTP", lan, join(a, "address=:1", "backup=2", "proto=http"), "joined a.example tcp:10.1.2.3:1 *1 http backup"},
		{"a unix socket here", local, join(a, "address=/run/app/a.sock"), "joined a.example unix:/run/app/a.sock *1"},
		{"what is unknown", local, join(a, "address=:1", "sni_key=/etc/shadow", "notify=/run/x", "cores=4", "load=x", "vassal=y"), "joined a.example tcp:127.0.0.1:1 *1"},
		{"an end of nothing", local, packet(true, a, "address=:1"), ""},

		{"a stranger", netip.MustParseAddrPort("10.2.0.1:1"), join(a, "address=:1"), "refused network"},
		{"a stranger mapped to IPv6", netip.MustParseAddrPort("[::ffff:10.2.0.1]:1"), join(a, "address=:1"), "refused network"},
		{"mapped to IPv6", netip.MustParseAddrPort("[::ffff:10.1.0.1]:1"), join(a, "address=:1"), "joined a.example tcp:10.1.0.1:1 *1"},
		{"a unix socket deep in a directory that is listed", local, join(a, "address=/run/app/a/b.sock"), "joined a.example unix:/run/app/a/b.sock *1"},
		{"any unix socket", local, join(a, "address=/run/docker.sock", "proto=http"), "refused address"},
		{"a directory beside", local, join(a, "address=/run/apps/a.sock"), "refused address"},
		{"the directory", local, join(a, "address=/run/app"), "refused address"},
		{"a way out of it", local, join(a, "address=/run/app/../docker.sock"), "refused address"},
		{"a way out of it by a link", local, join(a, "address=/run/app/link/../a.sock"), "refused address"},
		{"a unix socket elsewhere", lan, join(a, "address=/run/app/a.sock"), "refused address"},
		{"our own loopback, from elsewhere", lan, join(a, "address=127.0.0.1:22"), "refused address"},
		{"an abstract socket", local, join(a, "address=@app"), "refused address"},
		{"a path with a NUL", local, join(a, "address=/a\x00b"), "refused address"},
		{"a long path", local, join(a, "address=/"+strings.Repeat("a", 107)), "refused address"},
		{"a name for an address", local, join(a, "address=localhost:1"), "refused address"},
		{"no port", local, join(a, "address=127.0.0.1:0"), "refused address"},
		{"a zone", local, join(a, "address=[fe80::1%eth0]:1"), "refused address"},
		{"a group", local, join(a, "address=224.0.0.1:1"), "refused address"},
		{"everybody", local, join(a, "address=255.255.255.255:1"), "refused address"},
		{"a cloud's metadata", local, join(a, "address=169.254.169.254:80", "proto=http"), "refused address"},
		{"the same mapped to IPv6", local, join(a, "address=[::ffff:169.254.169.254]:80", "proto=http"), "refused address"},
		{"link-local of IPv6", local, join(a, "address=[fe80::1]:80"), "refused address"},
		{"no address", local, join(a), "refused address"},
		{"no domain", local, join("address=:1"), "refused key"},
		{"a path in the domain", local, join("key=a.example/x", "address=:1"), "refused key"},
		{"an empty label", local, join("key=a..example", "address=:1"), "refused key"},
		{"a wildcard", local, join("key=*.example", "address=:1"), "refused key"},
		{"a broken port", local, join("key=a.example:0080", "address=:1"), "refused key"},
		{"a broken address for a domain", local, join("key=[::1", "address=:1"), "refused key"},
		{"a long domain", local, join("key="+strings.Repeat("a", 256), "address=:1"), "refused key"},
		{"perl", local, join(a, "address=:1", "modifier1=5"), "refused modifier"},
		{"a key twice", local, join(a, a, "address=:1"), "refused packet"},
		{"no number", local, join(a, "address=:1", "weight=-1"), "refused packet"},
		{"a huge number", local, join(a, "address=:1", "weight=9999999999999999999"), "refused packet"},
		{"what follows the signature", local, join(a, "address=:1", "sign=x", "weight=2"), "refused packet"},
		{"an empty signature", local, join(a, "address=:1", "sign="), "refused packet"},
		{"another protocol", local, append([]byte{0}, join(a, "address=:1")[1:]...), "refused packet"},
		{"a size that is too small", local, append(join(a, "address=:1"), 0), "refused packet"},
		{"a size that is too large", local, join(a, "address=:1")[:20], "refused packet"},
		{"a string beyond the end", local, []byte{224, 4, 0, 0, 3, 0, 'k', 'e'}, "refused packet"},
		{"nothing", local, nil, "refused packet"},
		{"more than uWSGI reads", local, join(a, "x="+strings.Repeat("x", 4096)), "refused packet"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := subscription.New(options())
			if got := describe(table.Receive(now, test.from, test.packet)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestMemberLife: a member is renewed, changed, falls silent, and comes back.
func TestMemberLife(t *testing.T) {
	table := subscription.New(options())
	at := now
	step := func(after time.Duration, p []byte, want string) {
		t.Helper()
		at = at.Add(after)
		if got := describe(table.Expire(at), subscription.Accepted); got != "" {
			t.Errorf("got %s before the packet", got)
		}
		if got := describe(table.Receive(at, local, p)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	step(0, join("key=a", "address=:1"), "joined a tcp:127.0.0.1:1 *1")
	step(10*time.Second, join("key=a", "address=:1"), "")
	step(17*time.Second, join("key=a", "address=:1", "weight=3"), "reweighted a tcp:127.0.0.1:1 *3")
	step(0, join("key=a", "address=:1", "weight=3", "backup=1"), "left a tcp:127.0.0.1:1 *3; joined a tcp:127.0.0.1:1 *3 backup")
	step(0, join("key=b", "address=:1"), "joined b tcp:127.0.0.1:1 *1")
	step(0, join("key=a", "address=:2"), "joined a tcp:127.0.0.1:2 *1")
	if s := table.Stats(); s.Members.Load() != 3 || s.Packets.Load() != 6 ||
		s.Results.Load(subscription.Accepted) != 6 {
		t.Errorf("got %+v", s)
	}
	step(10*time.Second, join("key=a", "address=:2"), "")
	at = at.Add(8 * time.Second)
	if got, want := describe(table.Expire(at), 0), "expired a tcp:127.0.0.1:1 *3 backup; expired b tcp:127.0.0.1:1 *1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	step(0, packet(true, "key=a", "address=:2"), "left a tcp:127.0.0.1:2 *1")
	step(0, packet(true, "key=a", "address=:2"), "")
	step(0, join("key=a", "address=:2"), "joined a tcp:127.0.0.1:2 *1")
	if s := table.Stats(); s.Members.Load() != 1 || s.Expired.Load() != 2 {
		t.Errorf("got %+v", s)
	}
}

// TestTake: a successor's table continues from the earlier one. A signed packet still counts once,
// also from a member that has left.
func TestTake(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	unsigned, signs := options(), options()
	signs.Key = func([]byte) (crypto.PublicKey, error) { return key.Public(), nil }
	unix := now.Unix()
	hello, other := signed(t, key, unix, join("key=a", "address=10.1.2.3:1")), signed(t, key, unix, join("key=b", "address=10.1.2.3:2"))
	bye := signed(t, key, unix+1, packet(true, "key=b", "address=10.1.2.3:2"))
	before := subscription.New(signs)
	for _, p := range [][]byte{hello, other, bye} {
		if _, why := before.Receive(now, lan, p); why != subscription.Accepted {
			t.Fatal(why)
		}
	}
	known := before.Known(now.Add(10 * time.Second))

	later := now.Add(16 * time.Second)
	after := subscription.New(signs)
	if got := describe(after.Take(known, 6*time.Second, later), 0); got != "joined a tcp:10.1.2.3:1 *1" {
		t.Errorf("got %s", got)
	}
	for _, p := range [][]byte{hello, other, bye} {
		if got := describe(after.Receive(later, lan, p)); got != "refused replay" {
			t.Errorf("recorded before: got %s", got)
		}
	}
	if got := describe(after.Expire(now.Add(18*time.Second)), 0); got != "expired a tcp:10.1.2.3:1 *1" {
		t.Errorf("silent for 18 s: got %s", got)
	}
	if s := after.Stats(); s.Members.Load() != 0 || s.Expired.Load() != 1 {
		t.Errorf("got %+v", s)
	}

	after = subscription.New(signs)
	if got := describe(after.Take(known, 8*time.Second, later), 0); got != "" {
		t.Errorf("silent for 18 s when it was taken: got %s", got)
	}
	if got := describe(after.Receive(later, lan, hello)); got != "refused replay" {
		t.Errorf("recorded before: got %s", got)
	}
	plain := subscription.New(unsigned)
	plain.Receive(now, lan, join("key=a", "address=:1"))
	if got := describe(subscription.New(signs).Take(plain.Known(now), 0, now), 0); got != "" {
		t.Errorf("unsigned, where signatures are asked for: got %s", got)
	}
	own := options()
	own.Own = func(_, address string) bool { return address == "10.1.2.3:1" }
	if got := describe(subscription.New(own).Take(plain.Known(now), 0, now), 0); got != "" {
		t.Errorf("an address that is our own by now: got %s", got)
	}
	few := options()
	few.Members = 0
	if got := describe(subscription.New(few).Take(plain.Known(now), 0, now), 0); got != "" {
		t.Errorf("without a place: got %s", got)
	}
}

// TestBounds: senders cannot fill the memory.
func TestBounds(t *testing.T) {
	o := options()
	o.Members, o.HostMembers = 5, 3
	table := subscription.New(o)
	for i, want := range []string{"", "", "", "refused full"} {
		_, why := table.Receive(now, local, join("key=a", fmt.Sprint("address=:", i+1)))
		if got := describe(nil, why); got != want {
			t.Errorf("member %d of a host: got %q, want %q", i, got, want)
		}
	}
	for i, want := range []string{"", "", "refused full"} {
		_, why := table.Receive(now, local, join(fmt.Sprint("key=b", i), "address=:1"))
		if got := describe(nil, why); got != want {
			t.Errorf("host %d: got %q, want %q", i, got, want)
		}
	}
	if _, why := table.Receive(now, local, join("key=a", "address=:1")); why != subscription.Accepted {
		t.Errorf("a known member: got %v", why)
	}
	table.Receive(now, local, packet(true, "key=a", "address=:1"))
	if _, why := table.Receive(now, local, join("key=b2", "address=:1")); why != subscription.Accepted {
		t.Errorf("after one has left: got %v", why)
	}
}

// FuzzTable: for any packets, the table's counts agree with the changes it returned.
func FuzzTable(f *testing.F) {
	for _, p := range recorded(f) {
		f.Add(p, p, uint8(0))
	}
	f.Add(join("key=a", "address=:1"), packet(true, "key=a", "address=:1"), uint8(20))
	f.Add(join("key=[::1]:1", "address=/x", "weight=1"), join("key=[::1]:1", "address=/x", "weight=2", "proto=h"), uint8(3))
	f.Fuzz(func(t *testing.T, first, second []byte, seconds uint8) {
		o := options()
		o.Members, o.HostMembers = 3, 2
		table := subscription.New(o)
		present := map[string]int{}
		apply := func(changes []subscription.Change) {
			for _, c := range changes {
				id := c.Member.Host + " " + c.Member.Address
				switch c.Kind {
				case subscription.Joined:
					present[id]++
				case subscription.Left, subscription.Expired:
					present[id]--
				}
				if n := present[id]; n < 0 || n > 1 || c.Member.Weight < 1 || c.Member.Host == "" ||
					c.Member.Address == "" {
					t.Fatalf("%v %+v, present %d times", c.Kind, c.Member, n)
				}
			}
		}
		at := now
		for i := range 4 {
			at = at.Add(time.Duration(seconds) * time.Second)
			apply(table.Expire(at))
			p := first
			if i%2 == 1 {
				p = second
			}
			changes, why := table.Receive(at, local, p)
			apply(changes)
			if why != subscription.Accepted && changes != nil {
				t.Fatalf("refused as %v, with changes", why)
			}
		}
		total := 0
		for _, n := range present {
			total += n
		}
		if s := table.Stats(); s.Members.Load() != int64(total) || total > o.Members {
			t.Fatalf("%d members, told of %d", s.Members.Load(), total)
		}
		apply(table.Expire(at.Add(time.Hour)))
		if s := table.Stats(); s.Members.Load() != 0 {
			t.Fatalf("%d members remain", s.Members.Load())
		}
	})
}

func Example() {
	table := subscription.New(subscription.Options{
		Tolerance: 17 * time.Second, From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Members: 100,
		HostMembers: 10,
	})
	changes, _ := table.Receive(time.Now(), netip.MustParseAddrPort("10.0.0.5:51000"), packet(false, "key=www.example.com", "address=:3031"))
	for _, c := range changes {
		fmt.Println(c.Kind, c.Member.Host, c.Member.Address)
	}
	// Output: joined www.example.com 10.0.0.5:3031
}
