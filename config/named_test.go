package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// namedPools has pools of two routers, what leads to them and what they share.
const namedPools = `http = :80
https = :443,cert.pem,key.pem
http-pool = api to=http://a:1,weight=2
http-pool = api   balance = source
http-pool = api	backend_connections=5
http-pool = api to=unix:/run/app,max-connections=7
http-pool = api send-proxy
http-pool = static to=b:2
http-to = c:3
http-use-pool = api host=API.example.com.,path=/v1/
http-use-pool = static path=/static
http-use-pool = static sni=*.example.com,host=[2001:db8::0001]
http-use-pool = default host=api.example.com, path = /v1/old
http-balance = least-connections
http-connect-timeout = 7s
http-check = tcp
rawrouter = :2
rawrouter-pool = api to=d:4
rawrouter-use-pool = api sni=x.example.com
`

// A pool has what was written for it, and else what its family's default pool has, wherever that is
// written.
func TestNamedPools(t *testing.T) {
	inPKI(t)
	c := mustParse(t, good+namedPools)
	if want := `edge.ini:10: http-pool = "api send-proxy": uwsgi backends get no header: their variables name the client`; !slices.Equal(c.Warnings, []string{want}) {
		t.Errorf("got warnings %q, want %q", c.Warnings, want)
	}
	api := NamedPool{HTTPRouter, "api", *c.PoolOf(HTTPRouter)}
	api.Backends = []Backend{
		{Text: "http://a:1", Addr: Address{Network: "tcp", Host: "a", Port: 1}, Protocol: HTTP, Weight: 2, MaxConns: 5},
		{Text: "unix:/run/app", Addr: Address{Network: "unix", Path: "/run/app"}, Protocol: UWSGI, Weight: 1, MaxConns: 7},
	}
	api.Balance, api.MaxConns, api.SendProxy = Source, 5, 2
	static := NamedPool{HTTPRouter, "static", *c.PoolOf(HTTPRouter)}
	static.Backends = []Backend{{
		Text: "b:2", Addr: Address{Network: "tcp", Host: "b", Port: 2}, Protocol: UWSGI,
		Weight: 1,
	}}
	if static.Balance != LeastConns || static.ConnectTimeout != 7*time.Second ||
		static.Check.Kind != CheckTCP {
		t.Errorf("the default pool is %+v", static.Pool)
	}
	raw := NamedPool{RawRouter, "api", *c.PoolOf(RawRouter)}
	raw.Backends = []Backend{{Text: "d:4", Addr: Address{Network: "tcp", Host: "d", Port: 4}, Weight: 1}}
	if want := []NamedPool{raw, api, static}; !reflect.DeepEqual(c.NamedPools, want) {
		t.Errorf("got  %+v\nwant %+v", c.NamedPools, want)
	}
	rules := []PoolRule{
		{"edge.ini:22", RawRouter, "x.example.com", "", "", "api"},
		{"edge.ini:13", HTTPRouter, "", "api.example.com", "/v1", "api"},
		{"edge.ini:14", HTTPRouter, "", "", "/static", "static"},
		{"edge.ini:15", HTTPRouter, "*.example.com", "[2001:db8::1]", "", "static"},
		{"edge.ini:16", HTTPRouter, "", "api.example.com", "/v1/old", ""},
	}
	if !reflect.DeepEqual(c.Rules, rules) {
		t.Errorf("got  %+v\nwant %+v", c.Rules, rules)
	}
	var printed bytes.Buffer
	if err := c.PrintRoutes(&printed); err != nil {
		t.Fatal(err)
	}
	want := `rawrouter  SNI x.example.com                        -> pool api (d:4)
rawrouter  all else                                 -> closed
http       host api.example.com, path /v1           -> pool api (http://a:1 unix:/run/app)
http       path /static                             -> pool static (b:2)
http       SNI *.example.com, host [2001:db8::1]    -> pool static (b:2)
http       host api.example.com, path /v1/old       -> pool default (c:3)
http       all else                                 -> pool default (c:3)
`
	if got := squeeze(printed.String()); got != squeeze(want) {
		t.Errorf("got\n%s\nwant\n%s", got, squeeze(want))
	}
}

