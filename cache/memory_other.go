//go:build !linux

package cache

const pageLen = 4096

// mapMemory takes the memory from the Go heap, for development on systems other than Linux: there
// too large allocations are touched lazily, but core dumps contain them.
func mapMemory(n int) ([]byte, error) { return make([]byte, n), nil }

func unmapMemory([]byte) error { return nil }
