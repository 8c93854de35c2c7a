package repeater

import (
	"net/netip"
	"testing"
	"time"

	"reprise/replicate/wire"
)

// Whoever has recorded a header sends it again and again from a subscriber's forged
// address, with any body.
func TestRecordedIntroductionIsNotMultiplied(t *testing.T) {
	const listeners = 20
	r := newTestRepeater(t, Options{})
	other := func(i int) netip.AddrPort { return netip.AddrPortFrom(addrB.Addr(), uint16(8000+i)) }
	r.Repeater.subscribe(0, r.outlets[0], addrA)
	for i := range listeners {
		r.Repeater.subscribe(0, r.outlets[0], other(i))
	}
	c := wire.NewChecker(clusterKey(t, 1))
	retry := func(number uint64) []byte {
		h := wire.Header{Kind: wire.KindSealed, Sender: wire.ShortID{1}, Counter: number}
		return wire.AppendRetry(nil, c, wire.ShortID{9}, h, wire.Cookie{})
	}
	recorded, now, out := retry(77), time.Duration(0), 0
	for i := range 5000 {
		now += time.Millisecond / 5
		d := append([]byte(nil), recorded...)
		d[wire.HeaderLen+i%(len(d)-wire.HeaderLen)] ^= byte(i%255 + 1)
		out += len(r.give(now, addrA, d))
	}
	if out != 0 {
		t.Errorf("%d datagrams went out for a recorded header with other bodies", out)
	}
	for range 5000 {
		now += time.Millisecond / 5
		out += len(r.give(now, addrA, recorded))
	}
	if want := introductionTries * listeners; out != want {
		t.Errorf("%d datagrams went out for one that was recorded, want %d", out, want)
	}
	if n := len(r.give(now, addrA, append(retry(78), make([]byte, 1100)...))); n != 0 {
		t.Errorf("a retry with garbage behind it went to %d", n)
	}
	for i := range uint64(2 * introductionsLen) { // what is used up is addrA's
		r.give(now, addrA, retry(100+i))
	}
	if n := len(r.give(now, addrA, retry(1000))); n != 0 {
		t.Errorf("beyond the subscriber's budget: to %d", n)
	}
	if n := len(r.give(now, other(0), retry(1001))); n != listeners {
		t.Errorf("another subscriber's introduction of the same sender went to %d, want %d", n, listeners)
	}
}
