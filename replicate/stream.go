package replicate

import (
	"time"

	"reprise/replicate/wire"
)

const (
	// keptLen is how many batches a node can repeat in the stream to all: as many as a receiver
	// tracks.
	keptLen = trackedLen
	// homeKeptLen is the same for each peer's stream of home batches.
	homeKeptLen = 1024
	// keptAtFirst is the initial room: in a large fleet most streams carry little.
	keptAtFirst = 16
)

// A stream is batches in order: the one being filled, and the contents of the last ones, in case
// they are asked for again. Of those it keeps keys, not sessions: a repeated batch is made from the
// memory's contents at that time, with the ages of that time. So expired and forgotten sessions do
// not come back, and no session is kept beyond its time.
type stream struct {
	id   wire.Stream
	peer *peer // nil: to all

	maxLen   int
	records  wire.Records // being filled; their times are those of packedAt
	entries  []entry      // of records
	packedAt time.Duration
	made     time.Duration // when the first update in records was made
	waiting  bool          // it is in Node.pending

	first   uint64 // the first batch of the stream
	seq     uint64 // the newest batch made
	kept    [][]entry
	keptMax int // bound on its growth
}

// An entry is an update of a batch, without its value.
type entry struct {
	key   Key
	until time.Duration // of a delete: its session has expired by then
	kind  wire.UpdateKind
}

func (s *stream) init(id wire.Stream, p *peer, datagramLen int) {
	s.id, s.peer = id, p
	s.maxLen = datagramLen - wire.DatagramOverhead - wire.BatchOverhead
	s.kept, s.keptMax = make([][]entry, keptAtFirst), keptLen
	if p != nil {
		s.keptMax = homeKeptLen
	}
	s.records = make(wire.Records, 0, s.maxLen)
	s.first = max(s.first, 1)
	s.seq = s.first - 1
}

// oldest is the oldest batch that can be repeated.
func (s *stream) oldest() uint64 {
	return max(s.seq+1, max(s.first, 1)+uint64(len(s.kept))) - uint64(len(s.kept))
}

// next begins a batch and returns the place for its entries.
func (s *stream) next() *[]entry {
	s.seq++
	if n := uint64(len(s.kept)); s.seq-s.first >= n && len(s.kept) < s.keptMax {
		grown := make([][]entry, 2*n)
		for seq := s.seq - n; seq < s.seq; seq++ {
			grown[seq%(2*n)] = s.kept[seq%n]
		}
		s.kept = grown
	}
	return s.slot(s.seq)
}

func (s *stream) slot(seq uint64) *[]entry { return &s.kept[seq%uint64(len(s.kept))] }

// tryAdd adds u and reports whether it did: false if it does not fit any more, which cannot happen
// in an empty batch.
func (s *stream) tryAdd(now time.Duration, u *Update) bool {
	passed := max(now-u.Made, 0)
	record := wire.Update{
		Kind: u.Kind, Key: u.Key, Age: u.Age + passed, Left: u.Left - passed,
		Value: u.Value,
	}
	need := wire.RecordLen(&record)
	switch {
	case need == 0 || record.Left <= 0:
		return true // too late, or too large
	case len(s.records) > 0 && len(s.records)+need > s.maxLen:
		return false
	case need > cap(s.records): // a larger session; the buffer must not grow by a copy
		clear(s.records)
		s.records = make(wire.Records, 0, wire.MaxRecordLen)
	}
	if len(s.records) == 0 {
		s.packedAt, s.made = now, u.Made
	}
	s.made = min(s.made, u.Made)
	s.records = wire.AppendRecord(s.records, &record)
	s.entries = append(s.entries, entry{u.Key, now + record.Left, u.Kind})
	return true
}

// wipe overwrites the waiting sessions.
func (s *stream) wipe() {
	clear(s.records[:cap(s.records)])
	s.records = s.records[:0]
}

// Publish sends an update to peers, at the latest when Flush is called. A delete goes to all; the
// mode decides where a session goes.
func (n *Node) Publish(now time.Duration, u *Update) {
	n.now = now
	switch u.Kind {
	case UpdateSession:
		switch n.sends() {
		case Pull:
			return
		case Homes:
			n.counts.SessionsOut.Inc()
			a, b := n.homesOf(u.Key)
			n.addHome(a, u)
			n.addHome(b, u)
			return
		}
		n.counts.SessionsOut.Inc()
	case UpdateDelete:
		n.counts.DeletesOut.Inc()
	case UpdateRelease:
		n.release(u)
		return
	}
	n.add(&n.all, u)
}

func (n *Node) addHome(p *peer, u *Update) {
	if p == nil {
		return
	}
	if p.home.kept == nil {
		p.home.first = n.mode.homeFirst
		p.home.init(wire.StreamHome, p, n.o.DatagramLen)
	}
	n.add(&p.home, u)
}

