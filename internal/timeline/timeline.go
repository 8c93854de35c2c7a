// Package timeline orders what happens in a simulation. It is for tests.
package timeline

import (
	"container/heap"
	"time"
)

// A Queue has what is to happen, by time and then by order. Its zero value is empty. It is
// owned by one goroutine.
type Queue struct{ events events }

type event struct {
	at    time.Duration
	order int
	do    func()
}

// Add has do happen at a time, after what has a smaller order at the same time.
func (q *Queue) Add(at time.Duration, order int, do func()) {
	heap.Push(&q.events, event{at, order, do})
}

// Next takes out what happens next, if that is at end or before.
func (q *Queue) Next(end time.Duration) (at time.Duration, do func(), ok bool) {
	if len(q.events) == 0 || q.events[0].at > end {
		return 0, nil, false
	}
	e := heap.Pop(&q.events).(event)
	return e.at, e.do, true
}

// Len is how much is to happen.
func (q *Queue) Len() int { return len(q.events) }

// Clear makes nothing of it happen.
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
	(*e)[last] = event{} // what it holds goes with it
	*e = (*e)[:last]
	return x
}
