package handover

import (
	"slices"
	"sync"
)

// A Set holds received descriptors until they are used. The zero value is empty, and so is a nil
// one. Any goroutine may use it.
type Set struct {
	mu    sync.Mutex // guards files
	files []File
}

// NewSet takes ownership of files.
func NewSet(files []File) *Set { return &Set{files: files} }

// Take returns the first descriptor of that name that suits, which the caller then owns, or -1. A
// nil suits takes any.
func (s *Set) Take(name string, suits func(fd int) bool) int {
	if s == nil {
		return -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.files, func(f File) bool {
		return f.Name == name &&
			(suits == nil || suits(f.FD))
	})
	if i < 0 {
		return -1
	}
	fd := s.files[i].FD
	s.files = slices.Delete(s.files, i, i+1)
	return fd
}

// Close closes the descriptors that were not taken, and returns their names.
func (s *Set) Close() (names []string) {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		names = append(names, f.Name)
	}
	closeAll(s.files)
	s.files = nil
	return names
}
