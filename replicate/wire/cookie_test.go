package wire

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCookie(t *testing.T) {
	const epoch = 10 * time.Second
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:7171"), netip.MustParseAddrPort("[2001:db8::1]:7171")
	j := &CookieJar{mac: NewMAC(bytes.Repeat([]byte("j"), 32)), epoch: epoch}
	at := 35 * time.Second // epoch 3
	for addr, want := range map[netip.AddrPort]string{v4: "593eb8b75533131a3fffa09e8ac8e0a8", v6: "c81c280dee56462e6132b867df5f965d"} {
		if got := j.Make(at, addr); got != Cookie(unhex(t, want)) {
			t.Errorf("%v: got %x, want %v", addr, got, want)
		}
	}
	c := j.Make(at, v4)
	for _, tt := range []struct {
		name string
		jar  *CookieJar
		at   time.Duration
		addr netip.AddrPort
		want bool
	}{
		{"at once", j, at, v4, true},
		{"in the next epoch", j, 49 * time.Second, v4, true},
		{"in the one after", j, 50 * time.Second, v4, false},
		{"in the one before", j, 29 * time.Second, v4, false},
		{"another port", j, at, netip.AddrPortFrom(v4.Addr(), 7172), false},
		{"another address", j, at, netip.MustParseAddrPort("192.0.2.2:7171"), false},
		{"another repeater", NewCookieJar(epoch), at, v4, false},
	} {
		if got := tt.jar.IsGood(tt.at, tt.addr, c); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	if j.IsGood(at, v4, Cookie{}) {
		t.Error("no cookie is a good one")
	}
}
