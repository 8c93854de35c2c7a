package engine

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkPeek is what looking before each reuse of a backend's connection costs.
func BenchmarkPeek(b *testing.B) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	b.ReportAllocs()
	for b.Loop() {
		if stale(fds[0]) {
			b.Fatal("it is not")
		}
	}
}
