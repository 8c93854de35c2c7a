package cachepeers

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

func BenchmarkMutexMap(b *testing.B) {
	run(b, func(items int) store {
		return &mutexMap{entries: make(map[key]mapEntry, items), order: make([]key, items)}
	})
}

// mutexMap is the simplest solution: a map behind a mutex, and a ring of its keys to drop the
// oldest.
type mutexMap struct {
	mu      sync.Mutex
	entries map[key]mapEntry
	order   []key
	next    int
}

type mapEntry struct {
	value   []byte
	expires time.Duration
}

func (m *mutexMap) appendGet(dst []byte, k *key) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[*k]
	if !ok || e.expires <= now {
		return dst, false
	}
	return append(dst, e.value...), true
}

func (m *mutexMap) put(k *key, value []byte) {
	e := mapEntry{bytes.Clone(value), now + lifetime}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.entries[*k]; !ok {
		if len(m.entries) == len(m.order) {
			delete(m.entries, m.order[m.next])
		}
		m.order[m.next] = *k
		m.next = (m.next + 1) % len(m.order)
	}
	m.entries[*k] = e
}

func (m *mutexMap) close() {}
