package engine

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"reprise/tlsconn"
)

const (
	// recentSets and recentLen bound a loop's record: clients share sets by their addresses, so a
	// frequent one displaces few others. About 0.7 MB.
	recentSets = 1024
	recentLen  = 8
)

// A Handshake is a loop's record of one handshake.
type Handshake struct {
	At         time.Time
	Client     netip.Addr
	ServerName string
	Version    uint16 // 0 if it failed before one was agreed on
	Outcome    tlsconn.Outcome
	Offered    tlsconn.NodeID // the node that made the session offered, 0 if unknown
	Asked      bool           // other nodes were asked for it
	Took       time.Duration  // from accept
	Failed     string         // the reason, if it failed
}

// recent are the last handshakes of a loop, for [Engine.Recent].
type recent struct {
	mu   sync.Mutex // held by the loop for some instructions, and by readers, a set at a time
	seed maphash.Seed
	sets [][recentLen]Handshake
}

func newRecent() *recent {
	return &recent{seed: maphash.MakeSeed(), sets: make([][recentLen]Handshake, recentSets)}
}

// set is the set for a client's handshakes: another client cannot choose it.
func (r *recent) set(client netip.Addr) *[recentLen]Handshake {
	b := client.As16()
	return &r.sets[maphash.Bytes(r.seed, b[:])%recentSets]
}

// add records a handshake in place of the oldest of its set.
func (r *recent) add(h *Handshake) {
	set := r.set(h.Client)
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := &set[0]
	for i := range set {
		if set[i].At.Before(oldest.At) {
			oldest = &set[i]
		}
	}
	*oldest = *h
}

// of appends the records of a client.
func (r *recent) of(client netip.Addr, list []Handshake) []Handshake {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.set(client) {
		if h.Client == client && !h.At.IsZero() {
			list = append(list, h)
		}
	}
	return list
}

// Recent returns the loops' records of a client's handshakes, the last first: records of many
// clients are kept, but not of all. Any goroutine may call it.
func (e *Engine) Recent(client netip.Addr) (list []Handshake) {
	for _, l := range e.loops {
		list = l.recent.of(client.Unmap(), list)
	}
	slices.SortFunc(list, func(a, b Handshake) int { return b.At.Compare(a.At) })
	return list
}

// remember records the end of the flow's handshake; failed is the reason, if it failed.
func (f *flow) remember(failed string) {
	if !f.peer.IsValid() {
		return // from a unix socket, without a PROXY header
	}
	info := f.tls.Info()
	f.loop.recent.add(&Handshake{
		At: f.loop.now, Client: f.peer.Addr().Unmap(),
		ServerName: info.ServerName[:min(len(info.ServerName), maxToldName)],
		Version:    info.Version, Outcome: info.Outcome, Offered: info.Offered, Asked: info.Asked,
		Took: f.loop.now.Sub(f.loop.timeOf(f.began)), Failed: failed,
	})
}
