package replicate

import (
	"slices"
	"time"

	"reprise/replicate/wire"
)

const (
	// maxDonations bounds how many joining nodes are served at once.
	maxDonations = 4
	// donationIdle ends the service of a joining node that neither asks nor is being sent anything.
	// A live one asks every joinAgain or two round trips; while it is served, others wait.
	donationIdle = time.Second
	// joinDelay is how long a node waits for further peers after the first: their number decides
	// what it fetches, and from whom.
	joinDelay = 50 * time.Millisecond
	// joinPause is when a node starts again that got everything from no peer.
	joinPause = 100 * time.Millisecond
	// joinAgain is how long to wait for missing parts.
	joinAgain = 20 * time.Millisecond
	// joinTries is the number of tries before another donor is tried.
	joinTries = 25
	// maxParts bounds the parts of one step. If a scan of the memory yields more, it is split into
	// several steps, whose number is in the upper bits of the cursor.
	maxParts  = 4096
	stepShift = 48
	// snapshotBurst bounds the bytes sent at once, so that a receiver's socket buffer holds them.
	snapshotBurst = 64 << 10
)

// snapshots is both sides of sending a memory's contents to a joining node.
type snapshots struct {
	join      join
	donations map[ID]*donation
	budget    float64 // bytes that may be given now
	budgetAt  time.Duration
}

func (s *snapshots) init() { s.donations = make(map[ID]*donation) }

// JoinState is the progress of a node that fetches the sessions of a peer.
type JoinState uint8

// The states of joining.
const (
	JoinAlone JoinState = iota // no peer yet
	JoinUnderWay
	JoinDone
)

func (s JoinState) String() string { return [...]string{"alone", "under way", "done"}[s] }

// join is the receiver's side: everything from one peer, or from each peer the sessions that this
// node is a home of.
type join struct {
	state   JoinState
	beginAt time.Duration
	stream  wire.Stream // the requested stream
	donor   *peer
	rest    []*peer // donors to come
	cursor  uint64  // of the step being fetched
	next    uint64
	have    []bool // parts of the step
	haveLen int
	againAt time.Duration
	tries   int
}

// donation is the donor's side: the keys of one scan of the memory, kept to repeat parts of it. The
// sessions are looked up when a part is sealed, so that expired and forgotten ones are not sent.
type donation struct {
	peer    *peer
	stream  wire.Stream
	scanned bool
	cursor  uint64   // of the scan
	next    uint64   // of the following scan
	plan    [][]Key  // all parts of the scan
	step    int      // the current one
	pending []uint16 // its requested parts, not yet sent
	seen    time.Duration
}

// parts are the parts of the step.
func (d *donation) parts() [][]Key {
	begin := min(d.step*maxParts, len(d.plan))
	return d.plan[begin:min(begin+maxParts, len(d.plan))]
}

// cursors are the cursors of the step and of the following one.
func (d *donation) cursors() (this, next uint64) {
	this, next = d.cursor|uint64(d.step)<<stepShift, d.next
	if (d.step+1)*maxParts < len(d.plan) {
		next = d.cursor | uint64(d.step+1)<<stepShift
	}
	return this, next
}

// startJoining fetches sessions of live peers as soon as there are some.
func (n *Node) startJoining() time.Duration {
	j := &n.snapshot.join
	if n.o.Mode == Pull || len(n.members) == 1 {
		return n.now + time.Second
	}
	if j.beginAt == 0 {
		j.beginAt = n.now + joinDelay
	}
	if n.now < j.beginAt {
		return j.beginAt
	}
	n.mode.update(n)
	fresh := join{state: JoinUnderWay, beginAt: j.beginAt}
	if n.sends() == Homes {
		fresh.stream = wire.StreamHome
	}
	for _, m := range n.members {
		if m.peer != nil {
			fresh.rest = append(fresh.rest, m.peer)
		}
	}
	slices.SortFunc(fresh.rest, func(a, b *peer) int { return int(a.rtt - b.rtt) })
	n.setJoin(fresh)
	n.nextDonor()
	return n.now
}

// nextDonor continues with another peer, or ends the join.
func (n *Node) nextDonor() {
	j := n.snapshot.join
	for len(j.rest) > 0 {
		donor := j.rest[0]
		j.rest = j.rest[1:]
		if n.alive(donor) {
			n.setJoin(join{
				state: JoinUnderWay, beginAt: j.beginAt, stream: j.stream, donor: donor,
				rest: j.rest,
			})
			n.requestSnapshot()
			return
		}
	}
	if j.stream == wire.StreamAll { // no peer has given everything
		n.setJoin(join{beginAt: n.now + joinPause})
		return
	}
	n.setJoin(join{state: JoinDone})
}

func (n *Node) setJoin(j join) {
	n.snapshot.join = j
	n.counts.joinState.Set(int64(j.state))
}

// requestSnapshot asks for the missing parts of the step.
func (n *Node) requestSnapshot() {
	j := &n.snapshot.join
	var parts wire.Parts
	for i, have := range j.have {
		if !have && len(parts) < n.o.DatagramLen/2 {
			parts = parts.Append(uint16(i))
		}
	}
	j.againAt = n.now + max(joinAgain, 2*j.donor.rtt)
	n.sendTo(j.donor, wire.SnapshotRequest{
		To: j.donor.id.Short(), Stream: j.stream, Cursor: j.cursor, Parts: parts,
	}.Append(n.begin()))
}

