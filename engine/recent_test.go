package engine

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"reprise/tlsconn"
)

// A client's last handshakes are kept, however often another one comes.
func TestRecentHandshakes(t *testing.T) {
	r, now := newRecent(), time.Unix(1_700_000_000, 0)
	client := func(i uint32) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 10<<24+i)))
	}
	add := func(c netip.Addr, o tlsconn.Outcome) {
		now = now.Add(time.Millisecond)
		r.add(&Handshake{At: now, Client: c, Outcome: o})
	}
	quiet := client(0)
	add(quiet, tlsconn.NewClient)
	add(quiet, tlsconn.ResumedPulled)
	flooder := client(1)
	for i := uint32(2); r.set(flooder) == r.set(quiet); i++ {
		flooder = client(i)
	}
	for range 100_000 {
		add(flooder, tlsconn.NewClient)
	}
	if got := r.of(quiet, nil); len(got) != 2 || got[0].Outcome != tlsconn.NewClient ||
		got[1].Outcome != tlsconn.ResumedPulled {
		t.Errorf("of the quiet client there is %+v", got)
	}
	if got := r.of(flooder, nil); len(got) != recentLen ||
		now.Sub(got[0].At) > recentLen*time.Millisecond {
		t.Errorf("of the other one there are %d, want its last %d", len(got), recentLen)
	}
	if got := r.of(client(1<<20), nil); len(got) != 0 {
		t.Errorf("of a client that was never here there is %+v", got)
	}
}

func TestRememberingAllocatesNothing(t *testing.T) {
	r, now := newRecent(), time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		r.add(&Handshake{At: now, Client: netip.AddrFrom4([4]byte{10, 0, 0, 1}), ServerName: "www.example.com"})
	}); n != 0 {
		t.Errorf("%v allocations for a handshake", n)
	}
}
