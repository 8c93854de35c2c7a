// Package metric holds the metrics of hot paths: a Counter, a Gauge and a Histogram of durations;
// Counters and Histograms, which are one for each key of an enumeration; and Reasons, counters by
// words.
//
// All are plain values, ready when zero, meant to be fields of the struct
// they describe. Writing one is an uncontended atomic instruction or two: no lock, no
// allocation, no registration. Any goroutine may read at any time. Any may
// write too, but the design is one writer each (a loop counts in its own
// struct), since two cores that write one cache line slow each other down.
// Structs of different writers belong in separate allocations for the same reason.
//
// The struct in which a part counts is the one that is shown: its tags describe it, package json
// and package stats read it by a pointer, and Sum adds up those of several loops. So each counter
// is defined once. Each value is read atomically, a set of values is not: events may happen between
// two reads.
package metric
