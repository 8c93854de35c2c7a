package replicate

import (
	"encoding/binary"
	"slices"
	"time"
)

// mapMemory is a Memory without bounds.
type mapMemory struct {
	clock    func() time.Duration
	sessions map[Key]mapSession
	deleted  map[Key]time.Duration // until when
	order    []Key
	rules    []mapRule
	holds    uint64
	scanLen  int // sessions of a step of Scan
}

type mapSession struct {
	value         string
	born, expires time.Duration
	hold          uint64
}

type mapRule struct {
	Rule
	given, until time.Duration
}

func newMapMemory(clock func() time.Duration) *mapMemory {
	return &mapMemory{
		clock: clock, sessions: make(map[Key]mapSession),
		deleted: make(map[Key]time.Duration), scanLen: 200,
	}
}

func (m *mapMemory) Put(key Key, value []byte, age, left time.Duration, _ bool) {
	now := m.clock()
	s := mapSession{value: string(value), born: now - age, expires: now + left}
	old, ok := m.sessions[key]
	if m.deleted[key] > now || m.refused(s) {
		return
	}
	if !ok {
		m.order = append(m.order, key)
	} else {
		s.born, s.expires, s.hold = min(old.born, s.born), min(old.expires, s.expires), old.hold
	}
	m.sessions[key] = s
}

func (m *mapMemory) refused(s mapSession) bool {
	now := m.clock()
	return s.expires <= now || slices.ContainsFunc(m.rules, func(r mapRule) bool {
		return r.until > now && s.born <= r.given && r.What == ForgetAll
	})
}

func (m *mapMemory) Find(dst []byte, key Key) (_ []byte, age, left time.Duration, ok bool) {
	s, ok := m.sessions[key]
	if !ok || m.refused(s) || s.hold != 0 {
		return dst, 0, 0, false
	}
	return append(dst, s.value...), m.clock() - s.born, s.expires - m.clock(), true
}

func (m *mapMemory) Hold(dst []byte, key Key, again uint64) (_ []byte, age, left time.Duration,
	hold uint64, v Verdict,
) {
	s, ok := m.sessions[key]
	switch {
	case m.deleted[key] > m.clock():
		return dst, 0, 0, 0, Spent
	case !ok || m.refused(s):
		return dst, 0, 0, 0, Unknown
	case s.hold != again:
		return dst, 0, 0, 0, Held
	case again == 0:
		m.holds++
		s.hold = m.holds
	}
	m.sessions[key] = s
	return append(dst, s.value...), m.clock() - s.born, s.expires - m.clock(), s.hold, Found
}

func (m *mapMemory) Release(key Key, hold uint64) {
	if s, ok := m.sessions[key]; ok && s.hold == hold {
		s.hold = 0
		m.sessions[key] = s
	}
}

func (m *mapMemory) Delete(key Key, left time.Duration) {
	m.deleted[key] = m.clock() + left
	delete(m.sessions, key)
}

func (m *mapMemory) Scan(cursor uint64,
	visit func(Key, []byte, time.Duration, time.Duration),
) uint64 {
	cursor = min(cursor, uint64(len(m.order)))
	end := min(cursor+uint64(m.scanLen), uint64(len(m.order)))
	for _, key := range m.order[cursor:end] {
		if v, age, left, ok := m.Find(nil, key); ok {
			visit(key, v, age, left)
		}
	}
	if end == uint64(len(m.order)) {
		return 0
	}
	return end
}

func (m *mapMemory) Rules(dst []Rule) []Rule {
	for _, r := range m.rules {
		r.Age, r.Left = m.clock()-r.given, r.until-m.clock()
		dst = append(dst, r.Rule)
	}
	return dst
}

func (m *mapMemory) AddRule(r Rule, done func(int)) bool {
	for _, known := range m.rules {
		if known.ID == r.ID {
			done(0)
			return false
		}
	}
	m.rules = append(m.rules, mapRule{Rule: r, given: m.clock() - r.Age, until: m.clock() + r.Left})
	dropped := 0
	for key, s := range m.sessions {
		if m.refused(s) {
			delete(m.sessions, key)
			dropped++
		}
	}
	done(dropped)
	return true
}

func (m *mapMemory) RulesDigest() (digest uint64) {
	for _, r := range m.rules {
		if r.until > m.clock() {
			digest ^= binary.BigEndian.Uint64(r.ID[:])
		}
	}
	return digest
}
