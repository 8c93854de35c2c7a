package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"reprise/internal/handover"
)

// inherit returns the inheritance from the process before. It is called once, before anything is
// opened.
func inherit() (*inheritance, error) {
	in := &inheritance{memory: -1}
	c, err := handover.Predecessor()
	if err != nil {
		return in, err
	}
	if c == nil {
		return fromManager(), nil
	}
	m, err := c.Receive(messageTime)
	if err != nil {
		return in, fmt.Errorf("the process before sends no message: %w", err)
	}
	in.predecessor, in.sockets, in.serving = c, handover.NewSet(m.Files), make(chan struct{})
	in.estate = new(estate)
	if m.Kind != msgSockets || json.Unmarshal(m.Body, in.estate) != nil {
		return in, fmt.Errorf("the process before says %q", m.Kind)
	}
	return in, nil
}

// fail tells the process before, if it waits, why this one does not take over.
func (in *inheritance) fail(err error) {
	if in.predecessor != nil && err != nil {
		_ = in.predecessor.Send(handover.Message{Kind: msgFailed, Body: []byte(err.Error())},
			messageTime)
	}
}

var errGoesOn = errors.New("the process before goes on: this one has not taken over")

// takeOver makes n, which is ready, take over from the process before. When it returns without an
// error that process accepts no new clients, and n is to start.
func (n *Node) takeOver() error {
	in := n.in
	if names := in.sockets.Close(); len(names) > 0 {
		slog.Info("sockets of the process before are no longer needed", "sockets", names)
	}
	if in.predecessor == nil {
		in.takeFromManager()
		if in.memory >= 0 {
			if err := in.takeEstate(n.sessions); err != nil {
				slog.Warn("the sessions of the process before are lost", "error", err)
			}
		}
		return nil
	}
	c := in.predecessor
	if err := c.Send(handover.Message{Kind: msgReady}, messageTime); err != nil {
		return errGoesOn
	}
	m, err := c.Receive(0) // the process before ends this one at its time-out
	switch {
	case err != nil:
		return errGoesOn
	case m.Kind != msgEstate || len(m.Files) != 1:
		return fmt.Errorf("%w: it said %q", errGoesOn, m.Kind)
	}
	in.memory = m.Files[0].FD
	if err := in.takeEstate(n.sessions); err != nil {
		return err
	}
	if err := c.Send(handover.Message{Kind: msgLoaded}, messageTime); err != nil {
		return errGoesOn
	}
	if m, err := c.Receive(0); err != nil || m.Kind != msgGo {
		return errGoesOn
	}
	return nil
}

// succeed lets n go on as the node that the process before was.
func (n *Node) succeed() {
	e := n.in.estate
	if e == nil {
		return
	}
	n.upgrades.Succeeds.Set(1)
	passed := max(sinceBoot()-e.Ended, 0)
	if n.poller != nil && e.Replication != nil {
		n.poller.Succeed(*e.Replication, passed)
	}
	if n.subscriptions != nil {
		n.subscriptions.succeed(e.Subscribed, passed)
	}
}

// follow handles the messages of the process before until that has ended.
func (n *Node) follow() {
	c := n.in.predecessor
	defer c.Close()
	for {
		m, err := c.Receive(0)
		if err != nil {
			if err != io.EOF {
				slog.Warn("the process before no longer answers", "error", err)
			}
			slog.Info("the process before has no connections left")
			return
		}
		n.receive(m)
	}
}
