package main

import (
	"fmt"
	"io"
	"time"

	"github.com/gdamore/tcell/v2"

	"reprise/node"
)

const topUsage = `Show the state of a node, or of all nodes of its fleet, and keep it up to date.

  reprise top

Keys: f all nodes, n this node, q the end.

`

// topEvery is how often the node is asked.
const topEvery = time.Second

// topCommand shows a node in the terminal until a key ends it.
func topCommand(args []string, stdout io.Writer) error {
	flags := newAdminFlags("top", topUsage)
	fleet := flags.Bool("fleet", false, "begin with all nodes")
	if helped, err := flags.parseAlone(args, stdout); helped || err != nil {
		return err
	}
	a, err := flags.node()
	if err != nil {
		return err
	}
	a.http.Timeout = 5 * time.Second
	t := &top{admin: a, fleet: *fleet, rates: make(map[string]rated)}
	// before the screen is cleared, so that an error stays readable
	if err := t.ask(*fleet); err != nil {
		return err
	}
	screen, err := tcell.NewScreen()
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		return node.RuntimeError{Err: fmt.Errorf("top: %w: is this a terminal?", err)}
	}
	defer screen.Fini()
	return t.run(screen)
}

// A top is the state of the display. It belongs to one goroutine.
type top struct {
	admin  *admin
	fleet  bool // all nodes are shown
	status node.Status
	nodes  []node.NodeStatus
	rates  map[string]rated // by the id of the node
	failed error            // of the last request
}

// A topAnswer is the answer to a request.
type topAnswer struct {
	fleet  bool
	status node.Status
	nodes  []node.NodeStatus
	err    error
}

// question makes a request to the node.
func (a *admin) question(fleet bool) (got topAnswer) {
	got.fleet = fleet
	if fleet {
		got.err = a.get("/fleet", &got.nodes)
	} else {
		got.err = a.get("/status", &got.status)
	}
	return got
}

// ask makes a request and takes the answer.
func (t *top) ask(fleet bool) error { return t.take(t.admin.question(fleet)) }

// take stores an answer.
func (t *top) take(got topAnswer) error {
	t.failed = got.err
	if got.err != nil {
		return got.err
	}
	if t.fleet = got.fleet; t.fleet {
		t.nodes = got.nodes
		for _, n := range t.nodes {
			t.rate(&n)
		}
		return nil
	}
	t.status = got.status
	t.rate(&t.status.Node)
	return nil
}

// run shows answers as they come, and handles keys.
func (t *top) run(screen tcell.Screen) error {
	events, quit := make(chan tcell.Event), make(chan struct{})
	go screen.ChannelEvents(events, quit)
	defer close(quit)
	answers := make(chan topAnswer, 1)
	asking := false
	ask := func(fleet bool) {
		if !asking { // one request at a time, however slow the node is
			asking = true
			go func() { answers <- t.admin.question(fleet) }()
		}
	}
	wanted := t.fleet
	ticker := time.NewTicker(topEvery)
	defer ticker.Stop()
	for {
		t.draw(screen)
		select {
		case got := <-answers:
			asking = false
			_ = t.take(got) // draw shows the error
			if wanted != got.fleet {
				ask(wanted)
			}
		case <-ticker.C:
			ask(wanted)
		case event, open := <-events:
			if !open {
				return nil
			}
			switch e := event.(type) {
			case *tcell.EventResize:
				screen.Sync()
			case *tcell.EventKey:
				switch {
				case e.Key() == tcell.KeyCtrlC, e.Key() == tcell.KeyEscape, e.Rune() == 'q':
					return nil
				case e.Rune() == 'f', e.Rune() == 'n':
					wanted = e.Rune() == 'f'
					ask(wanted)
				}
			}
		}
	}
}

// A rated is the last status of a node, with its rates.
type rated struct {
	at                   int64
	handshakes, requests uint64
	perSecond            [2]float64
	known                bool
}

// rate computes rates from a node's previous status.
func (t *top) rate(n *node.NodeStatus) {
	before, seen := t.rates[n.ID]
	if seen && before.at == n.At {
		return
	}
	now := rated{at: n.At, handshakes: n.Handshakes, requests: n.Requests}
	if seconds := float64(n.At-before.at) / 1000; seen && seconds > 0 &&
		n.Handshakes >= before.handshakes && n.Requests >= before.requests {
		now.perSecond = [2]float64{
			float64(n.Handshakes-before.handshakes) / seconds,
			float64(n.Requests-before.requests) / seconds,
		}
		now.known = true
	}
	t.rates[n.ID] = now
}
