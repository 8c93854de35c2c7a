package metric

import (
	"encoding/json"
	"sync"
	"testing"
	"time"
)

// fruit is a key, of which pear is not shown.
type fruit uint8

const (
	apple fruit = iota
	pear
	plum
)

func (fruit) Names() []string { return []string{"apple", "", "plum"} }

// basket has every kind of metric, and a field that is not one.
type basket struct {
	Name   string              `json:"name"`
	Eaten  Counter             `json:"eaten"`
	Left   Gauge               `json:"left"`
	Kinds  Counters[fruit]     `json:"kinds"`
	Why    Reasons             `json:"why"`
	Inner  struct{ N Counter } `json:"inner"`
	Times  Histograms[fruit]   `json:"times"`
	Each   Histogram           `json:"each"`
	hidden Counter
}

func filled(name string, times int) *basket {
	b := &basket{Name: name}
	for range times {
		b.Eaten.Add(2)
		b.Left.Dec()
		b.Kinds.Inc(plum)
		b.Kinds.Inc(pear)
		b.Why.Inc("hungry")
		b.Inner.N.Inc()
		b.Times.Observe(plum, time.Second)
		b.Each.Observe(time.Duration(times) * time.Millisecond)
		b.hidden.Inc()
	}
	return b
}

// TestSum: counts of loops are added up, for every kind of metric.
func TestSum(t *testing.T) {
	got := Sum(filled("first", 1), filled("second", 3), filled("third", 0))
	if got.Name != "first" || got.Eaten.Load() != 8 || got.Left.Load() != -4 || got.Inner.N.Load() != 4 {
		t.Errorf("got %q, %d, %d, %d", got.Name, got.Eaten.Load(), got.Left.Load(), got.Inner.N.Load())
	}
	if got.Kinds.Load(plum) != 4 || got.Kinds.Load(apple) != 0 || got.Why.Counts()["hungry"] != 4 {
		t.Errorf("got %v, %v", got.Kinds.Counts(), got.Why.Counts())
	}
	times := collect(got.Times.Each)
	if h := times["plum"]; len(times) != 1 || h.Count != 4 || h.Sum != 4*time.Second {
		t.Errorf("got %v", times)
	}
	if h := got.Each.Snapshot(); h.Count != 4 || h.Sum != 10*time.Millisecond ||
		h.Max != 3*time.Millisecond {
		t.Errorf("got %d observed, %v in all, %v at most", h.Count, h.Sum, h.Max)
	}
	if Sum[basket]().Eaten.Load() != 0 {
		t.Error("the sum of nothing is something")
	}
}

// TestJSON: metrics are numbers in a document, and objects of numbers.
func TestJSON(t *testing.T) {
	b := filled("x", 2)
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Eaten int
		Left  int
		Kinds map[string]int
		Why   map[string]int
		Inner struct{ N int }
		Times map[string]struct{ Count int }
		Each  struct{ Count int }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if got.Eaten != 4 || got.Left != -2 || got.Inner.N != 2 || got.Each.Count != 2 ||
		got.Times["plum"].Count != 2 {
		t.Errorf("got %s", text)
	}
	if len(got.Kinds) != 2 || got.Kinds["plum"] != 2 || got.Why["hungry"] != 2 {
		t.Errorf("got %s", text)
	}
}

// TestReasonsFromManyGoroutines: no count is lost when all begin with the same words.
func TestReasonsFromManyGoroutines(t *testing.T) {
	var r Reasons
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 1000 {
				r.Inc("same")
			}
		})
	}
	running.Wait()
	if got := r.Counts()["same"]; got != 8000 {
		t.Errorf("got %d, want 8000", got)
	}
}

// TestCountingAllocatesNothing: loops count with every request.
func TestCountingAllocatesNothing(t *testing.T) {
	var b basket
	b.Why.Inc("hungry")
	if n := testing.AllocsPerRun(100, func() {
		b.Kinds.Inc(plum)
		b.Times.Observe(plum, time.Millisecond)
		b.Why.Inc("hungry")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
