package cache

import "golang.org/x/sys/unix"

// pageLen is the granule for lengths: where pages are this small, the parts of a mapping do not
// share one.
const pageLen = 4096

// mapMemory reserves n bytes of zeroed memory outside the Go heap. The kernel provides a page when
// it is first touched; without MAP_NORESERVE it would refuse a reserve larger than the machine's
// memory.
func mapMemory(n int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	// Sessions are secrets: they belong neither in core dumps nor in forked children. A kernel
	// older than 4.14 lacks the latter.
	if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
		unix.Munmap(mem)
		return nil, err
	}
	_ = unix.Madvise(mem, unix.MADV_WIPEONFORK)
	return mem, nil
}

func unmapMemory(mem []byte) error { return unix.Munmap(mem) }
