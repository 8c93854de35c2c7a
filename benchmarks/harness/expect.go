package main

import (
	"slices"
	"time"

	"reprise/benchmarks/peers"
)

// What a run takes beside measuring, on a quiet machine.
const (
	aroundServer  = 300 * time.Millisecond
	aroundMeasure = 350 * time.Millisecond // until it is quiet, and all clients are there
)

// seldom are servers that were never the best peer, and take the most time: they are
// measured in two rounds.
var seldom = []string{"stunnel", "uwsgi", "plain-go"}

const seldomRounds = 2

// roundsOf says how often p is measured at each point of c.
func (b *bench) roundsOf(c testcase, p peers.Peer) int {
	rounds := b.rounds
	if c.rounds > 0 {
		rounds = min(rounds, c.rounds)
	}
	if slices.Contains(seldom, p.Name) {
		rounds = min(rounds, seldomRounds)
	}
	return rounds
}

// pointsOf are the points of c that are measured.
func (b *bench) pointsOf(c testcase) []int {
	points := c.points
	if len(points) == 0 {
		points = []int{0}
	}
	if b.smoke {
		points = points[:1]
	}
	return points
}

// expect is how long c takes, about, if all servers are there.
func (b *bench) expect(c testcase) (all time.Duration) {
	takes := c.takes
	if takes == 0 {
		takes = b.duration
	}
	for _, point := range b.pointsOf(c) {
		nodes := 1
		if c.nodes != nil {
			nodes = c.nodes(point)
		}
		start := time.Duration(nodes) * aroundServer
		for _, p := range b.peersOf(c) {
			rounds := time.Duration(b.roundsOf(c, p))
			all += rounds * (takes + aroundMeasure)
			if c.fresh {
				all += rounds * start
			} else {
				all += start
			}
		}
	}
	return all
}

// expectAll is how long the cases take, about.
func (b *bench) expectAll(list []testcase) (all time.Duration) {
	for _, c := range list {
		all += b.expect(c)
	}
	return all
}
