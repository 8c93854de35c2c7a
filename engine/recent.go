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
	// recentSets and recentLen are how much a loop remembers: clients share sets by their
	// addresses, so one that comes often takes the room of few others. About 0.7 MB.
	recentSets = 1024
	recentLen  = 8
)

// A Handshake is what a loop remembers of one.
type Handshake struct {
	At         time.Time
	Client     netip.Addr
	ServerName string
	Version    uint16 // 0 if it failed before one was agreed upon
	Outcome    tlsconn.Outcome
	Offered    tlsconn.NodeID // who made the session that was offered, 0 if it is not known
	Asked      bool           // others were asked for it
	Took       time.Duration  // from accept
	Failed     string         // why, if it did
}

// recent is the last handshakes of a loop, for [Engine.Recent].
type recent struct {
	mu   sync.Mutex // held by the loop for some instructions, and by who reads, a set at a time
	seed maphash.Seed
	sets [][recentLen]Handshake
}

func newRecent() *recent {
	return &recent{seed: maphash.MakeSeed(), sets: make([][recentLen]Handshake, recentSets)}
}

// set is the one that a client's handshakes are in: nobody else can choose it.
func (r *recent) set(client netip.Addr) *[recentLen]Handshake {
	b := client.As16()
	return &r.sets[maphash.Bytes(r.seed, b[:])%recentSets]
}

// add remembers a handshake in place of the oldest of its set.
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

// of appends what there is of a client.
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

// Recent returns what the loops remember of a client's handshakes, the last first: those of
// many clients, but not all. Any goroutine may call it.
func (e *Engine) Recent(client netip.Addr) (list []Handshake) {
	for _, l := range e.loops {
		list = l.recent.of(client.Unmap(), list)
	}
	slices.SortFunc(list, func(a, b Handshake) int { return b.At.Compare(a.At) })
	return list
}

// remember notes how the flow's handshake has ended; failed says why, if it has failed.
func (f *flow) remember(failed string) {
	if !f.peer.IsValid() {
		return // by a unix socket, and without a PROXY header
	}
	info := f.tls.Info()
	f.loop.recent.add(&Handshake{
		At: f.loop.now, Client: f.peer.Addr().Unmap(),
		ServerName: info.ServerName[:min(len(info.ServerName), maxToldName)],
		Version:    info.Version, Outcome: info.Outcome, Offered: info.Offered, Asked: info.Asked,
		Took: f.loop.now.Sub(f.loop.timeOf(f.began)), Failed: failed,
	})
}
