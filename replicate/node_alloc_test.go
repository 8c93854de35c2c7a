package replicate

import (
	"net/netip"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// slotMemory is a Memory like a cache: fixed places, chosen by the key, and no
// allocation.
type slotMemory struct {
	slots             []memorySlot
	putLen, deleteLen int
}

type memorySlot struct {
	key   Key
	len   int
	value [512]byte
}

func newSlotMemory() *slotMemory { return &slotMemory{slots: make([]memorySlot, 1<<14)} }

func (m *slotMemory) slot(key Key) *memorySlot {
	return &m.slots[(int(key[6])<<8|int(key[7]))%len(m.slots)]
}

func (m *slotMemory) Put(key Key, value []byte, _, _ time.Duration, _ bool) {
	s := m.slot(key)
	s.key, s.len = key, copy(s.value[:], value)
	m.putLen++
}

func (m *slotMemory) Find(dst []byte, key Key) (_ []byte, age, left time.Duration, ok bool) {
	s := m.slot(key)
	if s.key != key {
		return dst, 0, 0, false
	}
	return append(dst, s.value[:s.len]...), 0, time.Minute, true
}

func (m *slotMemory) Delete(key Key, _ time.Duration) {
	if s := m.slot(key); s.key == key {
		*s = memorySlot{}
	}
	m.deleteLen++
}

func (m *slotMemory) Scan(uint64, func(Key, []byte, time.Duration,
	time.Duration),
) uint64 {
	return 0
}

func (m *slotMemory) Hold(dst []byte, key Key, again uint64) (_ []byte, age, left time.Duration,
	hold uint64, v Verdict,
) {
	return dst, 0, 0, 0, Unknown
}
func (m *slotMemory) Release(Key, uint64)                 {}
func (m *slotMemory) Rules(dst []Rule) []Rule             { return dst }
func (m *slotMemory) RulesDigest() uint64                 { return 0 }
func (m *slotMemory) AddRule(_ Rule, done func(int)) bool { done(0); return true }

// sink is a Transport that keeps the last datagram only.
type sink struct{ last []byte }

func (s *sink) Send(_ netip.AddrPort, datagram []byte) { s.last = append(s.last[:0], datagram...) }

func (s *sink) SendAll(_ []netip.AddrPort,
	datagram []byte,
) {
	s.last = append(s.last[:0], datagram...)
}

// A puppet is a peer whose messages a test decides.
type puppet struct {
	id     ID
	sender *wire.Sender
	check  *wire.Checker
	plain  []byte
	out    []byte
}

// newPuppet introduces one to a node, at an address.
func newPuppet(t testing.TB, n *Node, out *sink, from netip.AddrPort) *puppet {
	t.Helper()
	id := NewID()
	secret := n.secrets[0].Secret
	p := &puppet{
		id: id, check: secret.Checker(), plain: make([]byte, 0, receiveLen),
		out: make([]byte, 0, receiveLen),
	}
	p.sender = wire.NewSender(secret.Checker(), id.Short(), n.now)
	n.Receive(n.now, from, p.seal(n.now, nil)) // not understood
	retry, ok := wire.ParseRetry(out.last)
	if !ok || retry.To != id.Short() {
		t.Fatal("no retry")
	}
	i := wire.NewInitiator(secret, p.check, id.Short(), n.id, retry.Cookie)
	n.Receive(n.now, from, i.Hello)
	own := wire.Introduction{ID: id, Wall: n.o.Wall(), Name: "puppet"}
	p.sender.Handover(&own, n.now)
	_, proof, ok := i.Welcome(out.last, p.check, &own)
	if !ok {
		t.Fatal("no welcome")
	}
	n.Receive(n.now, from, proof)
	if peer := n.peers[id]; peer == nil || !peer.introduced {
		t.Fatal("not introduced")
	}
	return p
}

// seal seals a message.
func (p *puppet) seal(now time.Duration, messages []byte) []byte {
	plain := append(p.plain[:wire.PlainHeaderLen], messages...)
	p.out = p.sender.Seal(p.out[:0], plain, now)
	return p.out
}

// pairOf returns a node, and a peer that it believes.
func pairOf(t testing.TB) (n *Node, m *slotMemory, out *sink, peer *puppet) {
	m, out = newSlotMemory(), new(sink)
	o := Options{
		ID: NewID(), Secrets: []Secret{testSecret(t, "a cluster secret for tests")}, DatagramLen: 1200, Mode: Push,
		Heartbeat: time.Second, DeadAfter: time.Hour, LookupTimeout: 5 * time.Millisecond,
		MaxQuestions: 1024, SnapshotRate: 1 << 20,
		HoldFor: time.Second, KnownFor: time.Hour,
	}
	n = NewNode(o, m, out)
	return n, m, out, newPuppet(t, n, out, elsewhere)
}

// No session allocates on its way out or in, nor when it is given to a node that
// asks. (The outbox allocates the memory of each batch it keeps in its first lap.)
func TestNodeDoesNotAllocate(t *testing.T) {
	n, m, _, peer := pairOf(t)
	now, key := time.Duration(0), 0
	u := benchSession
	publish := func() {
		for range 4 {
			key++
			u.Key = simKey(key)
			n.Publish(now, &u)
		}
		n.Flush(now)
	}
	for range keptLen {
		publish()
	}
	var records wire.Records
	for range 4 {
		records = wire.AppendRecord(records,
			&wire.Update{Kind: UpdateSession, Key: keyA, Left: time.Minute, Value: benchSession.Value})
	}
	seq := uint64(0)
	messages := make([]byte, 0, 1200)
	receive := func() {
		seq++
		messages = wire.Batch{Seq: seq, Records: records}.Append(messages[:0])
		n.Receive(now, elsewhere, peer.seal(now, messages))
	}
	m.Put(keyA, benchSession.Value, 0, time.Minute, false)
	answer := func() {
		messages = wire.Ask{To: n.id, Question: 1, Key: keyA}.Append(messages[:0])
		n.Receive(now, elsewhere, peer.seal(now, messages))
	}
	beat := func() {
		messages = wire.Heartbeat{Newest: seq, Oldest: 1, Members: n.digest}.Append(messages[:0])
		n.Receive(now, elsewhere, peer.seal(now, messages))
		now += n.o.Heartbeat
		n.Tick(now)
	}
	n.o.Heartbeat = 10 * time.Millisecond // a ratchet's step, twice a minute, does allocate
	for _, test := range []struct {
		name string
		f    func()
	}{{"publish and flush", publish}, {"receive a batch", receive}, {"answer a question", answer}, {"heartbeat and echo", beat}} {
		t.Run(test.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(1000, test.f); got != 0 {
				t.Errorf("%v allocations", got)
			}
		})
	}
	if m.putLen < 4000 || n.counts.Lookups.Answered.Load() < 1000 {
		t.Errorf("%d sessions arrived, %d questions were answered: nothing was tested", m.putLen, n.counts.Lookups.Answered.Load())
	}
}

