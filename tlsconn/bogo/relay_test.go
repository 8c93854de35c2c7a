package main

import (
	"io"
	"net"
	"testing"
)

func TestAlertWatchSeesFatalAlertsInClear(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   string
		want byte
	}{
		{"fatal", "\x15\x03\x03\x00\x02\x02\x28", 40},
		{"warning", "\x15\x03\x03\x00\x02\x01\x00", 0},
		{"encrypted", "\x15\x03\x03\x00\x04\x02\x28\x00\x00", 0},
		{"after another record", "\x16\x03\x03\x00\x01\xff\x15\x03\x03\x00\x02\x02\x46", 70},
		{"cut short", "\x15\x03\x03\x00\x02\x02", 0},
	} {
		var whole, single alertWatch
		whole.see([]byte(tc.in))
		for i := range len(tc.in) {
			single.see([]byte(tc.in[i : i+1]))
		}
		if whole.fatal != tc.want || single.fatal != tc.want {
			t.Errorf("%s: got %d and, byte by byte, %d, want %d", tc.name, whole.fatal, single.fatal, tc.want)
		}
	}
}

func TestBackendsBehave(t *testing.T) {
	for b, want := range map[behaviour]string{echoes: "\x9e", greets: "hello\x9e", closesFirst: ""} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go serveBackend(l, b)
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, "a")
		_ = c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != want {
			t.Errorf("a backend that %s: got %q, %v, want %q", b, got, err, want)
		}
	}
}

func TestWishRefusesWhatTheProgramCannotDo(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    options
		want string
	}{
		{"plain", options{}, ""},
		{"preferences", options{fallback: credential{signingPrefs: []uint16{1}}}, "signature algorithms"},
		{"time", options{delay: 1}, "time that passes"},
		{"keying material", options{exportLen: 1}, "exported keying material"},
		{"suites that it does not have", options{suites: "TLS_RSA_WITH_AES_128_CBC_SHA"}, "suites TLS_RSA_WITH_AES_128_CBC_SHA"},
	} {
		_, err := tc.o.wish(&tc.o)
		got := ""
		if cause, ok := err.(unimplemented); ok { //nolint:errorlint // returned as is
			got = string(cause)
		}
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
