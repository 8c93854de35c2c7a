package replicate

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

var (
	toB   = ShortID{0xbb, 0xbb, 0xbb, 0xbb}
	nonce = Nonce{0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff}
	keyA  = Key{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf}

	sessionA = Update{Kind: UpdateSession, Key: keyA, Left: 300 * time.Second, Value: []byte("value")}
	deleteA  = Update{Kind: UpdateDelete, Key: keyA, Left: time.Second}
)

const (
	hexSession = "01 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 000493e0 0005 76616c7565 "
	hexDelete  = "02 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 000003e8 0000 "
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
	case TypeChallenge:
		return m.Challenge()
	case TypeResponse:
		return m.Response()
	case TypeRepair:
		return m.Repair()
	case TypeAsk:
		return m.Ask()
	case TypeAnswer:
		return m.Answer()
	case TypeSnapshotRequest:
		return m.SnapshotRequest()
	case TypeSnapshotPart:
		return m.SnapshotPart()
	case TypeForget:
		return m.Forget()
	case TypeForgotten:
		return m.Forgotten()
	}
	t.Fatalf("message of type %d", m.Type)
	return nil
}

// pack returns updates in wire form.
func pack(updates ...Update) Records {
	p := NewBatchPacker(1 << 15)
	for i := range updates {
		p.TryAdd(&updates[i])
	}
	return p.Records()
}

var wireTests = []struct {
	name string
	m    message
	want string // type, length, body
}{
	{"batch", Batch{Seq: 7, Made: 0x0908, Records: pack(sessionA, deleteA)}, "01 0043 0000000000000007 0000000000000908 " + hexSession + hexDelete},
	{"batch of none", Batch{Seq: 1, Records: Records{}}, "01 0010 0000000000000001 0000000000000000"},
	{"heartbeat", Heartbeat{Newest: 9, Oldest: 3, Sent: 0x0102030405060708}, "02 0018 0000000000000009 0000000000000003 0102030405060708"},
	{"echo", Echo{To: toB, Sent: 0x0102030405060708, Held: time.Millisecond}, "03 0010 bbbbbbbb 0102030405060708 000003e8"},
	{"challenge", Challenge{To: toB, Nonce: nonce}, "04 0014 bbbbbbbb f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"},
	{"response", Response{To: toB, Nonce: nonce}, "05 0014 bbbbbbbb f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"},
	{"repair", Repair{To: toB, Ranges: Ranges{}.Append(Range{4, 2}).Append(Range{256, 1})}, "06 0018 bbbbbbbb 0000000000000004 0002 0000000000000100 0001"},
	{"repair of none", Repair{To: toB, Ranges: Ranges{}}, "06 0004 bbbbbbbb"},
	{"ask", Ask{To: toB, Question: 5, Key: keyA}, "07 001c bbbbbbbb 0000000000000005 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"},
	{"answer", Answer{To: toB, Question: 5, Record: sessionA}, "08 0028 bbbbbbbb 0000000000000005 " + hexSession},
	{"answer: spent", Answer{To: toB, Question: 5, Record: deleteA}, "08 0023 bbbbbbbb 0000000000000005 " + hexDelete},
	{"answer: none", Answer{To: toB, Question: 5}, "08 000c bbbbbbbb 0000000000000005"},
	{"snapshot request", SnapshotRequest{To: toB, Cursor: 8, Parts: Parts{}.Append(1).Append(258)}, "09 0010 bbbbbbbb 0000000000000008 0001 0102"},
	{"snapshot request: all", SnapshotRequest{To: toB, Cursor: 8, Parts: Parts{}}, "09 000c bbbbbbbb 0000000000000008"},
	{
		"snapshot part",
		SnapshotPart{To: toB, Cursor: 8, Next: 16, Part: 2, Parts: 3, Records: pack(deleteA)},
		"0a 002f bbbbbbbb 0000000000000008 0000000000000010 0002 0003 " + hexDelete,
	},
	{"forget", Forget{ID: 6, What: ForgetName, Hash: 0x1122334455667788}, "0b 0011 0000000000000006 01 1122334455667788"},
	{"forgotten", Forgotten{To: toB, ID: 6, Dropped: 70000}, "0c 0010 bbbbbbbb 0000000000000006 00011170"},
}

// parseOne parses a plaintext of one message.
func parseOne(t *testing.T, plaintext []byte) message {
	t.Helper()
	ms, ok := ParseMessages(plaintext)
	if !ok {
		t.Fatalf("malformed: %x", plaintext)
	}
	for m := range ms.All() {
		return m.contents(t)
	}
	t.Fatalf("no message in %x", plaintext)
	return nil
}

