package cache

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is the cache in its simplest form: a list in order of arrival, searched from end to end.
type model struct {
	opts    Options
	entries []modelEntry
	spent   []modelEntry
	counts  Counts
}

type modelEntry struct {
	key, value    string
	tag           uint8
	born, expires int64
	hold          Hold
}

func at(list []modelEntry, key []byte) int {
	return slices.IndexFunc(list, func(e modelEntry) bool { return e.key == string(key) })
}

func (m *model) isSpent(key []byte, now int64) bool {
	i := at(m.spent, key)
	return i >= 0 && m.spent[i].expires > now
}

func (m *model) sweep(now int64, n int) int {
	swept := 0
	for ; swept < n && len(m.entries) > 0 && m.entries[0].expires <= now; swept++ {
		m.entries = m.entries[1:]
		m.counts.Swept++
	}
	for ; swept < n && len(m.spent) > 0 && m.spent[0].expires <= now; swept++ {
		m.spent = m.spent[1:]
	}
	return swept
}

// put drops the oldest entries until the bound on items is kept and as many are dropped as done
// says: an arena full of holes may have to drop more than the bound asks for.
func (m *model) put(key, value []byte, put Entry, now int64, done Counts) PutOutcome {
	switch {
	case len(key) > m.opts.KeyLen || len(value) > m.opts.BlockLen:
		m.counts.TooLarge++
		return TooLarge
	case put.Expires <= now:
		m.counts.Late++
		return AlreadyExpired
	case m.isSpent(key, now):
		m.counts.Refused++
		return AlreadySpent
	}
	e := modelEntry{string(key), string(value), put.Tag, put.Born, put.Expires, notHeld}
	if i := at(m.entries, key); i >= 0 {
		e.hold = m.entries[i].hold
		if m.entries[i].expires > now {
			m.counts.Replaced++
			e.born, e.expires = min(e.born, m.entries[i].born), min(e.expires, m.entries[i].expires)
		} else {
			m.counts.Swept++
		}
		m.entries = slices.Delete(m.entries, i, i+1)
	}
	m.sweep(now, sweepPerPut)
	outcome := Stored
	for len(m.entries) >= m.opts.Items || len(m.entries) > 0 &&
		m.counts.Evicted+m.counts.Swept < done.Evicted+done.Swept {
		if m.entries[0].expires > now {
			m.counts.Evicted++
			outcome = StoredFull
		} else {
			m.counts.Swept++
		}
		m.entries = m.entries[1:]
	}
	if outcome == StoredFull {
		m.counts.Full++
	}
	m.entries = append(m.entries, e)
	return outcome
}

func (m *model) lookUp(key []byte, now int64, h Hold) (string, Entry, Outcome) {
	i := at(m.entries, key)
	outcome := Hit
	switch {
	case i < 0 && m.isSpent(key, now):
		outcome = Spent
		m.counts.Spent++
	case i < 0:
		outcome = Unknown
	case m.entries[i].expires <= now:
		outcome = Expired
		m.counts.Expired++
		m.entries = slices.Delete(m.entries, i, i+1)
	case m.entries[i].hold.Until > now && (h == notHeld || m.entries[i].hold.ID != h.ID):
		outcome = Held
		m.counts.Held++
	}
	if outcome != Hit {
		m.counts.Miss++
		return "", Entry{}, outcome
	}
	m.counts.Hits++
	e := &m.entries[i]
	if h != notHeld {
		e.hold = h
	}
	return e.value, Entry{e.tag, e.born, e.expires}, Hit
}

func (m *model) release(key []byte, id uint64) {
	if i := at(m.entries, key); i >= 0 && m.entries[i].hold.ID == id {
		m.entries[i].hold = notHeld
	}
}

func (m *model) spend(key []byte, id uint64, now, expires int64) Outcome {
	i := at(m.entries, key)
	switch {
	case i < 0 && m.isSpent(key, now):
		if id != 0 && m.spent[at(m.spent, key)].hold.ID == id {
			return Hit
		}
		return Spent
	case i < 0:
		if id != 0 {
			m.delete(key, now, expires)
			if j := at(m.spent, key); j >= 0 && m.spent[j].expires > now {
				m.spent[j].hold.ID = id
			}
		}
		return Unknown
	case m.entries[i].expires <= now:
		return Expired
	case id == 0 || m.entries[i].hold.ID != id:
		return Held
	}
	m.delete(key, now, expires)
	if j := at(m.spent, key); j >= 0 {
		m.spent[j].hold.ID = id
	}
	return Hit
}

func (m *model) purge(now int64) int {
	before := len(m.entries)
	m.entries = slices.DeleteFunc(m.entries, func(e modelEntry) bool { return e.expires <= now })
	m.counts.Swept += uint64(before - len(m.entries))
	return before - len(m.entries)
}

