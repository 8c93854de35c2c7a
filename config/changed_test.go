package config

import (
	"slices"
	"strings"
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
	if got := was.NeedsRestart(is); len(got) != 0 {
		t.Errorf("%q", got)
	}
	want := []string{"https", "sni", "http2", "http-to"}
	if got := was.Changed(is); !slices.Equal(got, want) {
		t.Errorf("changed %q, want %q", got, want)
	}
	fixed := parse("https = :8443,cert.pem,key.pem\nhttps = :8444,cert.pem,key.pem\nhttp-to = 127.0.0.1:1\nadmin = :1\nloops = 3\ncpu-affinity\nmemory-limit = 7g\n")
	want = []string{"admin: was not set, is :1", "http-processes: was " + cores + ", is 3", "cpu-affinity: was false, is true"}
	if got := was.NeedsRestart(fixed); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := was.Changed(fixed); !slices.Equal(got, []string{"memory-limit"}) {
		t.Errorf("changed %q", got)
	}
}

// TestRestartOptions: the names listed as needing a restart are options.
func TestRestartOptions(t *testing.T) {
	for _, name := range slices.Concat(restartOptions, taken) {
		if o := optionsByName[name]; o == nil || o.name != name {
			t.Errorf("no option %q", name)
		}
	}
}

// TestSameClients: another client CA, or another name with it, is seen.
func TestSameClients(t *testing.T) {
	inPKI(t)
	was := mustParse(t, good+"sni = a.example cert.pem,key.pem,,!ca.pem\nsslrouter-use-pool = p sni=a.example\nsslrouter-pool = p to=:1\n")
	for text, same := range map[string]bool{
		"sni = a.example cert.pem,key.pem,,!ca.pem\nsslrouter-use-pool = p sni=a.example\nsslrouter-pool = p to=:2\n":                                                           true,
		"sni = a.example cert.pem,key.pem,,ca.pem\nsslrouter-use-pool = p sni=a.example\nsslrouter-pool = p to=:1\n":                                                            false,
		"sni = a.example cert.pem,key.pem,,!ca.pem\nsslrouter-use-pool = p sni=a.example\nsslrouter-pool = p to=:1\nsni = b.example cert.pem,key.pem\nhttp = :81\nhttp-to = :1": true,
		"sni = a.example cert.pem,key.pem,,!ca.pem\nsslrouter-use-pool = q sni=a.example\nsslrouter-pool = q to=:1\n":                                                           false,
		"sni = a.example cert.pem,key.pem\n": false,
		"":                                   false,
	} {
		now := mustParse(t, good+text)
		if got := was.SameClients(now); got != same {
			t.Errorf("%q: the same is %v", text, got)
		}
		if strings.Contains(text, "http = ") && now.SameClients(was) {
			t.Error("a listener that goes is not seen")
		}
	}
}
