package wire

import (
	"bytes"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

var (
	toB   = ShortID{0xbb, 0xbb, 0xbb, 0xbb}
	ruleA = RuleID{
		0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd,
		0xce, 0xcf,
	}
	keyA = Key{
		0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad,
		0xae, 0xaf,
	}

	sessionA = Update{
		Kind: UpdateSession, Key: keyA, Age: 2 * time.Second, Left: 300 * time.Second,
		Value: []byte("value"),
	}
	deleteA = Update{Kind: UpdateDelete, Key: keyA, Left: time.Second}
)

const (
	hexKey     = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
	hexRule    = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
	hexSession = "01 " + hexKey + " 000007d0 000493e0 0005 76616c7565 "
	hexDelete  = "02 " + hexKey + " 00000000 000003e8 0000 "
)

// message is what every message can.
type message interface{ Append(b []byte) []byte }

// contents returns what the message says, as the type of its own.
func (m Message) contents(t *testing.T) message {
	switch m.Type {
	case TypeBatch:
		return m.Batch()
	case TypeHeartbeat:
		return m.Heartbeat()
	case TypeEcho:
		return m.Echo()
	case TypeRepair:
		return m.Repair()
	case TypeAsk:
		return m.Ask()
	case TypeAnswer:
		return m.Answer()
	case TypeRelease:
		return m.Release()
	case TypeSnapshotRequest:
		return m.SnapshotRequest()
	case TypeSnapshotPart:
		return m.SnapshotPart()
	case TypeRules:
		return m.Rules()
	case TypeObeyed:
		return m.Obeyed()
	case TypeMembers:
		return m.Members()
	case TypeLeave:
		return m.Leave()
	case TypeStatusRequest:
		return m.StatusRequest()
	case TypeStatus:
		return m.Status()
	}
	t.Fatalf("message of type %d", m.Type)
	return nil
}

// pack returns updates in wire form.
func pack(updates ...Update) (records Records) {
	for i := range updates {
		records = AppendRecord(records, &updates[i])
	}
	return records
}

var wireTests = []struct {
	name string
	m    message
	want string // type, length, body
}{
	{
		"batch to all",
		Batch{Seq: 7, Waited: 3 * time.Microsecond, Records: pack(sessionA, deleteA)},
		"01 004c 00000000 00 0000000000000007 00000003 " + hexSession + hexDelete,
	},
	{"batch to a home, empty", Batch{To: toB, Stream: StreamHome, Seq: 1, Records: Records{}}, "01 0011 bbbbbbbb 01 0000000000000001 00000000"},
	{
		"heartbeat",
		Heartbeat{
			Newest: 9, Oldest: 3, Sent: 0x0102030405060708, Rules: 0x1112131415161718,
			Members: 0x21222324,
		},
		"02 0028 00000000 0000000000000009 0000000000000003 0102030405060708 1112131415161718 21222324",
	},
	{
		"echo",
		Echo{
			To: toB, Sent: 0x0102030405060708, Held: time.Millisecond, Stream: StreamHome, Newest: 5,
			Oldest: 2,
		},
		"03 0021 bbbbbbbb 0102030405060708 000003e8 01 0000000000000005 0000000000000002",
	},
	{
		"repair",
		Repair{To: toB, Stream: StreamHome, Ranges: Ranges{}.Append(Range{4, 2}).Append(Range{256, 1})},
		"04 0019 bbbbbbbb 01 0000000000000004 0002 0000000000000100 0001",
	},
	{"ask", Ask{To: toB, Question: 6, Flags: FlagHold, Key: keyA}, "05 001d bbbbbbbb 0000000000000006 01 " + hexKey},
	{
		"answer",
		Answer{To: toB, Question: 6, Flags: FlagHold, Verdict: Found, Record: sessionA},
		"06 002e bbbbbbbb 0000000000000006 01 01 " + hexSession,
	},
	{"answer without", Answer{To: toB, Question: 6, Verdict: Spent}, "06 000e bbbbbbbb 0000000000000006 00 03"},
	{"release", Release{To: toB, Question: 6, Key: keyA}, "07 001c bbbbbbbb 0000000000000006 " + hexKey},
	{
		"snapshot request",
		SnapshotRequest{To: toB, Stream: StreamHome, Cursor: 10, Parts: Parts{}.Append(1).Append(3)},
		"08 0011 bbbbbbbb 01 000000000000000a 0001 0003",
	},
	{
		"snapshot part",
		SnapshotPart{To: toB, Cursor: 10, Next: 20, Part: 1, Parts: 2, Records: pack(sessionA)},
		"09 0038 bbbbbbbb 000000000000000a 0000000000000014 0001 0002 " + hexSession,
	},
	{
		"rules",
		Rules{List: RuleList{}.Append(Rule{
			ID: ruleA, What: ForgetName, Hash: 0x31, Age: time.Second,
			Left: time.Minute,
		})},
		"0a 0025 00000000 " + hexRule + " 01 0000000000000031 000003e8 0000ea60",
	},
	{"obeyed", Obeyed{To: toB, ID: ruleA, Dropped: 12}, "0b 0018 bbbbbbbb " + hexRule + " 0000000c"},
	{
		"members",
		Members{To: toB, List: MemberList{}.Append(Member{
			ID: ShortID{
				1, 2, 3,
				4,
			}, Addr: netip.MustParseAddrPort("192.0.2.1:7171"), State: MemberSilent, Left: time.Minute,
			Instance: Instance{5, 6},
		})},
		"0c 002f bbbbbbbb 01020304 00000000000000000000ffffc0000201 1c03 01 0000ea60 05060000000000000000000000000000",
	},
	{"leave", Leave{}, "0d 0004 00000000"},
	{"status request", StatusRequest{}, "0e 0004 00000000"},
	{"status", Status{To: toB, Text: []byte("{}")}, "0f 0006 bbbbbbbb 7b7d"},
}

func TestMessages(t *testing.T) {
	for _, tt := range wireTests {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.m.Append([]byte("kept"))[4:]
			if !bytes.Equal(b, unhex(t, tt.want)) {
				t.Errorf("got\n%x, want\n%s", b, tt.want)
			}
			messages, ok := ParseMessages(b)
			n := 0
			for m := range messages.All() {
				n++
				if got := m.contents(t); !reflect.DeepEqual(got, tt.m) {
					t.Errorf("read as %+v, want %+v", got, tt.m)
				}
			}
			if !ok || n != 1 {
				t.Errorf("%d messages, %v", n, ok)
			}
			// What is cut off anywhere says nothing, what is longer says the same.
			for i := 1; i < len(b); i++ {
				if _, ok := ParseMessages(b[:i]); ok {
					t.Fatalf("cut to %d bytes it is well formed", i)
				}
			}
		})
	}
}

