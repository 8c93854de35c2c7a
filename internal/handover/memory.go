package handover

import (
	"os"

	"golang.org/x/sys/unix"
)

// NewMemory returns a file in memory that has no name in any directory and is freed with its last
// descriptor.
func NewMemory(name string) (*os.File, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_NOEXEC_SEAL
	fd, err := unix.MemfdCreate(name, flags)
	if err == unix.EINVAL { // a kernel before 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// UseMemory calls use with the content of such a file, and overwrites it afterwards: it holds
// secrets. It takes ownership of the descriptor.
func UseMemory(fd int, use func(content []byte) error) error {
	f := os.NewFile(uintptr(fd), "memory")
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return use(nil)
	}
	content, err := unix.Mmap(fd, 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	defer func() {
		clear(content)
		_ = unix.Munmap(content)
	}()
	_ = unix.Madvise(content, unix.MADV_DONTDUMP)
	return use(content)
}
