//go:build !linux

package cache

const pageLen = 4096

// mapMemory takes the memory from the Go heap, for development elsewhere than on Linux: large
// allocations are lazily touched there too, but show in core dumps.
func mapMemory(n int) ([]byte, error) { return make([]byte, n), nil }

func unmapMemory([]byte) error { return nil }