func TestMessageBytes(t *testing.T) {
	for _, tt := range wireTests {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			if got := tt.m.Append([]byte("before")); string(got[:6]) != "before" || !bytes.Equal(got[6:], want) {
				t.Errorf("append:\n got %x\nwant %x", got, want)
			}
			if got := parseOne(t, want); !reflect.DeepEqual(got, tt.m) {
				t.Errorf("parse:\n got %+v\nwant %+v", got, tt.m)
			}
		})
	}
}

// Later versions may add to a body, unless it ends in a list.
func TestMessagesMayGrow(t *testing.T) {
	for _, tt := range wireTests {
		switch tt.m.(type) {
		case Batch, Repair, SnapshotRequest, SnapshotPart:
			continue
		}
		if tt.name == "answer: none" { // may have a record, so what follows is one
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			b := append(unhex(t, tt.want), "later"...)
			b[2] += byte(len("later"))
			if got := parseOne(t, b); !reflect.DeepEqual(got, tt.m) {
				t.Errorf("got %+v, want %+v", got, tt.m)
			}
		})
	}
}

func TestManyMessages(t *testing.T) {
	var plaintext []byte
	var want []message
	for _, tt := range wireTests {
		plaintext = append(plaintext, unhex(t, "f9 0003 010203 00 0000")...) // unknown ones between
		plaintext = tt.m.Append(plaintext)
		want = append(want, tt.m)
	}
	ms, ok := ParseMessages(plaintext)
	if !ok {
		t.Fatal("malformed")
	}
	var got []message
	for m := range ms.All() {
		got = append(got, m.contents(t))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for range ms.All() { // may be left early
		break
	}
}

func TestMalformed(t *testing.T) {
	for _, tt := range []struct{ name, b string }{
		{"half a header", "02 00"},
		{"body longer than the datagram", "02 0019 000000000000000900000000000000030102030405060708"},
		{"largest length", "02 ffff 00"},
		{"trailing byte", "02 0018 000000000000000900000000000000030102030405060708 00"},
		{"unknown type longer than the datagram", "f9 0002 00"},
		{"session without a length", "01 0025 0000000000000001 0000000000000000 01 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 000003e8"},
		{"session longer than its batch", "01 0028 0000000000000001 0000000000000000 01 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 000003e8 0002 ff"},
		{"half a delete", "01 0024 0000000000000001 0000000000000000 02 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 0003e8"},
		{"a byte after the records", "01 0028 0000000000000001 0000000000000000 " + hexDelete + "00"},
		{"answer with half a record", "08 000d bbbbbbbb 0000000000000005 01"},
		{"half a range", "06 000d bbbbbbbb 0000000000000004 00"},
		{"half a part", "09 000d bbbbbbbb 0000000000000008 00"},
		{"snapshot part with half a record", "0a 0019 bbbbbbbb 0000000000000008 0000000000000010 0002 0003 02"},
	} {
		// A good message before it must not take effect either.
		plaintext := append(Forget{ID: 1}.Append(nil), unhex(t, tt.b)...)
		ms, ok := ParseMessages(plaintext)
		if ok {
			t.Errorf("%s: well formed", tt.name)
		}
		for m := range ms.All() {
			t.Errorf("%s: has a message of type %d", tt.name, m.Type)
		}
	}
}

// A body one byte too short for its type, and every truncation of a datagram
// inside its last message, is malformed.
func TestTruncatedMessages(t *testing.T) {
	for _, tt := range wireTests {
		b := unhex(t, tt.want)
		for n := 1; n < len(b); n++ {
			if _, ok := ParseMessages(b[:n]); ok {
				t.Errorf("%s: cut to %d bytes it is well formed", tt.name, n)
			}
		}
		short := bytes.Clone(b[:messageHeaderLen+minBodyLen[b[0]]-1])
		short[1], short[2] = 0, byte(len(short)-messageHeaderLen)
		if _, ok := ParseMessages(short); ok {
			t.Errorf("%s: with a body of %d bytes it is well formed", tt.name, len(short)-messageHeaderLen)
		}
	}
	if _, ok := ParseMessages(nil); !ok {
		t.Error("a datagram without messages is well formed")
	}
}

func TestIsFor(t *testing.T) {
	for _, tt := range wireTests {
		ms, _ := ParseMessages(unhex(t, tt.want))
		// A message for all has no To.
		addressed := reflect.ValueOf(tt.m).FieldByName("To").IsValid()
		for m := range ms.All() {
			if !m.IsFor(toB) {
				t.Errorf("%s is not for its addressee", tt.name)
			}
			if got := m.IsFor(ShortID{0xcc}); got == addressed {
				t.Errorf("%s is for others: %v, want %v", tt.name, got, !addressed)
			}
		}
	}
}

func TestMessageTooLongPanics(t *testing.T) {
	defer func() {
		if got, _ := recover().(string); !strings.Contains(got, "longer than a datagram") {
			t.Errorf("panic %q", got)
		}
	}()
	Batch{Records: make(Records, 1<<16)}.Append(nil)
}
