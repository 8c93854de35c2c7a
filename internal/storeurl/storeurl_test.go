package storeurl

import (
	"crypto/x509"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reprise/internal/testpki"
)

func TestParseLocation(t *testing.T) {
	for url, want := range map[string]Location{
		"redis://cache":                          {Scheme: "redis", Hosts: []string{"cache:6379"}},
		"redis://cache:7000/3":                   {Scheme: "redis", Hosts: []string{"cache:7000"}, DB: 3},
		"redis://cache/":                         {Scheme: "redis", Hosts: []string{"cache:6379"}},
		"redis://:p%40ss@[::1]:7000":             {Scheme: "redis", Hosts: []string{"[::1]:7000"}, Password: "p@ss"},
		"redis://[::1]":                          {Scheme: "redis", Hosts: []string{"[::1]:6379"}},
		"redis://eve:a/b:c?d@e@one,two:7001/0":   {Scheme: "redis", Hosts: []string{"one:6379", "two:7001"}, User: "eve", Password: "a/b:c?d@e"},
		"rediss://eve:secret@cache":              {Scheme: "rediss", Hosts: []string{"cache:6379"}, User: "eve", Password: "secret"},
		"memcached://one,two:11212,192.0.2.1:99": {Scheme: "memcached", Hosts: []string{"one:11211", "two:11212", "192.0.2.1:99"}},
	} {
		got, err := Parse(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if (got.TLS != nil) != (want.Scheme == "rediss") {
			t.Errorf("%s: TLS %v", url, got.TLS)
		}
		if got.Scheme != want.Scheme || got.User != want.User || got.Password != want.Password ||
			got.DB != want.DB || !slices.Equal(got.Hosts, want.Hosts) {
			t.Errorf("%s: got %+v, want %+v", url, got, want)
		}
	}
}

func TestLocationErrors(t *testing.T) {
	for url, want := range map[string]string{
		"":                                 "not a URL",
		"cache:6379":                       "not a URL",
		"http://cache":                     "unknown scheme",
		"redis://":                         "host 1 is empty",
		"redis://one,":                     "host 2 is empty",
		"redis://one:port":                 "host 1 has no port",
		"redis://one:1:2":                  "host 1 is not host:port",
		"redis://::1":                      "[host]:port for IPv6",
		"redis://]0":                       "host 1 is not host:port",
		"redis://one:0":                    "host 1 has no port",
		"redis://one:70000":                "host 1 has no port",
		"redis://one two":                  "host 1 contains white space",
		"redis://one/x":                    "database is not a number",
		"redis://one/-1":                   "database is not a number",
		"redis://one,two/1":                "only database 0",
		"redis://one?timeout=1":            `unknown option "timeout"`,
		"redis://one?ca=x":                 "only rediss:// takes a ca",
		"rediss://one?ca=/does/not/exist":  "no such file",
		"rediss://one?ca=storeurl_test.go": "no certificate in storeurl_test.go",
		"redis://eve@one":                  "user without a password",
		"redis://:hun%ter2@one":            "must be written %25",
		"memcached://eve:hunter2@one":      "no user and password",
		"memcached://one/1":                "no numbered databases",
	} {
		_, err := Parse(url)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", url, err, want)
		}
	}
}

// An unescaped or misplaced password is the likeliest mistake, and the error for it
// goes to a log.
func TestLocationErrorsHideThePassword(t *testing.T) {
	for _, url := range []string{
		"redis://:hunter2", "redis://eve:hunter2", "hunter2", "redis:/eve:hunter2@one", "redis://eve:hunter2@one:x",
		"redis://eve:hunter2/3@one:x", "redis://eve:hunter2@x@one:x", "redis://eve:%hunter2@one", "redis://one?password=hunter2",
		"memcached://eve:hunter2@one", "redis://eve:hunter2@one/hunter2", "hunter2://one",
	} {
		if _, err := Parse(url); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestLocationVerifiesAgainstCA(t *testing.T) {
	pki := testpki.New(t)
	l, err := Parse("rediss://one?ca=" + pki.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if l.TLS.InsecureSkipVerify || !l.TLS.RootCAs.Equal(pki.CA.Pool()) ||
		l.TLS.RootCAs.Equal(x509.NewCertPool()) {
		t.Errorf("%s is not what is verified against", filepath.Base(pki.CAFile))
	}
}

func FuzzParseLocation(f *testing.F) {
	f.Add("redis://eve:secret@one:1,[::1]:2/0?cb=x")
	f.Add("memcached://one:1,two")
	f.Add("rediss://:%41@one/7")
	f.Fuzz(func(t *testing.T, url string) {
		if strings.Contains(url, "ca=") {
			t.Skip("reads a file")
		}
		l, err := Parse(url)
		if err != nil {
			return
		}
		again, err := Parse(l.String())
		if err != nil || !slices.Equal(again.Hosts, l.Hosts) {
			t.Errorf("%q becomes %q, which becomes %v, %v", url, l, again.Hosts, err)
		}
	})
}