func squeeze(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

// Without rules there is nothing to say about routes.
func TestNoRoutes(t *testing.T) {
	inPKI(t)
	var out bytes.Buffer
	if err := mustParse(t, good).PrintRoutes(&out); err != nil || out.Len() > 0 {
		t.Errorf("got %q, %v, want nothing", &out, err)
	}
}

// A name that asks for other client certificates is allowed on an sslrouter if it has backends of
// its own.
func TestClientCAWithPoolOfItsOwn(t *testing.T) {
	inPKI(t)
	for name, ini := range map[string]string{
		"a name": "sni = a.example cert.pem,key.pem,,!ca.pem\nsslrouter-pool = p to=:1\nsslrouter-use-pool = p sni=a.example",
		"a name before a wildcard without": "sni = a.example cert.pem,key.pem,,!ca.pem\nsni = *.a.example cert.pem,key.pem\n" +
			"sslrouter-pool = p to=:1\nsslrouter-use-pool = p sni=a.example",
		"a wildcard": "sni = *.a.example cert.pem,key.pem,,!ca.pem\nsslrouter-pool = p to=:1\nsslrouter-use-pool = p sni=*.a.example",
		"two names of one policy": "sni = a.example cert.pem,key.pem,,!ca.pem\nsni = *.a.example cert.pem,key.pem,,!ca.pem\n" +
			"sslrouter-pool = p to=:1\nsslrouter-use-pool = p sni=a.example\nsslrouter-use-pool = p sni=*.a.example",
	} {
		t.Run(name, func(t *testing.T) {
			if c := mustParse(t, good+ini); len(c.Warnings) > 0 {
				t.Errorf("unexpected warnings %q", c.Warnings)
			}
		})
	}
}

// TestWrongPools says what is told of each mistake. It is long because it is a table.
func TestWrongPools(t *testing.T) {
	inPKI(t)
	const web = "http = :1\nhttp-to = a:1\nhttp-pool = api to=b:1\nhttp-use-pool = api host=api.example\n"
	const own = "sni = a.example cert.pem,key.pem,,!ca.pem\nsslrouter-pool = p to=:1\n"
	testWrong(t, []wrong{
		{
			name: "a rule for an unknown pool", ini: web + "http-use-pool = apis host=b.example",
			want: `edge.ini:8: http-use-pool = "apis host=b.example": no pool "apis": did you mean "api"?`,
		},
		{
			name: "a rule for the pool of another family", ini: web + "rawrouter = :2\nrawrouter-to = a:1\nrawrouter-use-pool = api sni=b.example",
			want: `edge.ini:10: rawrouter-use-pool = "api sni=b.example": no pool "api": add rawrouter-pool = api to=ADDR`,
		},
		{
			name: "a rule for a default that is not there", ini: "rawrouter = :2\nrawrouter-pool = p to=a:1\nrawrouter-use-pool = p sni=a.example\nrawrouter-use-pool = default sni=b.example",
			want: `edge.ini:7: rawrouter-use-pool = "default sni=b.example": there is no default pool: add rawrouter-to = ADDR`,
		},
		{
			name: "a rule that another covers", ini: web + "http-pool = static to=c:1\nhttp-use-pool = static host=API.example.",
			want: `edge.ini:9: http-use-pool = "static host=API.example.": it can never match: edge.ini:7 comes first and has the same conditions`,
		},
		{
			name: "a rule by SNI without TLS", ini: web + "http-use-pool = api sni=b.example",
			want: `edge.ini:8: http-use-pool = "api sni=b.example": it can never match: without https there is no SNI`,
		},
		{
			name: "a rule that 421 is before", ini: web + "https = :2,cert.pem,key.pem\nsni = a.example cert.pem,key.pem,,!ca.pem\nhttp-use-pool = api sni=a.example,host=b.example\n" +
				"sslrouter-pool = p to=:1\nsslrouter-use-pool = p sni=a.example",
			want: `edge.ini:10: http-use-pool = "api sni=a.example,host=b.example": it can never match: b.example asks clients for another certificate than a.example, so such requests get 421`,
		},
		{
			name: "a rule by host without requests", ini: "sslrouter-pool = p to=a:1\nsslrouter-use-pool = p host=a.example",
			want: `edge.ini:5: sslrouter-use-pool = "p host=a.example": sslrouter reads no requests: write sni=NAME, or use https`,
		},
		{
			name: "a rule by something else", ini: web + "http-use-pool = api pathh=/x",
			want: `edge.ini:8: http-use-pool = "api pathh=/x": unknown key "pathh": did you mean "path"?`,
		},
		{
			name: "a rule without conditions", ini: web + "http-use-pool = api",
			want: `edge.ini:8: http-use-pool = "api": no condition: write api host=..., or http-to for what goes nowhere else`,
		},
		{
			name: "a rule for everything", ini: web + "http-use-pool = api path=/",
			want: `edge.ini:8: http-use-pool = "api path=/": it matches everything: write http-to for that`,
		},
		{
			name: "a rule with two hosts", ini: web + "http-use-pool = api host=b.example,host=c.example",
			want: `edge.ini:8: http-use-pool = "api host=b.example,host=c.example": key "host" stands twice: write a line for each`,
		},
		{
			name: "a host with a port", ini: web + "http-use-pool = api host=b.example:443",
			want: `edge.ini:8: http-use-pool = "api host=b.example:443": bad host "b.example:443": leave the port out, any matches`,
		},
		{
			name: "a path with an escape", ini: web + "http-use-pool = api path=/%%61",
			want: `edge.ini:8: http-use-pool = "api path=/%61": bad path "/%61": write it decoded, as requests are compared`,
		},
		{
			name: "a path with a detour", ini: web + "http-use-pool = api path=/a/../b",
			want: `edge.ini:8: http-use-pool = "api path=/a/../b": bad path "/a/../b": write it without empty segments, . or .. in it`,
		},
		{
			name: "a path with a star", ini: web + "http-use-pool = api path=/a/*",
			want: `edge.ini:8: http-use-pool = "api path=/a/*": bad path "/a/*": leave out *, all that is below a path belongs to it`,
		},
		{
			name: "a path with a query", ini: web + "http-use-pool = api path=/a?b",
			want: `edge.ini:8: http-use-pool = "api path=/a?b": bad path "/a?b": leave out ? and what follows, paths are compared without`,
		},
		{
			name: "a path of somewhere", ini: web + "http-use-pool = api path=a",
			want: `edge.ini:8: http-use-pool = "api path=a": bad path "a": write one that begins with /`,
		},
		{
			name: "a pool without backends", ini: web + "http-pool = static balance=source\nhttp-use-pool = static path=/static",
			want: `edge.ini:8: http-pool = "static balance=source": no backend: add http-pool = static to=ADDR`,
		},
		{
			name: "a pool with an unknown option", ini: web + "http-pool = api balanced=source",
			want: `edge.ini:8: http-pool = "api balanced=source": unknown key "balanced": did you mean "balance"?`,
		},
		{
			name: "a pool with an option of listeners", ini: web + "http-pool = api accept-proxy=all",
			want: `edge.ini:8: http-pool = "api accept-proxy=all": unknown key "accept-proxy": known are backend-ca, backend-cert, backend-connections, backend-key, backend-name, backend-verify, balance, check, check-fall, ` +
				`check-interval, check-rise, check-timeout, connect-timeout, gracetime, max-retries, queue, send-proxy, slow-start, to`,
		},
		{
			name: "a pool with a bad value", ini: web + "http-pool = api balance=best",
			want: `edge.ini:8: http-pool = "api balance=best": balance: bad choice: write round-robin or least-connections or source or two-choices`,
		},
		{
			name: "a pool without an option", ini: web + "http-pool = api",
			want: `edge.ini:8: http-pool = "api": incomplete: write NAME OPTION=VALUE, such as api to=ADDR`,
		},
		{
			name: "a pool without a value", ini: web + "http-pool = api to",
			want: `edge.ini:8: http-pool = "api to": no value: write api to=[SCHEME://]ADDR,...`,
		},
		{
			name: "the default by name", ini: web + "http-pool = default to=a:1",
			want: `edge.ini:8: http-pool = "default to=a:1": default is the pool of http-to: write that and its other options, or choose another name`,
		},
		{
			name: "a bad name", ini: web + "http-pool = a/b to=a:1",
			want: `edge.ini:8: http-pool = "a/b to=a:1": bad name "a/b": write letters, digits, hyphens, dots and underscores, at most 64`,
		},
		{
			name: "a pool that relays to its listener", ini: "http = :1\nhttp-pool = p to=:1\nhttp-use-pool = p host=a",
			want: `edge.ini:4: http = ":1": :1 is also in pool p: it would relay to itself`,
		},
		// A client must not evade the policy of one name by asking for another.
		{
			name: "a pool of its own that no rule leads to", ini: own + "sslrouter-use-pool = p sni=b.example",
			want: `edge.ini:4: sni = "a.example cert.pem,key.pem,,!ca.pem": ` + evaded("edge.ini:2"),
		},
		{
			name: "a pool that others reach too", ini: own + "sslrouter-use-pool = p sni=a.example\nsslrouter-use-pool = p sni=b.example",
			want: `edge.ini:7: sslrouter-use-pool = "p sni=b.example": ` + evaded("edge.ini:2"),
		},
		{
			name: "a wildcard that leads around a name", ini: own + "sslrouter-use-pool = p sni=*.example",
			want: `edge.ini:6: sslrouter-use-pool = "p sni=*.example": ` + evaded("edge.ini:2"),
		},
		{
			name: "a pool that shares a backend", ini: "sni = a.example cert.pem,key.pem,,!ca.pem\nsslrouter-pool = p to=127.0.0.1:9000\nsslrouter-use-pool = p sni=a.example",
			want: `edge.ini:5: sslrouter-pool = "p to=127.0.0.1:9000": clients could go round CLIENTCA by another name, since 127.0.0.1:9000 is also in ` +
				`another pool of sslrouter whose names ask for something else: give each pool backends of its own`,
		},
		// Subscriptions.
		{
			name: "subscriptions from everywhere", ini: "http = :1\nhttp-subscription-server = :4040",
			want: `edge.ini:5: http-subscription-server = ":4040": anyone who reaches it would get the clients of any domain: add http-subscription-from = CIDR, ` +
				`or subscriptions-sign-check = sha256:DIR`,
		},
		{
			name: "keys that are not there", ini: "http = :1\nhttp-subscription-server = :4040\nsubscriptions-sign-check = sha1:none",
			want: `edge.ini:6: subscriptions-sign-check = "sha1:none": cannot read none: no such file or directory` + "\n" +
				`edge.ini:5: http-subscription-server = ":4040": anyone who reaches it would get the clients of any domain: add http-subscription-from = CIDR, ` +
				`or subscriptions-sign-check = sha256:DIR`,
		},
		{
			name: "every unix socket", ini: "http = :1\nhttp-subscription-server = 127.0.0.1:4040\nhttp-subscription-sockets = /run/../\n" +
				"http-subscription-sockets = run",
			want: `edge.ini:6: http-subscription-sockets = "/run/../": bad value: write the absolute path of a directory for the sockets of ` +
				"applications, such as /run/applications\n" + `edge.ini:7: http-subscription-sockets = "run": bad value: write the absolute path of ` +
				"a directory for the sockets of applications, such as /run/applications",
		},
		{
			name: "an old digest", ini: "http = :1\nhttp-subscription-server = 127.0.0.1:4040\nsubscriptions-sign-check = md5:.",
			want: `edge.ini:6: subscriptions-sign-check = "md5:.": bad value: write sha256:DIR, or sha1, sha384, sha512 as the subscribers sign`,
		},
	})
}

// Subscriptions work as uWSGI's documents print them if only this machine can reach the server.
func TestSubscriptions(t *testing.T) {
	inPKI(t)
	c := mustParse(t, "[uwsgi]\nhttp = :80\nhttp-subscription-server = 127.0.0.1:4040\nsubscription-tolerance = 5\nhttp-subscription-sockets = /run/a/\n")
	if s := c.Subscriptions; len(c.Warnings) > 0 || len(s.Servers) != 1 || s.Servers[0].Port != 4040 ||
		s.Tolerance != 5*time.Second || len(s.From) != 2 || s.Digest != "" {
		t.Errorf("got %+v, warnings %q", s, c.Warnings)
	}
	c = mustParse(t, "[uwsgi]\nhttp = :80\nhttp-subscription-server = :4040\nsubscriptions-sign-check = SHA1:.\n")
	if s := c.Subscriptions; len(c.Warnings) > 0 || s.Digest != "sha1" || s.KeyDir != "." || len(s.From) != 0 {
		t.Errorf("got %+v, warnings %q", s, c.Warnings)
	}
}

// An option without effect is reported.
func TestPoolWarnings(t *testing.T) {
	inPKI(t)
	const web = "[reprise]\nhttp = :1\nhttp-to = a:1\n"
	for name, test := range map[string]struct{ ini, want string }{
		"a pool for nothing":           {web + "http-pool = p to=b:1", `edge.ini:4: http-pool = "p to=b:1": nothing goes to pool p: add http-use-pool = p ...`},
		"HTTP to uwsgi":                {web + "http-pool = p to=b:1\nhttp-pool = p check=http\nhttp-use-pool = p host=a", `edge.ini:5: http-pool = "p check=http": uwsgi backends speak no HTTP: they are checked as by tcp`},
		"a tolerance without a server": {web + "subscription-tolerance = 5", `edge.ini:4: subscription-tolerance = "5": no effect without http-subscription-server`},
	} {
		t.Run(name, func(t *testing.T) {
			if c := mustParse(t, test.ini); !slices.Equal(c.Warnings, []string{test.want}) {
				t.Errorf("got %q, want %q", c.Warnings, test.want)
			}
		})
	}
}
