package replicate

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func TestLifetimeOnTheWire(t *testing.T) {
	const largest = math.MaxUint32 * time.Millisecond
	for _, tt := range []struct{ lifetime, want time.Duration }{
		{0, 0},
		{-time.Hour, 0},
		{999 * time.Microsecond, 0}, // never longer than it was
		{1999 * time.Microsecond, time.Millisecond},
		{300 * time.Second, 300 * time.Second},
		{largest, largest},
		{largest + 1, largest},
		{math.MaxInt64, largest},
		{math.MinInt64, 0},
	} {
		for u := range pack(Update{Kind: UpdateDelete, Left: tt.lifetime}).All() {
			if u.Left != tt.want {
				t.Errorf("%v came back as %v, want %v", tt.lifetime, u.Left, tt.want)
			}
		}
	}
}

func TestRecordsMayBeLeftEarly(t *testing.T) {
	for u := range pack(sessionA, deleteA).All() {
		if u.Kind != UpdateSession {
			t.Error("went on")
		}
		break
	}
}

// A value's capacity ends with it: appending to it must not write over the
// record behind.
func TestRecordValueIsClipped(t *testing.T) {
	records := pack(sessionA, deleteA)
	want := bytes.Clone(records)
	for u := range records.All() {
		_ = append(u.Value, "overflow"...)
	}
	if !bytes.Equal(records, want) {
		t.Error("appending to a value changed the datagram")
	}
}

func TestBatchPacker(t *testing.T) {
	valued := func(n int) Update { return Update{Kind: UpdateSession, Value: make([]byte, n)} }
	for _, tt := range []struct {
		name    string
		maxLen  int
		updates []Update
		want    string // lengths of the batches
		refused uint64
	}{
		{"nothing", 100, nil, "[]", 0},
		{"exactly full", 2*recordHeaderLen + 20, []Update{valued(10), valued(10)}, "[66]", 0},
		{"one byte too many", 2*recordHeaderLen + 19, []Update{valued(10), valued(10)}, "[33 33]", 0},
		{"deletes", 3 * recordHeaderLen, []Update{deleteA, deleteA, deleteA, deleteA}, "[69 23]", 0},
		{"a larger session goes alone", 100, []Update{deleteA, valued(500), deleteA}, "[23 523 23]", 0},
		{"the largest session", 100, []Update{valued(maxValueLen)}, "[16407]", 0},
		{"a session too large is left out", 100, []Update{deleteA, valued(maxValueLen + 1), deleteA}, "[46]", 1},
		{"far too large for its length field", 1 << 20, []Update{valued(1 << 16), valued(1<<16 + 5)}, "[]", 2},
		{"what is no record is left out", 100, []Update{{Kind: UpdateAsk}, deleteA, {}}, "[23]", 2},
		{"no room at all: each goes alone", 0, []Update{deleteA, valued(1)}, "[23 24]", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := NewBatchPacker(tt.maxLen)
			batchLens := []int{}
			flush := func() {
				if n := len(p.Records()); n > 0 {
					batchLens = append(batchLens, n)
				}
				p.Reset()
			}
			for i := range tt.updates {
				if p.TryAdd(&tt.updates[i]) {
					continue
				}
				flush()
				if !p.TryAdd(&tt.updates[i]) {
					t.Fatal("refused by an empty packer")
				}
			}
			flush()
			if got := fmt.Sprint(batchLens); got != tt.want || p.Refused() != tt.refused {
				t.Errorf("batches of %s bytes, %d refused; want %s, %d", got, p.Refused(), tt.want, tt.refused)
			}
		})
	}
}

func TestBatchPackerKeepsUpdates(t *testing.T) {
	value := []byte("value")
	p := NewBatchPacker(1000)
	p.TryAdd(&Update{Kind: UpdateSession, Key: Key{1}, Left: time.Second, Value: value})
	p.TryAdd(&Update{Kind: UpdateDelete, Key: Key{2}, Left: time.Minute})
	p.TryAdd(&Update{Kind: UpdateSession, Key: Key{3}, Left: time.Hour})
	clear(value) // the packer has a copy
	got := ""
	for u := range p.Records().All() {
		got += fmt.Sprintf("%d %x %v %q; ", u.Kind, u.Key[0], u.Left, u.Value)
	}
	if want := `1 1 1s "value"; 2 2 1m0s ""; 1 3 1h0m0s ""; `; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestBatchPackerWipes(t *testing.T) {
	p := NewBatchPacker(1000)
	p.TryAdd(&sessionA)
	records := p.Records()
	p.Reset()
	if !bytes.Equal(records, make([]byte, len(records))) || len(p.Records()) != 0 {
		t.Errorf("still there: % x", records)
	}
}

func TestRangesAndParts(t *testing.T) {
	want := []Range{{0, 0}, {1, 65535}, {math.MaxUint64, 7}}
	var ranges Ranges
	for _, r := range want {
		ranges = ranges.Append(r)
	}
	i := 0
	for r := range ranges.All() {
		if r != want[i] {
			t.Errorf("range %d: got %v, want %v", i, r, want[i])
		}
		if i++; i == len(want) {
			break
		}
	}
	parts := Parts{}.Append(0).Append(65535)
	if got := fmt.Sprint(slices.Collect(parts.All())); got != "[0 65535]" || i != len(want) {
		t.Errorf("parts %s, %d ranges", got, i)
	}
}

func TestPackAndParseDoNotAllocate(t *testing.T) {
	p := NewBatchPacker(1100)
	b := make([]byte, 0, 2000)
	var ranges Ranges = make([]byte, 0, 100)
	seen := 0
	got := testing.AllocsPerRun(100, func() {
		p.TryAdd(&sessionA)
		p.TryAdd(&deleteA)
		b = Batch{Seq: 1, Records: p.Records()}.Append(b[:0])
		p.Reset()
		ranges = ranges[:0].Append(Range{1, 2})
		b = Repair{To: toB, Ranges: ranges}.Append(b)
		b = SnapshotPart{To: toB, Parts: 1}.Append(b)
		b = Answer{To: toB, Record: sessionA}.Append(b)
		ms, ok := ParseMessages(b)
		if !ok {
			t.Error("malformed")
		}
		for m := range ms.All() {
			switch m.Type {
			case TypeBatch:
				for u := range m.Batch().Records.All() {
					seen += len(u.Value)
				}
			case TypeRepair:
				for r := range m.Repair().Ranges.All() {
					seen += int(r.Count)
				}
			case TypeAnswer:
				seen += len(m.Answer().Record.Value)
			}
		}
	})
	if want := 101 * (5 + 2 + 5); got != 0 || seen != want {
		t.Errorf("%v allocations, %d seen; want 0, %d", got, seen, want)
	}
}
