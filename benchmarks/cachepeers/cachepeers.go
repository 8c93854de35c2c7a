// Package cachepeers compares the session cache with its alternatives: the same keys, values and
// accesses for each, one file per competitor. It is a module of its own so that the program does
// not depend on them.
package cachepeers