func (n *Node) add(s *stream, u *Update) {
	for !s.tryAdd(n.now, u) {
		n.flush(s)
	}
	if !s.waiting {
		s.waiting = true
		n.pending = append(n.pending, s)
	}
}

// Flush sends the updates that Publish has gathered.
func (n *Node) Flush(now time.Duration) {
	n.now = now
	for i, s := range n.pending {
		n.flush(s)
		s.waiting = false
		n.pending[i] = nil
	}
	n.pending = n.pending[:0]
}

func (n *Node) flush(s *stream) {
	if len(s.entries) == 0 {
		return
	}
	slot := s.next()
	*slot, s.entries = s.entries, (*slot)[:0]
	s.records.Pass(n.now - s.packedAt)
	b, start := wire.BeginBatch(n.begin(), s.to(), s.id, s.seq, n.now-s.made)
	b = wire.EndMessage(append(b, s.records...), start)
	clear(s.records)
	s.records = s.records[:0]
	if s.peer != nil {
		n.sendTo(s.peer, b)
		n.startHomeTail(s.peer)
		return
	}
	n.seal(b)
	n.out.SendAll(n.told, n.sealed)
	n.tail, n.tailFrom = 0, n.now
}

func (s *stream) to() ShortID {
	if s.peer != nil {
		return s.peer.id.Short()
	}
	return wire.Everybody
}

// repack remakes the waiting batches from what the memory still has, after a rule has come in
// force.
func (n *Node) repack() {
	for _, s := range n.pending {
		s.wipe()
		s.packedAt = n.now
		s.records = n.appendEntries(s.records, s.entries)
	}
}

// appendEntries appends the records of entries as they are now.
func (n *Node) appendEntries(b []byte, entries []entry) []byte {
	for i := range entries {
		e := &entries[i]
		if e.kind == UpdateDelete {
			if left := e.until - n.now; left > 0 {
				b = wire.AppendRecord(b, &wire.Update{Kind: UpdateDelete, Key: e.key, Left: left})
			}
			continue
		}
		value, age, left, ok := n.memory.Find(n.value[:0], e.key)
		if ok && left > 0 && len(b)+wire.MaxRecordLen-wire.MaxValueLen+len(value) <= cap(b) {
			b = wire.AppendRecord(b, &wire.Update{
				Kind: UpdateSession, Key: e.key, Age: age,
				Left: left, Value: value,
			})
		}
		clear(value)
	}
	return b
}

// homeTail has the delays after which a peer is told, following the last home batch, how many there
// were. While batches keep coming they have the same effect. Sessions missing meanwhile are found
// at the other home, or at the owner.
var homeTail = [...]time.Duration{200 * time.Millisecond}

func (n *Node) startHomeTail(p *peer) {
	if p.tailFrom == 0 {
		n.tails = append(n.tails, p)
	}
	p.tail, p.tailFrom = 0, n.now
}

func (n *Node) tickTails() time.Duration {
	next := n.now + time.Second
	kept := n.tails[:0]
	for _, p := range n.tails {
		if due := p.tailFrom + homeTail[p.tail]; n.now < due {
			next = min(next, due)
			kept = append(kept, p)
			continue
		}
		if p.up {
			n.sendTo(p, wire.Echo{
				To: p.id.Short(), Stream: wire.StreamHome, Newest: p.home.seq,
				Oldest: p.home.oldest(),
			}.Append(n.begin()))
		}
		if p.tail++; p.tail == len(homeTail) || !p.up {
			p.tailFrom = 0
			continue
		}
		p.tailFrom = n.now
		next = min(next, n.now+homeTail[p.tail])
		kept = append(kept, p)
	}
	clear(n.tails[len(kept):])
	n.tails = kept
	return next
}

// handleRepair repeats batches, a bounded number for each request. The next heartbeat shows which
// are gone.
func (n *Node) handleRepair(p *peer, m wire.Repair) {
	s := &n.all
	if m.Stream == wire.StreamHome {
		s = &p.home
	}
	if s.kept == nil {
		return
	}
	left := repairBatches
	for r := range m.Ranges.All() {
		// Limited first, or a range of batches that never existed would cost its length.
		end := min(r.First+uint64(r.Count), s.seq+1)
		for seq := max(r.First, s.oldest()); seq < end; seq++ {
			if left--; left < 0 {
				return
			}
			n.counts.RepairsSent.Inc()
			b, start := wire.BeginBatch(n.begin(), p.id.Short(), s.id, seq, 0)
			n.sendTo(p, wire.EndMessage(n.appendEntries(b, *s.slot(seq)), start))
		}
	}
}
