package replicate_test

import (
	"fmt"
	"net/netip"
	"time"

	"reprise/replicate"
)

// sessions is the least that a memory can be.
type sessions map[replicate.Key]string

func (s sessions) Put(key replicate.Key, value []byte, _, _ time.Duration, _ bool) {
	s[key] = string(value)
}

func (s sessions) Find(dst []byte, key replicate.Key) (_ []byte, age, left time.Duration, ok bool) {
	value, ok := s[key]
	return append(dst, value...), 0, time.Minute, ok
}
func (s sessions) Delete(key replicate.Key, _ time.Duration) { delete(s, key) }
func (s sessions) Scan(uint64, func(replicate.Key, []byte, time.Duration, time.Duration)) uint64 {
	return 0
}

func (s sessions) Hold(dst []byte, _ replicate.Key, _ uint64) ([]byte, time.Duration, time.Duration,
	uint64, replicate.Verdict,
) {
	return dst, 0, 0, 0, replicate.Unknown
}
func (s sessions) Release(replicate.Key, uint64)                 {}
func (s sessions) Rules(dst []replicate.Rule) []replicate.Rule   { return dst }
func (s sessions) RulesDigest() uint64                           { return 0 }
func (s sessions) AddRule(_ replicate.Rule, done func(int)) bool { done(0); return true }

// network is one of two: what one sends, the other finds in its queue.
type network struct{ out *[][]byte }

func (w network) Send(_ netip.AddrPort, datagram []byte) {
	*w.out = append(*w.out, append([]byte(nil), datagram...))
}
func (w network) SendAll(_ []netip.AddrPort, datagram []byte) { w.Send(netip.AddrPort{}, datagram) }

// Example connects two nodes without a socket: a Node is the protocol as a value.
func Example() {
	secret, err := replicate.NewSecret([]byte("32 random bytes, from a file...."))
	if err != nil {
		fmt.Println(err)
		return
	}
	start := func(memory sessions, out *[][]byte) *replicate.Node {
		return replicate.NewNode(replicate.Options{
			ID: replicate.NewID(), Secrets: []replicate.Secret{secret}, Mode: replicate.Push,
			DatagramLen: 1200, Heartbeat: time.Second, DeadAfter: 3 * time.Second,
			LookupTimeout: 5 * time.Millisecond, MaxQuestions: 100, SnapshotRate: 1 << 20,
			HoldFor: time.Second, KnownFor: time.Hour,
		}, memory, network{out})
	}
	var toA, toB [][]byte
	a, b := start(sessions{}, &toB), start(sessions{}, &toA)
	var now time.Duration
	addr := netip.MustParseAddrPort("192.0.2.1:7171")
	a.SetPeers(now, []netip.AddrPort{addr}, nil)
	b.SetPeers(now, []netip.AddrPort{addr}, nil)
	deliver := func() {
		for range 10 {
			now += time.Millisecond
			a.Tick(now)
			b.Tick(now)
			for _, d := range toA {
				a.Receive(now, addr, d)
			}
			toA = nil
			for _, d := range toB {
				b.Receive(now, addr, d)
			}
			toB = nil
		}
	}
	deliver() // they introduce themselves

	key := replicate.Key{1}
	a.Publish(now, &replicate.Update{
		Kind: replicate.UpdateSession, Key: key, Left: time.Minute,
		Value: []byte("state"),
	})
	a.Flush(now)
	deliver()
	a.Ask(now, &replicate.Question{Key: key, Answer: func(r replicate.Reply) {
		fmt.Println("the other node has it:", string(r.Value), r.Verdict == replicate.Found)
	}})
	deliver()
	// Output:
	// the other node has it: state true
}
