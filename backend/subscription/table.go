package subscription

import (
	"cmp"
	"crypto"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"reprise/internal/metric"
)

// Options say which subscribers are accepted, and how many.
type Options struct {
	// Tolerance is how long a member is kept without a new announcement.
	Tolerance time.Duration
	// From are the networks whose packets need no signature. They are ignored if Key is set.
	From []netip.Prefix
	// Key finds the public key of a domain as written in the packet, which is hostile. It is called
	// for each packet. If nil, packets need no signature, and signatures are not checked.
	Key func(domain []byte) (crypto.PublicKey, error)
	// Digest is the hash of signatures.
	Digest crypto.Hash
	// Own reports whether an address belongs to this process: a request sent there would return for
	// ever, or reach the admin interface. nil means that none does.
	Own func(network, address string) bool
	// Sockets are the directories, in clean form, in which unix sockets may be members. Other
	// sockets on a machine are open to this process and not to a subscriber: a database's, a
	// container engine's.
	Sockets []string
	// KeyTolerance is how old a signed packet may be.
	KeyTolerance time.Duration
	// Members bounds the members of all hosts, HostMembers those of one, each including signed ones
	// that left less than KeyTolerance ago.
	Members, HostMembers int
}

// A Refusal is the reason why a packet has no effect.
type Refusal uint8

const (
	Accepted         Refusal = iota
	RefusedPacket            // not a packet of this protocol, or ambiguous
	RefusedNetwork           // unsigned, and not from an allowed network
	RefusedSignature         // unsigned, for an unknown domain, or signed with another key
	RefusedReplay            // signed, but repeated, too old, or from the future
	RefusedKey               // not a host
	RefusedAddress           // not an address to connect to
	RefusedModifier          // not a WSGI application
	RefusedFull              // too many members
	refusals
)

var refusalNames = [refusals]string{
	"accepted", "packet", "network", "signature", "replay", "key", "address", "modifier", "full",
}

// Names implements metric.Key.
func (Refusal) Names() []string { return refusalNames[:] }

func (r Refusal) String() string { return refusalNames[r] }

// A Change is the effect of a packet, or of time, on the members of a host.
type Change struct {
	Kind   Kind
	Member Member
}

// A Kind is a kind of Change.
type Kind uint8

const (
	Joined     Kind = iota
	Left            // it unsubscribed
	Expired         // it was silent for too long
	Reweighted      // Weight has changed
)

func (k Kind) String() string { return [...]string{"joined", "left", "expired", "reweighted"}[k] }

// A Table is the set of subscribers. It belongs to one goroutine, except for Stats.
type Table struct {
	o       Options
	members map[id]*entry
	hosts   map[string]int // number of members of each

	counts Stats
}

// entry is a member, or what is kept of one that left so that its packets cannot be replayed.
type entry struct {
	Member
	present bool
	heard   time.Time
	unix    uint64 // of its last signed packet; 0 without
}

// New makes a table.
func New(o Options) *Table {
	return &Table{o: o, members: make(map[id]*entry), hosts: make(map[string]int)}
}

// Receive handles a datagram and returns what it changed: nothing if it was refused or only renews
// a member.
func (t *Table) Receive(now time.Time, from netip.AddrPort, datagram []byte) ([]Change, Refusal) {
	t.counts.Packets.Inc()
	changes, why := t.receive(now, from, datagram)
	t.counts.Results.Inc(why)
	return changes, why
}

func (t *Table) receive(now time.Time, from netip.AddrPort, datagram []byte) ([]Change, Refusal) {
	var p Packet
	if p.Parse(datagram) != nil {
		return nil, RefusedPacket
	}
	sender := from.Addr().Unmap()
	if t.o.Key == nil && !t.listed(sender) {
		return nil, RefusedNetwork
	}
	m, why := p.member(sender, t.o.Key != nil)
	if why != Accepted {
		return nil, why
	}
	if !t.usable(&m) {
		return nil, RefusedAddress
	}
	known := t.members[m.id()]
	if t.o.Key != nil {
		if why := t.authenticate(&p, known, now); why != Accepted {
			return nil, why
		}
	}
	if p.Leave {
		return t.leave(known, m, &p)
	}
	return t.join(known, m, &p, now)
}

func (t *Table) listed(from netip.Addr) bool {
	return slices.ContainsFunc(t.o.From, func(p netip.Prefix) bool { return p.Contains(from) })
}

// authenticate makes the cheap checks first: any host can send packets at any rate.
func (t *Table) authenticate(p *Packet, known *entry, now time.Time) Refusal {
	if p.Sign == nil {
		return RefusedSignature
	}
	if known != nil && p.Unix <= known.unix || int64(p.Unix) < now.Add(-t.o.KeyTolerance).Unix() {
		return RefusedReplay
	}
	// It would stay valid, and block its sender until the clocks have reached its time.
	if int64(p.Unix) > now.Add(t.o.KeyTolerance).Unix() {
		return RefusedReplay
	}
	key, err := t.o.Key(p.Key)
	if err != nil || !verify(key, t.o.Digest, p.Signed, p.Sign) {
		return RefusedSignature
	}
	return Accepted
}

// leave removes a member. If the member is unknown, perhaps because this table is newer, its packet
// is remembered all the same, or an earlier signed packet would bring it back.
func (t *Table) leave(known *entry, m Member, p *Packet) ([]Change, Refusal) {
	e := known
	if e == nil && t.o.Key == nil {
		return nil, Accepted
	}
	if e == nil {
		if e = t.add(m); e == nil {
			return nil, RefusedFull
		}
	}
	if t.o.Key != nil {
		e.unix = p.Unix
	}
	if !e.present {
		return nil, Accepted
	}
	return []Change{t.remove(e, Left)}, Accepted
}

