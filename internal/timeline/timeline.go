// Package timeline orders the events of a simulation. It is for tests.
package timeline

import (
	"container/heap"
	"time"
)

// A Queue holds future events, by time and then by order. Its zero value is empty. It is owned by
// one goroutine.
type Queue struct{ events events }

type event struct {
	at    time.Duration
	order int
	do    func()
}

// Add schedules do at a time, after events of a smaller order at the same time.
func (q *Queue) Add(at time.Duration, order int, do func()) {
	heap.Push(&q.events, event{at, order, do})
}

// Next removes and returns the next event, if it is at end or before.
func (q *Queue) Next(end time.Duration) (at time.Duration, do func(), ok bool) {
	if len(q.events) == 0 || q.events[0].at > end {
		return 0, nil, false
	}
	e := heap.Pop(&q.events).(event)
	return e.at, e.do, true
}

// Len is the number of events.
func (q *Queue) Len() int { return len(q.events) }

// Clear drops all events.
func (q *Queue) Clear() { q.events = nil }

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = event{} // frees what it refers to
	*e = (*e)[:last]
	return x
}
