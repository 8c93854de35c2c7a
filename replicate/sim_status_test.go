package replicate

import (
	"bytes"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// A node that asks gets each peer's status, no more often than is allowed.
func TestStatus(t *testing.T) {
	s := newSim(t, 3)
	s.run(2 * time.Second)
	a, b, c := s.nodes[0], s.nodes[1], s.nodes[2]
	sent := make(map[*simNode]int)
	for _, n := range []*simNode{b, c} {
		n.Status = func() []byte {
			sent[n]++
			return []byte("of " + n.id.String())
		}
	}
	if got := reportsTo(t, a); len(got) != 2 || got[b.id.String()] != "" {
		t.Errorf("before anything was asked: got %v", got)
	}
	a.AskStatus(a.clock())
	s.run(100 * time.Millisecond)
	if got := reportsTo(t, a); got[b.id.String()] != "of "+b.id.String() ||
		got[c.id.String()] != "of "+c.id.String() {
		t.Errorf("got %v", got)
	}
	for range 100 {
		a.AskStatus(a.clock())
		s.run(10 * time.Millisecond)
	}
	if got := sent[b]; got < 3 || got > 6 {
		t.Errorf("asked without a pause for a second, it sent its status %d times", got)
	}

	// A peer that asks more often than it may is not answered more often.
	before := sent[b]
	for range 100 {
		b.handleStatusRequest(b.byShort[a.id])
	}
	if got := sent[b] - before; got > 1 {
		t.Errorf("100 requests at once were answered %d times", got)
	}

	// A status that was not asked for is not kept, nor one that is too long.
	s.run(statusPatience + time.Second)
	a.handleStatus(a.byShort[b.id], wire.Status{Text: []byte("unasked")})
	if got := reportsTo(t, a); got[b.id.String()] == "unasked" {
		t.Error("an unsolicited answer was kept")
	}
	long := wire.Status{Text: bytes.Repeat([]byte("x"), wire.MaxStatusLen+1)}
	if b := long.Append(nil); len(b) > wire.BatchOverhead {
		t.Errorf("a text of %d bytes makes a message of %d", len(long.Text), len(b))
	}
	s.run(time.Second)
	for _, r := range a.Reports(a.clock()) {
		if r.Age < statusPatience {
			t.Errorf("the status of %s is reported as %v old", r.ID, r.Age)
		}
	}
}

// reportsTo is what peers, all of which are alive, have sent to a node of themselves.
func reportsTo(t *testing.T, a *simNode) map[string]string {
	list := make(map[string]string)
	for _, r := range a.Reports(a.clock()) {
		if !r.Alive {
			t.Errorf("%s is not alive", r.ID)
		}
		list[r.ID] = string(r.Text)
	}
	return list
}
