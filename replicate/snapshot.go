package replicate

import "time"

const (
	// maxDonations bounds how many joining nodes are served at once.
	maxDonations = 4
	// donationIdle ends the service of one that neither asks nor is being sent
	// anything. While it lives, a joining node asks every joinAgain or two round
	// trips; while it is served, others wait.
	donationIdle = time.Second
	// joinAgain is how long missing parts are waited for.
	joinAgain = 20 * time.Millisecond
	// joinTries is when another donor is tried.
	joinTries = 25
	// maxParts bounds the parts of one step.
	maxParts = 4096
	// snapshotBurst is how much may be given at once at most, so that a
	// receiver's socket buffer holds it.
	snapshotBurst = 64 << 10
)

// snapshots is both sides of giving what is in memory to a node that joins.
type snapshots struct {
	join      join
	donations map[ID]*donation
	budget    float64 // bytes that may be given now
	budgetAt  time.Duration
}

func (s *snapshots) init() { s.donations = make(map[ID]*donation) }

// JoinState is how far a node has come that fetches the sessions of a peer.
type JoinState uint8

// The states of joining.
const (
	JoinAlone JoinState = iota // nobody to fetch from yet
	JoinUnderWay
	JoinDone
)

func (s JoinState) String() string { return [...]string{"alone", "under way", "done"}[s] }

// join is the receiver's side.
type join struct {
	state   JoinState
	donor   *peer
	cursor  uint64 // of the step being fetched
	next    uint64
	have    []bool // parts of the step
	haveLen int
	againAt time.Duration
	tries   int
}

// donation is the giver's side: one step, kept to repeat parts of it.
type donation struct {
	peer    *peer
	cursor  uint64
	next    uint64
	parts   []Records
	pending []uint16 // parts asked for and not yet sent
	seen    time.Duration
}

// startJoining fetches the sessions of a live peer other than not, as soon as
// there is one.
func (n *Node) startJoining(not *peer) {
	if n.o.Mode == Pull {
		return
	}
	if donor := n.closest(not); donor != nil {
		n.setJoin(join{state: JoinUnderWay, donor: donor})
		n.requestSnapshot()
	}
}

func (n *Node) setJoin(j join) {
	n.snapshot.join = j
	n.counts.joinState.Set(int64(j.state))
}

// requestSnapshot asks for the parts of the step that are missing.
func (n *Node) requestSnapshot() {
	j := &n.snapshot.join
	var parts Parts
	for i, have := range j.have {
		if !have && len(parts) < n.o.DatagramLen/2 {
			parts = parts.Append(uint16(i))
		}
	}
	j.againAt = n.now + max(joinAgain, 2*j.donor.rtt)
	n.sendTo(j.donor, SnapshotRequest{To: j.donor.id.Short(), Cursor: j.cursor, Parts: parts}.Append(n.msgs[:0]))
}

func (n *Node) handleSnapshotPart(p *peer, m SnapshotPart) {
	j := &n.snapshot.join
	if j.state != JoinUnderWay || j.donor.id != p.id || m.Cursor != j.cursor || m.Part >= m.Parts || m.Parts > maxParts {
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
	n.counts.snapshotIn.Inc()
	n.apply(m.Records)
	if j.haveLen < len(j.have) {
		return
	}
	if j.cursor, j.have, j.haveLen = j.next, j.have[:0], 0; j.cursor == 0 {
		n.setJoin(join{state: JoinDone})
		return
	}
	n.requestSnapshot()
}

// handleSnapshotRequest gives a step, or parts of it again.
func (n *Node) handleSnapshotRequest(p *peer, m SnapshotRequest) {
	s := &n.snapshot
	d := s.donations[p.id]
	if d == nil {
		if len(s.donations) >= maxDonations {
			return // it will ask again, or somebody else
		}
		d = &donation{peer: p}
		s.donations[p.id] = d
	}
	d.seen = n.now
	if d.parts == nil || d.cursor != m.Cursor {
		n.scan(d, m.Cursor)
	}
	d.pending = d.pending[:0]
	for part := range m.Parts.All() {
		if int(part) < len(d.parts) {
			d.pending = append(d.pending, part)
		}
	}
	if len(m.Parts) == 0 {
		for i := range d.parts {
			d.pending = append(d.pending, uint16(i))
		}
	}
	n.give()
}

// scan packs the next sessions into parts.
func (n *Node) scan(d *donation, cursor uint64) {
	d.wipe()
	d.cursor, d.parts = cursor, d.parts[:0]
	packer := NewBatchPacker(n.o.DatagramLen - DatagramOverhead - SnapshotPartOverhead)
	add := func() {
		d.parts = append(d.parts, append(Records(nil), packer.Records()...))
		packer.Reset()
	}
	d.next = n.memory.Scan(cursor, func(key Key, value []byte, age, left time.Duration) {
		u := &Update{Kind: UpdateSession, Key: key, Age: age, Left: left, Value: value}
		for !packer.TryAdd(u) {
			add()
		}
	})
	if len(packer.Records()) > 0 || len(d.parts) == 0 {
		add() // an empty part tells the joining node to go on
	}
}

// give sends pending parts as the rate allows and returns when to go on.
func (n *Node) give() time.Duration {
	s := &n.snapshot
	s.budget = min(s.budget+(n.now-s.budgetAt).Seconds()*float64(n.o.SnapshotRate), snapshotBurst)
	s.budgetAt = n.now
	waiting := false
	for _, d := range s.donations {
		for len(d.pending) > 0 && s.budget > 0 {
			part := d.pending[0]
			d.pending = d.pending[1:]
			m := SnapshotPart{
				To: d.peer.id.Short(), Cursor: d.cursor, Next: d.next,
				Part: part, Parts: uint16(len(d.parts)), Records: d.parts[part],
			}
			n.sendTo(d.peer, m.Append(n.msgs[:0]))
			n.counts.snapshotSent.Inc()
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

// endDonation forgets a joining node and wipes what was kept for it.
func (s *snapshots) endDonation(id ID) {
	if d := s.donations[id]; d != nil {
		d.wipe()
		delete(s.donations, id)
	}
}

func (d *donation) wipe() {
	for _, p := range d.parts {
		clear(p)
	}
}

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
		n.startJoining(nil)
	case j.state == JoinUnderWay && n.now >= j.againAt:
		if j.tries++; j.tries <= joinTries && n.alive(j.donor) {
			n.requestSnapshot()
			break
		}
		silent := j.donor
		n.setJoin(join{}) // cursors mean nothing to another donor
		n.startJoining(silent)
	}
	if j.state == JoinUnderWay {
		next = min(next, j.againAt)
	}
	return next
}
