package hitch

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzHitch feeds files. None may panic, and each gives entries or an error with its line.
func FuzzHitch(f *testing.F) {
	for _, text := range []string{
		"pem-file = \"a.pem\"",
		"frontend = { host = \"*\" port = \"443\" } # here\nbackend = \"[::1]:80\"\nworkers = 4 backlog = 10",
		"frontend = \"[::1]:8444+b.pem\"\nciphers = \"HIGH\"\nclient-verify = optional",
		"tls-protos = TLSv1.2 TLSv1.3\nshared-cache-peer = \"h,1\"\nproxy-proxy = on",
	} {
		f.Add([]byte(text))
	}
	f.Add([]byte("frontend = { port = \"1\" pem-file = \"x\" } \"\" = {} # \" \n,,a=b c d=e"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := readKeys("hitch.conf", data)
		if err != nil && !strings.HasPrefix(err.Error(), "hitch.conf:") {
			t.Fatalf("an error without its line: %v", err)
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, k := range keys {
			if k.line < 1 || k.line > lines || k.name == "" || utf8.Valid(data) &&
				!bytes.Contains(data, []byte(k.name)) {
				t.Fatalf("got %+v of %d lines", k, lines)
			}
			if k.name == "pem-dir" { // it would be read
				return
			}
		}
		for _, e := range Parse("hitch.conf", data, false).Entries {
			if e.Option == "" || !e.Literal || e.File != "hitch.conf" || e.Line < 1 {
				t.Fatalf("got %+v", e)
			}
		}
	})
}
