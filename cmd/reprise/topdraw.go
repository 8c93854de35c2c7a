package main

import (
	"fmt"
	"time"

	"github.com/gdamore/tcell/v2"

	"reprise/node"
)

// topKinds are the parts of the bar, the same as on the admin server's page.
var topKinds = []struct {
	name  string
	color tcell.Color
	of    func(*node.Shares) uint64
}{
	{"made here", tcell.ColorDodgerBlue, func(s *node.Shares) uint64 { return s.Local }},
	{"pushed", tcell.ColorLightSeaGreen, func(s *node.Shares) uint64 { return s.Pushed }},
	{"asked of a peer", tcell.ColorMediumPurple, func(s *node.Shares) uint64 { return s.Pulled }},
	{"from a store", tcell.ColorGoldenrod, func(s *node.Shares) uint64 { return s.Store }},
	{"none offered", tcell.ColorGray, func(s *node.Shares) uint64 { return s.New }},
	{"not resumed", tcell.ColorIndianRed, func(s *node.Shares) uint64 { return s.Missed }},
}

// A canvas is a screen that is filled from the top.
type canvas struct {
	tcell.Screen
	width, height, row int
}

// line writes a line, cut at the edge of the screen.
func (c *canvas) line(style tcell.Style, text string) {
	c.text(1, style, text)
	c.row++
}

// text writes at a column and returns the column behind the text.
func (c *canvas) text(column int, style tcell.Style, text string) int {
	for _, r := range text {
		if column < c.width && c.row < c.height-1 {
			c.SetContent(column, c.row, r, nil, style)
		}
		column++
	}
	return column
}

// table writes a table with its title, and an empty line behind it.
func (c *canvas) table(title string, t table) {
	c.line(tcell.StyleDefault.Bold(true), title)
	for i, line := range t.lines() {
		style := tcell.StyleDefault
		if i == 0 {
			style = style.Dim(true)
		}
		c.line(style, line)
	}
	c.row++
}

// draw fills the screen.
func (t *top) draw(screen tcell.Screen) {
	screen.Clear()
	c := &canvas{Screen: screen}
	c.width, c.height = screen.Size()
	if t.fleet {
		t.drawFleet(c)
	} else {
		t.drawNode(c)
	}
	c.row = c.height - 2
	foot := "q end   f all nodes   n this node"
	if t.failed != nil {
		foot = "no answer, these figures are old: " + printable(t.failed.Error())
	}
	c.text(1, tcell.StyleDefault.Dim(true), foot)
	screen.Show()
}

func (t *top) drawHead(c *canvas, n *node.NodeStatus) {
	at := c.text(1, tcell.StyleDefault.Bold(true), "Reprise  "+printable(n.Name))
	state := tcell.StyleDefault.Foreground(tcell.ColorGreen)
	if n.State != "ready" {
		state = tcell.StyleDefault.Foreground(tcell.ColorRed)
	}
	at = c.text(at+2, state, printable(n.State))
	up := time.Duration(n.Uptime) * time.Second
	c.text(at+2, tcell.StyleDefault.Dim(true),
		fmt.Sprintf("up %v  %s  %s", up, printable(n.Version),
			time.UnixMilli(n.At).Format(time.TimeOnly)))
	c.row += 2
}

// drawShares shows the outcomes for the sessions that clients offered.
func (t *top) drawShares(c *canvas, s *node.Shares) {
	all := s.Local + s.Pushed + s.Pulled + s.Store + s.New + s.Missed
	width, column, sum := c.width-2, 1, uint64(0)
	for _, k := range topKinds {
		sum += k.of(s)
		for all > 0 && column <= int(sum*uint64(max(width, 0))/all) {
			c.text(column, tcell.StyleDefault.Foreground(k.color), "█")
			column++
		}
	}
	c.row++
	column = 1
	for _, k := range topKinds {
		column = c.text(column, tcell.StyleDefault.Foreground(k.color), "■ ")
		column = c.text(column, tcell.StyleDefault, k.name+" "+percentOf(k.of(s), all)) + 2
	}
	c.row += 2
}

func (t *top) drawNode(c *canvas) {
	n := &t.status.Node
	t.drawHead(c, n)
	perSecond := t.rates[n.ID]
	resumed := n.Resumed.Local + n.Resumed.Pushed + n.Resumed.Pulled + n.Resumed.Store
	c.line(tcell.StyleDefault.Bold(true),
		fmt.Sprintf(
			"resumed %s   handshakes/s %s   requests/s %s   connections %d   sessions %d of %d",
			percentOf(resumed, n.Handshakes), perSecond.text(0), perSecond.text(1), n.Open,
			n.Sessions,
			n.MaxSessions))
	c.line(tcell.StyleDefault.Dim(true),
		fmt.Sprintf("%d handshakes, %d failed, %d requests, turns %s (p99)",
			n.Handshakes, n.Failed, n.Requests, brief(n.TurnP99)))
	c.row++
	t.drawShares(c, &n.Resumed)
	c.table("Backends", backendTable(t.status.Backends))
	c.table("Pools", poolTable(t.status.Pools))
	c.table("Peers", peerTable(t.status.Peers))
	loops := table{titles: []string{"LOOP", ">CONNECTIONS", ">ACCEPTED", ">TURN P99", ">LONGEST"}}
	for _, l := range t.status.Loops {
		loops.add(l.Loop, l.Open, l.Accepted, brief(l.TurnP99), brief(l.TurnMax))
	}
	c.table("Loops", loops)
}

func (t *top) drawFleet(c *canvas) {
	if len(t.nodes) == 0 {
		return
	}
	t.drawHead(c, &t.nodes[0])
	var sum node.Shares
	rows := table{titles: []string{
		"NODE", "ADDRESS", "STATE", ">UP", ">RESUMED", ">HANDSHAKES/S", ">REQUESTS/S", ">OPEN",
		">SESSIONS", ">BACKENDS", ">PEERS", "VERSION",
	}}
	for _, n := range t.nodes {
		r := n.Resumed
		resumed := r.Local + r.Pushed + r.Pulled + r.Store
		sum.Local += r.Local
		sum.Pushed += r.Pushed
		sum.Pulled += r.Pulled
		sum.Store += r.Store
		sum.New += r.New
		sum.Missed += r.Missed
		perSecond := t.rates[n.ID]
		rows.add(n.Name, n.Address, n.State, time.Duration(n.Uptime)*time.Second,
			percentOf(resumed, n.Handshakes), perSecond.text(0), perSecond.text(1),
			n.Open, n.Sessions, fmt.Sprintf("%d of %d", n.BackendsUp, n.Backends),
			fmt.Sprintf("%d of %d", n.PeersAlive, n.Peers), n.Version)
	}
	t.drawShares(c, &sum)
	c.table("Nodes", rows)
}

// text is one of the rates.
func (r rated) text(i int) string {
	if !r.known {
		return "-"
	}
	return fmt.Sprintf("%.0f", r.perSecond[i])
}

func percentOf(part, all uint64) string {
	if all == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(all))
}