func TestLaterVersions(t *testing.T) {
	b := unhex(t, "f9 0003 010203  05 0020 bbbbbbbb 0000000000000006 00 "+hexKey+" ffffff  0d 0006 00000000 eeee")
	messages, ok := ParseMessages(b)
	var types []MessageType
	for m := range messages.All() {
		types = append(types, m.Type)
	}
	if !ok || !reflect.DeepEqual(types, []MessageType{TypeAsk, TypeLeave}) {
		t.Errorf("types %v, %v", types, ok)
	}
}

func TestMessageAddressees(t *testing.T) {
	for _, tt := range []struct {
		to   ShortID
		want bool
	}{{toB, true}, {Everybody, true}, {ShortID{1}, false}} {
		messages, _ := ParseMessages(Ask{To: tt.to}.Append(nil))
		for m := range messages.All() {
			if got := m.IsFor(toB); got != tt.want {
				t.Errorf("to %v: %v", tt.to, got)
			}
		}
	}
}

// Ages grow by rounding, and what is left to live shrinks.
func TestTimesOnTheWire(t *testing.T) {
	const largest = math.MaxUint32 * time.Millisecond
	for _, tt := range []struct{ d, age, left time.Duration }{
		{0, 0, 0},
		{-time.Hour, 0, 0},
		{999 * time.Microsecond, time.Millisecond, 0},
		{1001 * time.Microsecond, 2 * time.Millisecond, time.Millisecond},
		{300 * time.Second, 300 * time.Second, 300 * time.Second},
		{largest, largest, largest},
		{largest + time.Hour, largest, largest},
	} {
		for u := range pack(Update{Kind: UpdateDelete, Age: tt.d, Left: tt.d}).All() {
			if u.Age != tt.age || u.Left != tt.left {
				t.Errorf("%v came back as %v and %v, want %v and %v", tt.d, u.Age, u.Left, tt.age, tt.left)
			}
		}
	}
	records := pack(sessionA, deleteA)
	records.Pass(1500 * time.Microsecond)
	var got []Update
	for u := range records.All() {
		got = append(got, u)
	}
	if got[0].Age != 2002*time.Millisecond || got[0].Left != 299_998*time.Millisecond ||
		got[1].Left != 998*time.Millisecond {
		t.Errorf("after 1.5 ms: %+v", got)
	}
	records.Pass(time.Hour)
	for u := range records.All() {
		if u.Left != 0 {
			t.Errorf("after an hour: %+v", u)
		}
	}
}

