// Package metric holds what hot paths count with: a Counter, a Gauge and a
// Histogram of durations.
//
// All three are plain values, ready when zero, meant to be fields of the struct
// they describe. Writing one is an uncontended atomic instruction or two: no lock, no
// allocation, no registration. Any goroutine may read at any time. Any may
// write too, but the design is one writer each (a loop counts in its own
// struct), since two cores that write one cache line slow each other down.
// Structs of different writers belong in separate allocations for the same reason.
//
// Reading is the other side's work: it copies values into plain snapshot
// structs, sums or merges those of several loops, and hands them to package
// stats, which makes JSON and Prometheus of them. Each value is read
// atomically, a set of values is not: counters read one after the other may
// be apart by what happened in between.
package metric
