package node

import (
	"encoding/json"
	"sync"
	"time"

	"reprise/internal/handover"
	"reprise/internal/metric"
	"reprise/tlsconn"
)

// An heir tells the successor the results of handshakes that were in flight when it took over: the
// successor owns the sessions from then on. It is the sessions.Heir of the process before.
type heir struct {
	c     *handover.Conn
	queue chan handover.Message
	lost  *metric.Counter
	done  chan struct{} // closed when all messages are sent
	once  sync.Once
}

// heirLen bounds the messages that wait for the successor.
const heirLen = 4096

func newHeir(c *handover.Conn, lost *metric.Counter) *heir {
	return &heir{
		c: c, queue: make(chan handover.Message, heirLen), lost: lost,
		done: make(chan struct{}),
	}
}

// legacy is a message to the successor about one session.
type legacy struct {
	Key       [16]byte
	Value     []byte        `json:",omitempty"`
	Age, Left time.Duration `json:",omitempty"`
	Arbiter   tlsconn.NodeID
	Hold      uint64        `json:",omitempty"`
	At        time.Duration // since boot
}

func (h *heir) tell(kind string, l legacy) {
	l.At = sinceBoot()
	body, err := json.Marshal(l)
	if err != nil {
		return // it never fails: plain data
	}
	select {
	case h.queue <- handover.Message{Kind: kind, Body: body}:
	default:
		h.lost.Inc()
	}
}

// Made implements sessions.Heir.
func (h *heir) Made(key [16]byte, value []byte, age, left time.Duration) {
	h.tell(msgMade, legacy{Key: key, Value: value, Age: age, Left: left})
}

// Deleted implements sessions.Heir.
func (h *heir) Deleted(key [16]byte, left time.Duration) {
	h.tell(msgSpent, legacy{Key: key, Left: left})
}

// Release implements sessions.Heir.
func (h *heir) Release(key [16]byte, arbiter tlsconn.NodeID, hold uint64) {
	h.tell(msgReleased, legacy{Key: key, Arbiter: arbiter, Hold: hold})
}

// run tells the successor until close is called.
func (h *heir) run() {
	defer close(h.done)
	defer h.c.Close()
	gone := false // the successor has ended, or hangs
	for m := range h.queue {
		if m.Kind == "" {
			return
		}
		if gone = gone || h.c.Send(m, messageTime) != nil; gone {
			h.lost.Inc()
		}
		clear(m.Body)
	}
}

// close returns when all messages are sent. Later ones are lost.
func (h *heir) close() {
	h.once.Do(func() { h.queue <- handover.Message{} })
	<-h.done
}

// take returns the waiting messages, for a process that goes on after all.
func (h *heir) take() (list []handover.Message) {
	for {
		select {
		case m := <-h.queue:
			list = append(list, m)
		default:
			return list
		}
	}
}

// receive handles a message of the process before about a session.
func (n *Node) receive(m handover.Message) {
	defer clear(m.Body)
	var l legacy
	if n.sessions == nil || json.Unmarshal(m.Body, &l) != nil {
		return
	}
	defer clear(l.Value)
	passed := max(sinceBoot()-l.At, 0) + time.Millisecond // it must not get younger
	switch m.Kind {
	case msgMade:
		n.sessions.SaveFor(l.Key, l.Value, l.Age+passed, l.Left-passed)
	case msgSpent:
		n.sessions.SpendFor(l.Key, l.Left)
	case msgReleased:
		n.sessions.GiveBackFor(l.Key, l.Arbiter, l.Hold)
	}
}