// A value's capacity ends with it: appending to it must not write over the record
// behind.
func TestRecordValueIsClipped(t *testing.T) {
	records := pack(sessionA, deleteA)
	want := bytes.Clone(records)
	for u := range records.All() {
		_ = append(u.Value, "overflow"...)
	}
	if !bytes.Equal(records, want) {
		t.Error("appending to a value changed the datagram")
	}
	if got := pack(Update{Kind: UpdateSession, Value: make([]byte, MaxValueLen+1)},
		Update{Kind: 9}); len(got) != 0 {
		t.Errorf("what cannot travel takes %d bytes", len(got))
	}
}

// Whatever parses, reads the same once written again; whatever does not, says
// nothing.
func FuzzMessages(f *testing.F) {
	for _, tt := range wireTests {
		f.Add(unhex(f, tt.want))
	}
	f.Add(unhex(f, "f9 0003 010203 0d 0006 00000000 ffff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ms, ok := ParseMessages(b)
		var again []byte
		var want []message
		for m := range ms.All() {
			c := m.contents(t)
			if a, ok := c.(Answer); ok && RecordLen(&a.Record) == 0 {
				a.Record = Update{} // of a later version: it is not passed on
				c = a
			}
			want, again = append(want, c), c.Append(again)
			m.IsFor(toB)
		}
		if !ok && want != nil {
			t.Fatalf("malformed, and has %d messages", len(want))
		}
		var got []message
		ms, ok = ParseMessages(again)
		for m := range ms.All() {
			got = append(got, m.contents(t))
		}
		if !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("%x: got %+v, want %+v", b, got, want)
		}
		for _, m := range want { // what is in them is read without a panic
			switch m := m.(type) {
			case Rules:
				for range m.List.All() {
				}
			case Members:
				for range m.List.All() {
				}
			case Repair:
				for range m.Ranges.All() {
				}
			case SnapshotRequest:
				for range m.Parts.All() {
				}
			}
		}
	})
}

// Records that parse are whole, and pack into the same bytes.
func FuzzRecords(f *testing.F) {
	f.Add([]byte(pack(sessionA, deleteA)))
	f.Add([]byte(pack(Update{Kind: UpdateSession, Left: time.Hour, Value: make([]byte, 600)},
		sessionA)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !Records(b).wellFormed() {
			return
		}
		var got []byte
		for u := range Records(b).All() {
			if len(u.Value) > MaxValueLen || u.Kind != UpdateSession && u.Kind != UpdateDelete {
				return // parses, but is never sent
			}
			got = AppendRecord(got, &u)
		}
		if !bytes.Equal(got, b) {
			t.Fatalf("got %x, want %x", got, b)
		}
		Records(bytes.Clone(b)).Pass(time.Second)
	})
}