// add makes an entry for a member that is not present yet, nil if there are too many.
func (t *Table) add(m Member) *entry {
	if len(t.members) >= t.o.Members || t.hosts[m.Host] >= t.o.HostMembers {
		return nil
	}
	e := &entry{Member: m}
	t.members[m.id()] = e
	t.hosts[m.Host]++
	return e
}

// forget deletes an entry.
func (t *Table) forget(e *entry) {
	delete(t.members, e.id())
	if t.hosts[e.Host]--; t.hosts[e.Host] == 0 {
		delete(t.hosts, e.Host)
	}
}

func (t *Table) join(known *entry, m Member, p *Packet,
	now time.Time,
) (changes []Change, why Refusal) {
	e := known
	if e == nil {
		if e = t.add(m); e == nil {
			return nil, RefusedFull
		}
	}
	switch old := e.Member; {
	case e.present && (old.HTTP != m.HTTP || old.Backup != m.Backup || old.Network != m.Network):
		changes = []Change{{Left, old}, {Joined, m}}
	case e.present && old.Weight != m.Weight:
		changes = []Change{{Reweighted, m}}
	case !e.present:
		changes = []Change{{Joined, m}}
		e.present = true
		t.counts.Members.Inc()
	}
	e.Member, e.heard = m, now
	if t.o.Key != nil {
		e.unix = p.Unix
	}
	return changes, Accepted
}

// remove takes a member out. Its last signed time is remembered for as long as its packets could be
// replayed.
func (t *Table) remove(e *entry, kind Kind) Change {
	e.present = false
	t.counts.Members.Dec()
	if e.unix == 0 {
		t.forget(e)
	}
	return Change{kind, e.Member}
}

// Expire removes members that were silent for too long, in the order of their hosts and addresses.
// It must be called about every second.
func (t *Table) Expire(now time.Time) (changes []Change) {
	for _, e := range t.members {
		switch {
		case e.present && now.Sub(e.heard) > t.o.Tolerance:
			t.counts.Expired.Inc()
			changes = append(changes, t.remove(e, Expired))
		case !e.present && int64(e.unix) < now.Add(-t.o.KeyTolerance).Unix():
			t.forget(e)
		}
	}
	sortChanges(changes)
	return changes
}

// Known is what a table knows of a member, or of one that signed and has left, for the table of a
// process that takes over.
type Known struct {
	Member
	Present bool
	Silent  time.Duration // since its last packet
	Unix    uint64        // of its last signed packet; 0 without
}

// Known returns all that the table knows.
func (t *Table) Known(now time.Time) []Known {
	list := make([]Known, 0, len(t.members))
	for _, e := range t.members {
		list = append(list, Known{e.Member, e.present, now.Sub(e.heard), e.unix})
	}
	return list
}

// Take copies the members of another table, as they were a while ago, into this one, which must be
// empty, and returns the present ones. Whatever this table would refuse in a packet it refuses here
// too, except by the sender's network, which is unknown: members from a network no longer allowed
// expire after Tolerance.
func (t *Table) Take(list []Known, passed time.Duration, now time.Time) (changes []Change) {
	for _, k := range list {
		silent := k.Silent + passed
		switch {
		case t.o.Key != nil && k.Unix == 0, t.members[k.id()] != nil, !t.usable(&k.Member):
			continue
		case k.Present && silent > t.o.Tolerance:
			k.Present = false
		}
		if t.o.Key == nil {
			k.Unix = 0
		}
		if !k.Present && k.Unix == 0 {
			continue
		}
		e := t.add(k.Member)
		if e == nil {
			continue
		}
		e.present, e.heard, e.unix = k.Present, now.Add(-silent), k.Unix
		if e.present {
			t.counts.Members.Inc()
			changes = append(changes, Change{Joined, e.Member})
		}
	}
	sortChanges(changes)
	return changes
}

// sortChanges sorts by hosts and addresses.
func sortChanges(changes []Change) {
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Member.Host, b.Member.Host),
			cmp.Compare(a.Member.Address, b.Member.Address))
	})
}

// usable reports whether the member's address is one to connect to here.
func (t *Table) usable(m *Member) bool {
	if m.Network == "unix" && !t.mayBeSocket(m.Address) {
		return false
	}
	return t.o.Own == nil || !t.o.Own(m.Network, m.Address)
}

// mayBeSocket reports whether a path is an allowed member's. A path with "..", "." or "//" in it
// may lead anywhere.
func (t *Table) mayBeSocket(path string) bool {
	return filepath.Clean(path) == path && slices.ContainsFunc(t.o.Sockets, func(dir string) bool {
		return len(path) > len(dir) && path[:len(dir)] == dir && path[len(dir)] == '/'
	})
}

// Stats are a table's statistics.
type Stats struct {
	Packets metric.Counter           `json:"packets" help:"Subscription packets received."`
	Results metric.Counters[Refusal] `json:"results" label:"result" help:"Subscription packets, by what became of them."`
	Members metric.Gauge             `json:"members" help:"Backends that have subscribed."`
	Expired metric.Counter           `json:"expired" help:"Backends dropped because they did not announce themselves any more."`
}

// Stats may be called from any goroutine.
func (t *Table) Stats() *Stats { return &t.counts }
