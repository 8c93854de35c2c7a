package config

import (
	"slices"
	"testing"
)

// TestNeedsRestart: what a running node cannot take over is named.
func TestNeedsRestart(t *testing.T) {
	inPKI(t)
	parse := func(text string) *Config {
		t.Helper()
		return mustParse(t, "[reprise]\n"+text)
	}
	was := parse("https = :8443,cert.pem,key.pem\nhttps = :8444,cert.pem,key.pem\nhttp-to = 127.0.0.1:1\n")
	is := parse("https = :8443,rsa.pem,rsa-key.pem\nhttps = :8445,cert.pem,key.pem\nhttp-to = 127.0.0.1:2\nsni = a.example cert.pem,key.pem\nhttp2 = false\n")
	want := []string{"http-to: was 127.0.0.1:1, is 127.0.0.1:2", "http at :8445: added", "http at :8444: removed"}
	if got := was.NeedsRestart(is); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
