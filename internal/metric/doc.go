// Package metric holds what hot paths count with: a Counter, a Gauge and a
// Histogram of durations; Counters and Histograms, which are one for each key of an
// enumeration; and Reasons, counters by words.
//
// All are plain values, ready when zero, meant to be fields of the struct
// they describe. Writing one is an uncontended atomic instruction or two: no lock, no
// allocation, no registration. Any goroutine may read at any time. Any may
// write too, but the design is one writer each (a loop counts in its own
// struct), since two cores that write one cache line slow each other down.
// Structs of different writers belong in separate allocations for the same reason.
//
// The struct in which something is counted is the one that is shown: its tags say what
// it is, package json and package stats read it as it is, by a pointer, and Sum makes one of
// those of several loops. So each counter is defined once. Each value is read
// atomically, a set of values is not: counters read one after the other may
// be apart by what happened in between.
package metric
