package wire

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"time"
)

// A MemberState is the state of a member.
type MemberState uint8

// The states.
const (
	MemberHeard  MemberState = 0 // the sender is in contact with it
	MemberSilent MemberState = 1 // it was in contact, and may still have sessions
	MemberEnded  MemberState = 2 // it has left, and has no sessions any more
)

// A Member is a node that another one knows, and its address.
type Member struct {
	ID    ShortID
	Addr  netip.AddrPort
	State MemberState // perhaps of a later version
	// Left is how long it may have sessions if it stays silent.
	Left time.Duration // whole milliseconds
	// Instance names the installation. It is zero if that name is not unique: then a later life
	// does not show that this one has ended.
	Instance Instance
}

// MemberLen is the length of a member in a [MemberList].
const MemberLen = 4 + 16 + 2 + 1 + 4 + 16

// MemberList is members in wire form.
type MemberList []byte

// Append returns ms with m behind.
func (ms MemberList) Append(m Member) MemberList {
	ip := m.Addr.Addr().As16()
	ms = append(append(ms, m.ID[:]...), ip[:]...)
	ms = binary.BigEndian.AppendUint16(ms, m.Addr.Port())
	ms = appendDuration(append(ms, byte(m.State)), m.Left, time.Millisecond)
	return append(ms, m.Instance[:]...)
}

// All yields the members in order.
func (ms MemberList) All() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for rest := ms; len(rest) >= MemberLen; rest = rest[MemberLen:] {
			ip := netip.AddrFrom16([16]byte(rest[4:])).Unmap()
			if !yield(Member{
				ID: ShortID(rest), Addr: netip.AddrPortFrom(ip, binary.BigEndian.Uint16(rest[20:])),
				State: MemberState(rest[22]),
				Left:  parseDuration(rest[23:], time.Millisecond), Instance: Instance(rest[27:]),
			}) {
				return
			}
		}
	}
}

// Members lists the nodes that its sender knows.
type Members struct {
	To   ShortID
	List MemberList
}

// Append appends the message to b.
func (m Members) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeMembers, m.To)
	return EndMessage(append(b, m.List...), start)
}

// Members returns the message's contents.
func (m Message) Members() Members { return Members{ShortID(m.body), m.body[4:]} }

// Leave says that its sender ends, and its memory with it.
type Leave struct{ To ShortID }

// Append appends the message to b.
func (m Leave) Append(b []byte) []byte {
	b, start := beginMessage(b, TypeLeave, m.To)
	return EndMessage(b, start)
}

// Leave returns the message's contents.
func (m Message) Leave() Leave { return Leave{ShortID(m.body)} }