func (m *model) delete(key []byte, now, expires int64) Outcome {
	outcome := Unknown
	if i := at(m.entries, key); i >= 0 {
		if m.entries[i].expires > now {
			outcome = Hit
			m.counts.Deleted++
		} else {
			outcome = Expired
			m.counts.Swept++
		}
		m.entries = slices.Delete(m.entries, i, i+1)
	} else if m.isSpent(key, now) {
		outcome = Spent
	}
	if expires <= now || len(key) > m.opts.KeyLen {
		return outcome
	}
	if i := at(m.spent, key); i >= 0 {
		if m.spent[i].expires <= now {
			m.spent[i].hold = Hold{}
		}
		m.spent[i].expires = max(m.spent[i].expires, expires)
		return outcome
	}
	if len(m.spent) == m.opts.Items {
		if m.spent[0].expires > now {
			m.counts.TombstonesEvicted++
		}
		m.spent = m.spent[1:]
	}
	m.spent = append(m.spent, modelEntry{key: string(key), expires: expires})
	return outcome
}

func (m *model) deleteTag(tag uint8) (deleted int) {
	before := len(m.entries)
	m.entries = slices.DeleteFunc(m.entries, func(e modelEntry) bool { return e.tag == tag })
	deleted = before - len(m.entries)
	m.counts.Deleted += uint64(deleted)
	return deleted
}

func (m *model) scan(now int64) map[string]string {
	all := make(map[string]string)
	for _, e := range m.entries {
		if e.expires > now && e.hold.Until <= now {
			all[e.key] = fmt.Sprintf("%s/%d/%d", e.value, e.tag, e.expires)
		}
	}
	return all
}

// opLen is how many bytes of a program make one operation.
const opLen = 6

// runProgram applies program to a cache of one stripe and to the model, and compares all that is
// observable.
func runProgram(t *testing.T, o Options, program []byte) {
	p := &pair{
		T: t, c: newCache(t, o), m: &model{opts: o}, now: 1,
		held: make(map[string]uint64), value: make([]byte, o.BlockLen+1),
	}
	for ; len(program) >= opLen; p.n++ {
		op, k, life, tick := program[0], program[1], program[4], program[5]
		p.now += int64(tick % 4)
		key := bytes.Repeat([]byte{k % 48}, 1+int(k%48)*(o.KeyLen+1)/48) // lengths 1 to KeyLen+1
		p.do(op%16, key, program[2], program[3], p.now+int64(life%64)-2)
		program = program[opLen:]
		st := p.c.Stats()
		if st.Counts != p.m.counts || st.Items != len(p.m.entries) || st.Tombstones != len(p.m.spent) {
			t.Fatalf("op %d (%d): got %d items, %d tombstones, %+v\nwant %d, %d, %+v",
				p.n, op%16, st.Items, st.Tombstones, st.Counts, len(p.m.entries), len(p.m.spent), p.m.counts)
		}
		if p.n%16 == 0 {
			checkInvariants(t, p.c)
		}
	}
	if got, want := scanAll(p.c, p.now), p.m.scan(p.now); !maps.Equal(got, want) {
		t.Fatalf("scan of %d entries at the end, want %d", len(got), len(want))
	}
	checkInvariants(t, p.c)
}

// A pair is a cache and the model of it, to both of which the same is done.
type pair struct {
	*testing.T
	c     *Cache
	m     *model
	n     int // operations so far
	now   int64
	held  map[string]uint64 // the last hold by key, for Release and Spend
	value []byte            // bytes to be stored
}

// do does one operation and compares what it returns.
func (p *pair) do(op byte, key []byte, size, fill byte, expires int64) {
	c, m, now := p.c, p.m, p.now
	switch op {
	default: // only put moves records
		p.put(key, size, fill, expires)
	case 0, 1, 2:
		h := notHeld
		if op == 0 {
			h = Hold{ID: 1 + uint64(fill%3), Until: now + int64(size%8)}
			p.held[string(key)] = h.ID
		}
		p.lookUp(key, h)
	case 3:
		c.Release(key, p.held[string(key)])
		m.release(key, p.held[string(key)])
	case 4, 5:
		if got, want := c.Delete(key, now, expires), m.delete(key, now, expires); got != want {
			p.Fatalf("op %d: delete: got %v, want %v", p.n, got, want)
		}
	case 6:
		if got, want := c.Sweep(now, int(size%8)), m.sweep(now, int(size%8)); got != want {
			p.Fatalf("op %d: swept %d, want %d", p.n, got, want)
		}
	case 7:
		if size%4 != 0 {
			break
		}
		got := inSteps(func(cursor Cursor) (int, Cursor) {
			return c.DeleteFunc(cursor, func(_, _ []byte, e Entry) bool { return e.Tag == fill%4 })
		})
		if want := m.deleteTag(fill % 4); got != want {
			p.Fatalf("op %d: deleted %d, want %d", p.n, got, want)
		}
	case 9:
		id := p.held[string(key)] + uint64(fill%2) // the right one or another
		if got, want := c.Spend(key, id, now, expires), m.spend(key, id, now, expires); got != want {
			p.Fatalf("op %d: spend: got %v, want %v", p.n, got, want)
		}
	case 10:
		got := inSteps(func(cursor Cursor) (int, Cursor) { return c.Purge(cursor, now) })
		if want := m.purge(now); got != want {
			p.Fatalf("op %d: purged %d, want %d", p.n, got, want)
		}
	case 8:
		if got, want := scanAll(c, now), m.scan(now); !maps.Equal(got, want) {
			p.Fatalf("op %d: scan of %d entries, want %d", p.n, len(got), len(want))
		}
	}
}

