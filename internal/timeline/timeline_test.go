package timeline

import (
	"slices"
	"testing"
	"time"
)

func TestOrder(t *testing.T) {
	var q Queue
	var got []int
	for i, at := range []time.Duration{3, 1, 2, 1, 9} {
		q.Add(at, -i, func() { got = append(got, i) })
	}
	now := time.Duration(0)
	for at, do, ok := q.Next(3); ok; at, do, ok = q.Next(3) {
		if at < now {
			t.Errorf("%v after %v", at, now)
		}
		now = at
		do()
	}
	if want := []int{3, 1, 2, 0}; !slices.Equal(got, want) || q.Len() != 1 {
		t.Errorf("got %v, and %d to come; want %v and 1", got, q.Len(), want)
	}
	q.Clear()
	if _, _, ok := q.Next(time.Hour); ok {
		t.Error("something happens")
	}
}