func (n *Node) handleSnapshotPart(p *peer, m wire.SnapshotPart) {
	j := &n.snapshot.join
	if j.state != JoinUnderWay || j.donor != p || m.Cursor != j.cursor || m.Part >= m.Parts ||
		m.Parts > maxParts {
		return
	}
	if len(j.have) != int(m.Parts) {
		j.have, j.haveLen = make([]bool, m.Parts), 0
	}
	j.againAt, j.tries = n.now+max(joinAgain, 2*j.donor.rtt), 0
	if j.have[m.Part] {
		return
	}
	j.have[m.Part] = true
	j.haveLen++
	j.next = m.Next
	n.counts.SnapshotParts.Inc()
	n.apply(m.Records)
	if j.haveLen < len(j.have) {
		return
	}
	if j.cursor, j.have, j.haveLen = j.next, j.have[:0], 0; j.cursor == 0 {
		if j.stream == wire.StreamHome {
			n.nextDonor()
			return
		}
		n.setJoin(join{state: JoinDone})
		return
	}
	n.requestSnapshot()
}

// handleSnapshotRequest sends a step, or parts of it again.
func (n *Node) handleSnapshotRequest(p *peer, m wire.SnapshotRequest) {
	s := &n.snapshot
	d := s.donations[p.id]
	if d == nil {
		if len(s.donations) >= maxDonations {
			return // it will ask again, or ask another node
		}
		d = &donation{peer: p}
		s.donations[p.id] = d
	}
	d.seen = n.now
	if cursor := m.Cursor & (1<<stepShift - 1); !d.scanned || d.cursor != cursor ||
		d.stream != m.Stream {
		d.cursor, d.stream = cursor, m.Stream
		n.scan(d)
	}
	d.step = int(m.Cursor >> stepShift)
	parts := max(len(d.parts()), 1) // an empty part tells the joining node to continue
	d.pending = d.pending[:0]
	for part := range m.Parts.All() {
		if int(part) < parts {
			d.pending = append(d.pending, part)
		}
	}
	if len(m.Parts) == 0 {
		for i := range parts {
			d.pending = append(d.pending, uint16(i))
		}
	}
	n.give()
}

// scan plans parts for the next sessions.
func (n *Node) scan(d *donation) {
	d.scanned, d.plan = true, d.plan[:0]
	room := n.o.DatagramLen - wire.DatagramOverhead - wire.SnapshotPartOverhead
	var part []Key
	partLen := 0
	d.next = n.memory.Scan(d.cursor, func(key Key, value []byte, _, _ time.Duration) {
		if d.stream == wire.StreamHome && !n.isHome(key, d.peer) {
			return
		}
		need := wire.RecordLen(&wire.Update{Kind: UpdateSession, Value: value})
		if partLen+need > room && len(part) > 0 {
			d.plan = append(d.plan, part)
			part, partLen = nil, 0
		}
		part = append(part, key)
		partLen += need
	})
	if len(part) > 0 {
		d.plan = append(d.plan, part)
	}
}

func (n *Node) isHome(key Key, p *peer) bool {
	a, b := n.homesOf(key)
	return a == p || b == p
}

// give sends pending parts as the rate allows and returns when to continue.
func (n *Node) give() time.Duration {
	s := &n.snapshot
	s.budget = min(s.budget+(n.now-s.budgetAt).Seconds()*float64(n.o.SnapshotRate), snapshotBurst)
	s.budgetAt = n.now
	waiting := false
	for _, id := range keysOf(s.donations, compareIDs) {
		d := s.donations[id]
		for len(d.pending) > 0 && s.budget > 0 {
			part := d.pending[0]
			d.pending = d.pending[1:]
			n.givePart(d, part)
			n.counts.SnapshotGiven.Inc()
			d.seen = n.now
			s.budget -= float64(len(n.sealed))
		}
		waiting = waiting || len(d.pending) > 0
	}
	if waiting {
		return n.now + time.Millisecond
	}
	return n.now + time.Second
}

// givePart seals those sessions of a part that still exist.
func (n *Node) givePart(d *donation, part uint16) {
	parts := d.parts()
	if len(parts) == 0 {
		parts = [][]Key{nil}
	}
	this, next := d.cursors()
	b, start := wire.BeginSnapshotPart(n.begin(), wire.SnapshotPart{
		To: d.peer.id.Short(), Cursor: this, Next: next, Part: part, Parts: uint16(len(parts)),
	})
	for _, key := range parts[part] {
		value, age, left, ok := n.memory.Find(n.value[:0], key)
		if ok && left > 0 && len(b)+wire.MaxRecordLen-wire.MaxValueLen+len(value) <= cap(b) {
			b = wire.AppendRecord(b, &wire.Update{
				Kind: UpdateSession, Key: key, Age: age,
				Left: left, Value: value,
			})
		}
		clear(value)
	}
	n.sendTo(d.peer, wire.EndMessage(b, start))
}

// endDonation drops a joining node.
func (s *snapshots) endDonation(id ID) { delete(s.donations, id) }

func (n *Node) tickSnapshot() time.Duration {
	s := &n.snapshot
	for id, d := range s.donations {
		if n.now-d.seen > donationIdle && len(d.pending) == 0 {
			s.endDonation(id)
		}
	}
	next := n.give()
	j := &s.join
	switch {
	case j.state == JoinAlone:
		next = min(next, n.startJoining())
	case j.state == JoinUnderWay && n.now >= j.againAt:
		if j.tries++; j.tries <= joinTries && n.alive(j.donor) {
			n.requestSnapshot()
			break
		}
		n.nextDonor() // from the beginning: another donor cannot interpret the cursor
	}
	if s.join.state == JoinUnderWay {
		next = min(next, s.join.againAt)
	}
	return next
}
