package replicate

import "time"

// keptLen is how many batches a node can repeat. It is what a receiver tracks.
const keptLen = trackedLen

const (
	// reorderDelay is how long a gap may be mere reordering.
	reorderDelay = time.Millisecond
	// repairFirst is the shortest time between two requests for one gap.
	repairFirst = 3 * time.Millisecond
	repairMost  = 200 * time.Millisecond
	// repairTries is how often the oldest gap is asked for before it is given
	// up. Whoever needs one of its sessions asks for it.
	repairTries = 20
	// repairRanges and repairBatches bound a request and its answer.
	repairRanges  = 32
	repairBatches = 128
)

// An outbox is the batches of this node: the one being filled, and the last ones
// made, in case they are asked for again.
type outbox struct {
	packer *BatchPacker
	made   time.Duration // when the first update in packer was made
	seq    uint64        // the newest batch made
	kept   [keptLen]kept
}

// kept is a batch that may be asked for again.
type kept struct {
	made    time.Duration
	records Records
}

func (k *kept) batch(seq uint64) Batch {
	return Batch{Seq: seq, Made: uint64(k.made / time.Microsecond), Records: k.records}
}

func (o *outbox) init(datagramLen int) {
	o.packer = NewBatchPacker(datagramLen - DatagramOverhead - BatchOverhead)
}

// oldest is the oldest batch that can be repeated.
func (o *outbox) oldest() uint64 { return max(o.seq, keptLen) - keptLen + 1 }

// Publish tells all peers of an update, at the latest when Flush is called.
func (n *Node) Publish(now time.Duration, u *Update) {
	n.now = now
	switch u.Kind {
	case UpdateSession:
		if n.o.Mode == Pull {
			return
		}
		n.counts.sessionsOut.Inc()
	case UpdateDelete:
		n.counts.deletesOut.Inc()
	}
	o := &n.outbox
	for !o.packer.TryAdd(u) {
		n.Flush(now)
	}
	if o.made == 0 || u.Made < o.made {
		o.made = u.Made
	}
}

// Flush sends what Publish has gathered.
func (n *Node) Flush(now time.Duration) {
	n.now = now
	o := &n.outbox
	records := o.packer.Records()
	if len(records) == 0 {
		return
	}
	o.seq++
	slot := &o.kept[o.seq%keptLen]
	clear(slot.records) // secrets of the batch before
	slot.made, slot.records = o.made, append(slot.records[:0], records...)
	n.broadcast(slot.batch(o.seq).Append(n.msgs[:0]))
	o.packer.Reset()
	o.made = 0
	n.startTail()
}

// handleBatch applies a batch that is new.
func (n *Node) handleBatch(p *peer, b Batch) {
	if !p.tracking {
		p.track(b.Seq)
	}
	repaired := b.Seq <= p.batches.newest // known to exist, and missing
	if !p.batches.arrived(b.Seq) {
		p.counts.repeated.Set(int64(p.batches.repeatedLen))
		return
	}
	if repaired {
		p.counts.repaired.Inc()
	}
	n.apply(b.Records)
	if p.offset != 0 {
		p.counts.lag.Observe(n.now - p.offset - time.Duration(b.Made)*time.Microsecond)
	}
	n.noteGaps(p)
}

// apply does what records say.
func (n *Node) apply(records Records) {
	for u := range records.All() {
		switch u.Kind {
		case UpdateSession:
			n.counts.sessionsIn.Inc()
			n.memory.Put(u.Key, u.Value, u.Age, u.Left, false)
		case UpdateDelete:
			n.counts.deletesIn.Inc()
			n.memory.Delete(u.Key, u.Left)
		}
	}
}

// noteGaps plans a request for what is missing.
func (n *Node) noteGaps(p *peer) {
	p.counts.lost.Set(int64(p.batches.givenUpLen))
	if p.batches.complete() {
		p.repairAt, p.repairTries = 0, 0
	} else if p.repairAt == 0 {
		p.repairAt = n.now + reorderDelay
	}
}

// repair asks for what is missing, if it is time, and returns when it will be.
func (n *Node) repair(p *peer) time.Duration {
	if n.now < p.repairAt {
		return p.repairAt
	}
	if !n.alive(p) {
		p.batches.giveUp(p.batches.newest + 1)
		n.noteGaps(p)
		return n.now + time.Second
	}
	n.ranges = p.batches.missing(n.ranges[:0], repairRanges)
	// Under steady loss something is missing at any time, so tries are counted
	// for the oldest gap only.
	oldest := n.ranges[0]
	if oldest.First != p.repairing {
		p.repairing, p.repairTries = oldest.First, 0
	}
	if p.repairTries >= repairTries {
		p.batches.giveUp(oldest.First + uint64(oldest.Count))
		n.noteGaps(p)
		return n.now
	}
	n.wireRanges = n.wireRanges[:0]
	for _, r := range n.ranges {
		n.wireRanges = n.wireRanges.Append(r)
	}
	n.counts.repairAsked.Inc()
	n.sendTo(p, Repair{To: p.id.Short(), Ranges: n.wireRanges}.Append(n.msgs[:0]))
	wait := max(repairFirst, 2*p.rtt) << min(p.repairTries, 6)
	p.repairTries++
	p.repairAt = n.now + min(wait, repairMost)
	return p.repairAt
}

// handleRepair repeats batches, a bounded number for each request. The next
// heartbeat says which are gone.
func (n *Node) handleRepair(p *peer, m Repair) {
	o := &n.outbox
	left := repairBatches
	for r := range m.Ranges.All() {
		// Clipped first, or a range of what never was would cost its length.
		end := min(r.First+uint64(r.Count), o.seq+1)
		for seq := max(r.First, o.oldest()); seq < end; seq++ {
			if left--; left < 0 {
				return
			}
			n.counts.repairSent.Inc()
			n.sendTo(p, o.kept[seq%keptLen].batch(seq).Append(n.msgs[:0]))
		}
	}
}

// wipe overwrites the sessions in the outbox.
func (o *outbox) wipe() {
	o.packer.Reset()
	for i := range o.kept {
		clear(o.kept[i].records)
	}
}
