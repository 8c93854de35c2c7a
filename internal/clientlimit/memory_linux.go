package clientlimit

import (
	"os"

	"golang.org/x/sys/unix"
)

// allocate returns zeroed memory, which the system provides page by page when it is first used.
func allocate(n int) ([]byte, error) {
	memory, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	return memory, os.NewSyscallError("mmap", err)
}

func release(memory []byte) { _ = unix.Munmap(memory) }
