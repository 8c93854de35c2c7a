package replicate

import (
	"time"

	"reprise/replicate/wire"
)

const (
	// reorderDelay is how long a gap may be mere reordering.
	reorderDelay = time.Millisecond
	// repairFirst is the shortest time between two requests for one gap.
	repairFirst = 3 * time.Millisecond
	repairMost  = 200 * time.Millisecond
	// repairTries is how often the oldest gap is asked for before it is given up. A node that needs
	// one of its sessions asks for that.
	repairTries = 20
	// repairRanges and repairBatches bound a request and its answer.
	repairRanges  = 32
	repairBatches = 128
)

// An inbound is a peer's stream as received here.
type inbound struct {
	peer     *peer
	stream   wire.Stream
	batches  tracker
	tracking bool // batches has its starting number

	listed      bool // it is in Node.gaps
	repairAt    time.Duration
	repairing   uint64 // the oldest missing batch when it was last asked for
	repairTries int    // for that one
}

// track starts tracking the batches, with the last ones before seq.
func (in *inbound) track(seq uint64) {
	in.tracking = true
	in.batches.from(max(1, seq-min(seq, catchUpLen)))
}

// handleBatch applies a new batch.
func (n *Node) handleBatch(p *peer, b wire.Batch) {
	if b.Stream > wire.StreamHome {
		return // of a later version
	}
	in := &p.in[b.Stream]
	if !in.tracking {
		in.track(b.Seq)
	}
	repaired := b.Seq <= in.batches.newest // known to exist, and missing
	if !in.batches.arrived(b.Seq) {
		p.counts.Repeated.Inc()
		return
	}
	if repaired {
		p.counts.Repaired.Inc()
	}
	n.apply(b.Records)
	if !repaired {
		p.counts.Lag.Observe(b.Waited + n.transit)
	}
	n.noteGaps(in)
}

// apply carries out records.
func (n *Node) apply(records wire.Records) {
	for u := range records.All() {
		switch u.Kind {
		case UpdateSession:
			n.counts.SessionsIn.Inc()
			if left := u.Left - n.transit; left > 0 {
				n.memory.Put(u.Key, u.Value, u.Age+n.transit, left, false)
			}
		case UpdateDelete:
			n.counts.DeletesIn.Inc()
			n.memory.Delete(u.Key, u.Left)
			n.spentHold(u.Key)
		}
	}
}

// announce records which batches a peer made and can repeat.
func (n *Node) announce(in *inbound, newest, oldest uint64) {
	if !in.tracking {
		in.track(newest + 1)
	}
	in.batches.announce(newest)
	in.batches.giveUp(oldest)
	n.noteGaps(in)
}

// noteGaps schedules a request for missing batches.
func (n *Node) noteGaps(in *inbound) {
	p := in.peer
	p.counts.Lost.Add(p.in[0].batches.givenUpLen +
		p.in[1].batches.givenUpLen - p.counts.Lost.Load())
	switch {
	case in.batches.complete():
		in.repairAt, in.repairTries = 0, 0
	case in.repairAt == 0:
		in.repairAt = n.now + reorderDelay
		fallthrough
	default:
		if !in.listed {
			in.listed = true
			n.gaps = append(n.gaps, in)
		}
	}
}

// tickGaps requests missing batches.
func (n *Node) tickGaps() time.Duration {
	next := n.now + time.Second
	kept := n.gaps[:0]
	for _, in := range n.gaps {
		p := in.peer
		if in.batches.complete() || n.peers[p.id] != p || !p.introduced {
			in.listed, in.repairAt = false, 0
			continue
		}
		next = min(next, n.repair(in))
		kept = append(kept, in)
	}
	clear(n.gaps[len(kept):])
	n.gaps = kept
	return next
}

// repair requests missing batches if it is time, and returns when the next request is due.
func (n *Node) repair(in *inbound) time.Duration {
	if n.now < in.repairAt {
		return in.repairAt
	}
	p := in.peer
	if !n.alive(p) {
		in.batches.giveUp(in.batches.newest + 1)
		n.noteGaps(in)
		return n.now + time.Second
	}
	n.ranges = in.batches.missing(n.ranges[:0], repairRanges)
	// Under steady loss some batch is missing at any time, so tries are counted only for the oldest
	// gap.
	oldest := n.ranges[0]
	if oldest.First != in.repairing {
		in.repairing, in.repairTries = oldest.First, 0
	}
	if in.repairTries >= repairTries {
		in.batches.giveUp(oldest.First + uint64(oldest.Count))
		n.noteGaps(in)
		return n.now
	}
	n.wireRanges = n.wireRanges[:0]
	for _, r := range n.ranges {
		n.wireRanges = n.wireRanges.Append(r)
	}
	n.counts.RepairsAsked.Inc()
	n.sendTo(p, wire.Repair{
		To: p.id.Short(), Stream: in.stream,
		Ranges: n.wireRanges,
	}.Append(n.begin()))
	wait := max(repairFirst, 2*p.rtt) << min(in.repairTries, 6)
	in.repairTries++
	in.repairAt = n.now + min(wait, repairMost)
	return in.repairAt
}