// inSteps sums what a walk over the cache does, step by step.
func inSteps(step func(Cursor) (int, Cursor)) (sum int) {
	for cursor := Cursor(0); ; {
		var n int
		n, cursor = step(cursor)
		sum += n
		if cursor == 0 {
			return sum
		}
	}
}

func (p *pair) put(key []byte, size, fill byte, expires int64) {
	v := p.value[:int(size)*len(p.value)/255]
	for i := range v {
		v[i] = fill
	}
	e := Entry{Tag: fill % 4, Born: p.now - int64(size), Expires: expires}
	got := p.c.Put(key, v, e, p.now)
	st, a := p.c.Stats(), &p.c.stripes[0].entries.arena
	if got == StoredFull && st.Items < p.m.opts.Items && int(a.touched) < len(a.segments) {
		p.Fatalf("op %d: evicted at %d of %d items with segments untouched", p.n, st.Items, p.m.opts.Items)
	}
	if want := p.m.put(key, v, e, p.now, st.Counts); got != want {
		p.Fatalf("op %d: put: got %v, want %v", p.n, got, want)
	}
}

func (p *pair) lookUp(key []byte, h Hold) {
	got, gotEntry, gotOutcome := p.c.lookUp(nil, key, p.now, h)
	want, wantEntry, wantOutcome := p.m.lookUp(key, p.now, h)
	if string(got) != want || gotEntry != wantEntry || gotOutcome != wantOutcome {
		p.Fatalf("op %d: look-up: got %d bytes %+v %v, want %d bytes %+v %v",
			p.n, len(got), gotEntry, gotOutcome, len(want), wantEntry, wantOutcome)
	}
}

// programs are caches of different shapes for the model: from one item to more items than there are
// keys, and values from small to so large that a few fill a segment.
var programs = []Options{
	{Name: "one", Items: 1, KeyLen: 4, BlockLen: 10},
	{Name: "few", Items: 7, KeyLen: 20, BlockLen: 5000},
	{Name: "some", Items: 20, KeyLen: 16, BlockLen: 30_000},
	{Name: "all", Items: 100, KeyLen: 40, BlockLen: 8000},
}

func TestAgainstModel(t *testing.T) {
	for _, o := range programs {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%s/seed=%d", o.Name, seed), func(t *testing.T) {
				var key [32]byte
				key[0] = byte(seed)
				program := make([]byte, opLen*3000)
				rand.NewChaCha8(key).Read(program)
				runProgram(t, o, program)
			})
		}
	}
}

func FuzzAgainstModel(f *testing.F) {
	f.Add(uint8(0), []byte("\x0f\x01\xff\x00\x20\x00"+"\x00\x01\x07\x00\x00\x00"+"\x03\x01\x00\x00\x00\x00"+"\x04\x01\x00\x00\x20\x00"+"\x0f\x01\x00\x00\x20\x00"))
	f.Add(uint8(1), bytes.Repeat([]byte("\x0f\x01\xfe\x61\x3f\x01"+"\x0f\x12\xfe\x61\x05\x01"+"\x06\x00\x07\x00\x00\x01"), 40))
	f.Add(uint8(2), bytes.Repeat([]byte("\x0f\x01\xfe\x61\x3f\x00"+"\x0f\x02\xfe\x62\x3f\x00"+"\x07\x00\x00\x01\x00\x00"), 40))
	f.Add(uint8(3), bytes.Repeat([]byte("\x0f\x01\xfe\x61\x3f\x00"+"\x04\x01\x00\x61\x3f\x01"+"\x08\x00\x00\x00\x00\x00"), 40))
	f.Fuzz(func(t *testing.T, shape uint8, program []byte) {
		runProgram(t, programs[int(shape)%len(programs)], program[:min(len(program), opLen*2000)])
	})
}
