package backend

import (
	"slices"
	"time"
)

// take takes a slot for a connection, or returns false if all are taken.
func (n *Node) take(at int64) bool {
	if limit := n.maxConns.Load(); limit == 0 {
		n.active.Add(1)
	} else {
		for {
			active := n.active.Load()
			if active >= limit {
				return false
			}
			if n.active.CompareAndSwap(active, active+1) {
				break
			}
		}
	}
	// One connection tries a node that had failed; the others wait for its result rather than run
	// into the same time-out.
	if failedAt := n.failedAt.Load(); failedAt != 0 {
		n.failedAt.CompareAndSwap(failedAt, at)
	}
	return true
}

// Release gives back the slot taken by Pick, once for each Picked.
func (n *Node) Release() {
	n.active.Add(-1)
	n.pool.wake()
}

func (n *Node) hasRoom() bool {
	limit := n.maxConns.Load()
	return limit == 0 || n.active.Load() < limit
}

// Enqueue counts a flow that waits for room, after Pick answered Full. It returns false, and counts
// a refusal, if QueueLen flows wait already.
//
// No wake-up is lost: Enqueue counts first and then looks for room, Release gives room first and
// then looks at the count, so at least one of the two sees the other and calls the function that
// OnRoom registered.
func (p *Pool) Enqueue() bool {
	for {
		queued := p.queued.Load()
		if queued >= int64(p.Options().QueueLen) {
			p.refused.Inc()
			return false
		}
		if p.queued.CompareAndSwap(queued, queued+1) {
			break
		}
	}
	if !p.full(p.stamp(time.Now())) {
		p.wake()
	}
	return true
}

// Dequeue takes back an Enqueue that returned true, because its flow was served or gave up.
func (p *Pool) Dequeue() { p.queued.Add(-1) }

// OnRoom registers f, to be called when flows are queued and Pick may answer something other than
// Full: a slot was released, or a node's state has changed. f is called from any goroutine, within
// Release, Connected, Failed, SetDraining and Enqueue too, so it must only wake the loop that picks
// again. Calls may be spurious. It must be registered before the first Enqueue.
func (p *Pool) OnRoom(f func()) {
	p.changing.Lock()
	defer p.changing.Unlock()
	list := append(slices.Clone(*p.onRoom.Load()), f)
	p.onRoom.Store(&list)
}

func (p *Pool) wake() {
	if p.queued.Load() > 0 {
		for _, f := range *p.onRoom.Load() {
			f()
		}
	}
}

// full reports whether Pick would answer Full.
func (p *Pool) full(at int64) bool {
	for _, tier := range p.members.Load().tiers {
		well := false
		for _, n := range tier {
			if n.usable(at) {
				if n.hasRoom() {
					return false
				}
				well = true
			}
		}
		if well {
			return true
		}
	}
	return false
}
