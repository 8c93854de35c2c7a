package metric

import "reflect"

// Sum adds up several structs of one type, such as those in which loops count. Exported fields of
// this package's types are added up, also within structs and arrays; all others are the first
// struct's. There must be at least one.
func Sum[T any](parts ...*T) *T {
	sum := new(T)
	for i, part := range parts {
		add(reflect.ValueOf(sum).Elem(), reflect.ValueOf(part).Elem(), i == 0)
	}
	return sum
}

// adder is a type that can be added up.
type adder interface{ add(part any) }

func add(sum, part reflect.Value, first bool) {
	if a, ok := sum.Addr().Interface().(adder); ok {
		a.add(part.Addr().Interface())
		return
	}
	if sum.Kind() != reflect.Struct {
		if first {
			sum.Set(part)
		}
		return
	}
	for i := range sum.NumField() {
		if f := sum.Type().Field(i); f.IsExported() {
			add(sum.Field(i), part.Field(i), first)
		}
	}
}

func (c *Counter) add(part any) { c.Add(part.(*Counter).Load()) }

func (g *Gauge) add(part any) { g.Add(part.(*Gauge).Load()) }

func (h *Histogram) add(part any) {
	s := part.(*Histogram).Snapshot()
	for i, n := range s.Buckets {
		if n > 0 {
			h.buckets[i].Add(n)
		}
	}
	h.sum.Add(int64(s.Sum))
	h.max.Store(max(h.max.Load(), int64(s.Max)))
}

func (c *Counters[K]) add(part any) {
	for i := range c.n {
		c.n[i].add(&part.(*Counters[K]).n[i])
	}
}

func (h *Histograms[K]) add(part any) {
	for i := range h.h {
		h.h[i].add(&part.(*Histograms[K]).h[i])
	}
}

func (r *Reasons) add(part any) {
	part.(*Reasons).Each(func(reason string, n uint64) { r.at(reason).Add(n) })
}