// A question costs the asker what it remembers of it, once for each miss.
func TestAskAllocatesOnce(t *testing.T) {
	n, _, _, peer := pairOf(t)
	answered := 0
	q := &Question{Key: keyA, Owner: peer.id.Short(), Answer: func(Reply) { answered++ }}
	messages := make([]byte, 0, 1200)
	got := testing.AllocsPerRun(1000, func() {
		n.Ask(0, q)
		messages = wire.Answer{
			To: n.id, Question: n.questions.last, Verdict: Found,
			Record: wire.Update{
				Kind: UpdateSession, Key: keyA, Left: time.Minute,
				Value: benchSession.Value,
			},
		}.Append(messages[:0])
		n.Receive(0, elsewhere, peer.seal(0, messages))
	})
	if got > 1 || answered != 1001 {
		t.Errorf("%v allocations, want at most 1; %d answers", got, answered)
	}
}

func TestPublishDoesNotAllocate(t *testing.T) {
	p := loopbackFleet(t, 2, nil)[0]
	u := benchSession
	publish := func() { p.Publish(u) }
	for range 3 * keptLen {
		publish()
	}
	if got := testing.AllocsPerRun(1000, publish); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// Statistics may be read while the node works.
func TestStatsWhileRunning(t *testing.T) {
	fleet := loopbackFleet(t, 3, nil)
	done := make(chan Stats)
	go func() {
		var s Stats
		for range 200 {
			s = fleet[0].Stats()
		}
		done <- s
	}()
	for i := range 2000 {
		fleet[i%3].make(simKey(i), "session")
	}
	s := <-done
	if s.ID != fleet[0].node.o.ID.String() || len(s.Peers) != 2 || s.ReceivedDatagrams.Load() == 0 {
		t.Errorf("got %+v", s)
	}
}
