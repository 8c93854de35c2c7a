package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/internal/tuning"
)

// mustParse parses args, and text as edge.ini if there is any.
func mustParse(t *testing.T, text string, args ...string) *Config {
	t.Helper()
	if text != "" {
		writeFile(t, "edge.ini", []byte(text))
		args = append([]string{"edge.ini"}, args...)
	}
	c, err := Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDefaults says what holds where nothing is written. It is long because it is a table.
func TestDefaults(t *testing.T) {
	inPKI(t)
	c := mustParse(t, "", "--sslrouter", "127.0.0.1:8443,cert.pem,key.pem", "--sslrouter-to", "127.0.0.1:9000")
	c.settings = nil
	pool := func(backends ...Backend) Pool {
		return Pool{
			Backends: backends, Retries: 3, Grace: 30 * time.Second, ConnectTimeout: 5 * time.Second,
			IdleTimeout: time.Minute, QueueLen: 1024,
			Check: Check{Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3},
		}
	}
	want := &Config{
		Listeners: []Listener{{
			Source: "--sslrouter",
			Addr:   Address{Network: "tcp", Host: "127.0.0.1", Port: 8443},
			TLS: &TLS{
				Certs:          []Certificate{{CertFile: "cert.pem", KeyFile: "key.pem"}},
				SessionContext: "sslrouter-127.0.0.1:8443",
			},
		}},
		Pools: [3]Pool{
			pool(Backend{Text: "127.0.0.1:9000", Addr: Address{Network: "tcp", Host: "127.0.0.1", Port: 9000}, Weight: 1}), pool(), pool(),
		},
		Subscriptions: Subscriptions{KeyTolerance: time.Hour, Tolerance: 17 * time.Second},
		HTTP: HTTPOptions{
			Requests: tuning.Requests{
				KeepAlive:          time.Minute,
				HeadersTimeout:     30 * time.Second,
				BackendKeepAlive:   256,
				BackendIdleTimeout: 30 * time.Second,
				BodyBuffer:         256 << 10,
			},
			HTTP2:     true,
			MaxHeader: 32 << 10,
		},
		Limits:         ClientLimits{Prefix4: 32, Prefix6: 64},
		AccessLog:      AccessLog{Format: "json", Sample: 1},
		MinVersion:     tls.VersionTLS12,
		TLSEngine:      OwnEngine,
		NameStrictness: AnyName,
		SessionTickets: 2,
		Caches:         []Cache{{Name: "default", Items: 20000, KeySize: 128, BlockSize: 4096}},
		SessionCache:   "default",
		CacheSweep:     3 * time.Second,
		SessionTimeout: 5 * time.Minute,
		Replication: Replication{
			TTL:          1,
			Mode:         ReplicateAuto,
			DatagramSize: 1200,
			Heartbeat:    time.Second,
			DeadAfter:    3 * time.Second,
			JoinRate:     32 << 20,
		},
		LogLevel:  slog.LevelInfo,
		LogFormat: "text",
		Tuning: Tuning{
			Engine: tuning.Engine{
				Loops:            runtime.GOMAXPROCS(0),
				HighWatermark:    256 << 10,
				Backlog:          1024,
				HandshakeTimeout: 10 * time.Second,
				LingerTimeout:    5 * time.Second,
				LookupTimeout:    10 * time.Millisecond,
				MaxHandshakes:    10000,
			},
			ResolveInterval: 30 * time.Second,
			DrainTimeout:    30 * time.Second,
			UpgradeTimeout:  30 * time.Second,
			KeyWorkers:      runtime.GOMAXPROCS(0),
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// everyScalar has a value for each that is not the default.
const everyScalar = `
name = edge-1
tls-min-version = 1.3
ssl-sessions-timeout = 2h
ssl-sessions-single-use = yes
ssl-sessions-tickets = 3
tls-engine = standard
sni-nomatch-abort
stats = [::1]:5001
admin = /run/admin
pprof = on
log-level = debug
log-format = json
loops = 8
high-watermark = 1m
backlog = 512
handshake-timeout = 3
connect-timeout = 250ms
idle-timeout = 1h30m
backend-resolve-interval = 1m
linger-timeout = 1
shutdown-delay = 10
drain-timeout = 0
upgrade-timeout = 2m
cache-lookup-timeout = 2ms
max-connections = 9000
max-handshakes = 100
key-workers = 0
memory-limit = 2G
tcp-fastopen = 256
tcp-defer-accept = 4
cpu-affinity = 1
cache-replication = pull
cache-udp-interface = eth0
cache-udp-ttl = 2
cache-udp-datagram = 8k
cache-udp-heartbeat = 100ms
cache-udp-dead-after = 1
cache-join-rate = 1m
udprepeater-secret-file = secret
`

// TestEveryScalar reads each option that is a number, a word or a time. It is long because it
// is a table.
func TestEveryScalar(t *testing.T) {
	inPKI(t)
	c := mustParse(t, good+everyScalar)
	if got, want := c.Replication, (Replication{
		Interface:    "eth0",
		TTL:          2,
		Mode:         ReplicatePull,
		DatagramSize: 8 << 10,
		Heartbeat:    100 * time.Millisecond,
		DeadAfter:    time.Second,
		JoinRate:     1 << 20,
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, want := c.Tuning, (Tuning{
		Engine: tuning.Engine{
			Loops:            8,
			HighWatermark:    1 << 20,
			Backlog:          512,
			HandshakeTimeout: 3 * time.Second,
			LingerTimeout:    time.Second,
			LookupTimeout:    2 * time.Millisecond,
			MaxConnections:   9000,
			MaxHandshakes:    100,
			FastOpen:         256,
			DeferAccept:      4 * time.Second,
			CPUAffinity:      true,
		},
		ResolveInterval: time.Minute,
		ShutdownDelay:   10 * time.Second,
		DrainTimeout:    0,
		UpgradeTimeout:  2 * time.Minute,
		KeyWorkers:      0,
		MemoryLimit:     2 << 30,
	}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if p := c.PoolOf(SSLRouter); p.ConnectTimeout != 250*time.Millisecond ||
		p.IdleTimeout != 90*time.Minute {
		t.Errorf("got %v to connect and %v idle, want what holds for all pools", p.ConnectTimeout, p.IdleTimeout)
	}
	if c.Name != "edge-1" || c.MinVersion != tls.VersionTLS13 || c.SessionTimeout != 2*time.Hour ||
		!c.SingleUse || c.SessionTickets != 3 || c.TLSEngine != StandardEngine ||
		c.NameStrictness != OnlyKnown || !c.Pprof ||
		c.LogLevel != slog.LevelDebug || c.LogFormat != "json" || c.RepeaterSecretFile != "secret" ||
		c.Stats != (Address{Network: "tcp", Host: "::1", Port: 5001}) ||
		!slices.Equal(c.Admin, []Address{{Network: "unix", Path: "/run/admin"}}) {
		t.Errorf("got %+v", c)
	}
}

// Flags win over files and later files over earlier ones, wherever they stand; options that may be
// repeated add up.
func TestPrecedence(t *testing.T) {
	inPKI(t)
	writeFile(t, "more.ini", []byte("[uwsgi]\nidle-timeout = 2\nconnect-timeout = 2\nsslrouter-to = :9002\ncluster-secret-file = secret2\n"))
	c := mustParse(t, good+"idle-timeout = 1\nconnect-timeout = 1\nlinger-timeout = 1\ncluster-secret-file = secret\ncache-udp-node = a:1\n",
		"--idle-timeout=3", "more.ini", "--sslrouter-to", ":9003", "--cache-udp-node", "b:2")
	if got, want := c.PoolOf(SSLRouter).IdleTimeout, 3*time.Second; got != want {
		t.Errorf("idle-timeout: got %v, want %v from the flag", got, want)
	}
	if got, want := c.PoolOf(SSLRouter).ConnectTimeout, 2*time.Second; got != want {
		t.Errorf("connect-timeout: got %v, want %v from the second file", got, want)
	}
	if got, want := c.Tuning.LingerTimeout, time.Second; got != want {
		t.Errorf("linger-timeout: got %v, want %v from the first file", got, want)
	}
	var backends []string
	for _, b := range c.PoolOf(SSLRouter).Backends {
		backends = append(backends, b.Addr.String())
	}
	if got, want := strings.Join(backends, " "), "127.0.0.1:9000 :9002 :9003"; got != want {
		t.Errorf("got backends %s, want %s", got, want)
	}
	if got, want := c.ClusterSecretFiles, []string{"secret", "secret2"}; !slices.Equal(got, want) {
		t.Errorf("got secrets %s, want %s: the first seals", got, want)
	}
	if got, want := fmt.Sprint(c.Replication.Peers), "[a:1 b:2]"; got != want {
		t.Errorf("got peers %s, want %s", got, want)
	}
}

// The first setup of uWSGI's document depends on the order of its options; ours never does.
func TestOrderOfOptions(t *testing.T) {
	inPKI(t)
	lines := strings.Split(`master = true
cache = 20000
cache-blocksize = 4096
ssl-sessions-use-cache = true
ssl-sessions-timeout = 200
sslrouter-session-context = foobar
sslrouter = 127.0.0.1:8443,cert.pem,key.pem
http-processes = 8
sslrouter-to = 127.0.0.1:3031
https = 127.0.0.1:8444,cert.pem,key.pem
http-to = 127.0.0.1:3032
stats = 127.0.0.1:5001
sni = a.example rsa.pem,rsa-key.pem
cache-udp-server = 127.0.0.1:7171
cache-udp-node = 127.0.0.2:7171
cluster-secret-file = secret`, "\n")
	var first *Config
	for turn := range lines {
		turned := append(append([]string{}, lines[turn:]...), lines[:turn]...)
		c := mustParse(t, "[uwsgi]\n"+strings.Join(turned, "\n"))
		if normalize(c); first == nil {
			first = c
		}
		if !reflect.DeepEqual(c, first) {
			t.Fatalf("turned by %d: got  %+v\nwant %+v", turn, c, first)
		}
	}
	want := []Cache{{Name: "default", Items: 20000, KeySize: 2048, BlockSize: 4096}}
	if got := first.Caches; !slices.Equal(got, want) {
		t.Errorf("got caches %+v, want %+v", got, want)
	}
	r := first.Replication
	if got, want := fmt.Sprint(r.Listen, r.Peers), "[127.0.0.1:7171] [127.0.0.2:7171]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := first.Listeners[1].TLS.SessionContext; got != "foobar" ||
		first.SessionTimeout != 200*time.Second || first.Tuning.Loops != 8 {
		t.Errorf("got %+v", first)
	}
}

// Of two values only one can count. A warning says so, unless the first is another file's, which
// may be meant to be replaced.
func TestSetAgain(t *testing.T) {
	inPKI(t)
	writeFile(t, "base.ini", []byte("[uwsgi]\nidle-timeout = 1\n"))
	for _, test := range []struct{ name, ini, want string }{
		{"another value", "stats = :5001\nstats = :5002", `edge.ini:4: stats = ":5001": no effect: it is set again at edge.ini:5`},
		{"another value in another section", "stats = :5001\n[uwsgi]\nstats = :5002", `edge.ini:4: stats = ":5001": no effect: it is set again at edge.ini:6`},
		{"the same value", "stats = :5001\n[uwsgi]\nstats = :5001", ""},
		{"the value of another file", "ini = base.ini\nidle-timeout = 2", ""},
		{"an option that may be repeated", "sslrouter-to = :1\nsslrouter-to = :2", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(mustParse(t, good+test.ini).Warnings, "\n"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// normalize removes the places of settings and fields that are never printed.
func normalize(c *Config) {
	c.settings, c.used, c.dirs = nil, nil, nil
	for i := range c.Rules {
		c.Rules[i].Source = ""
	}
	for i := range c.Application.Env {
		c.Application.Env[i] = maskEnv(c.Application.Env[i])
	}
	for i := range c.Listeners {
		c.Listeners[i].Source = ""
	}
	for i := range c.SessionStores {
		c.SessionStores[i] = maskStore(c.SessionStores[i])
	}
	for i, w := range c.Warnings {
		if _, after, ok := strings.Cut(w, ": "); ok {
			c.Warnings[i] = after
		}
	}
}

func TestINI(t *testing.T) {
	inPKI(t)
	tests := []struct {
		name, ini, args, want string // want: the session context, or the backends
	}{
		{name: "spaces", ini: "  sslrouter-session-context=\t a b  ", want: "a b"},
		{name: "comment characters in a value", ini: "sslrouter-session-context = a;b # c", want: "a;b # c"},
		{name: "equals sign in a value", ini: "sslrouter-session-context = a=b", want: "a=b"},
		{name: "colon in a value", ini: "sslrouter-session-context = a:b", want: "a:b"},
		{name: "quotes stay", ini: `sslrouter-session-context = "a"`, want: `"a"`},
		{name: "a backslash does not continue", ini: "sslrouter-session-context = a\\\nidle-timeout = 1", want: `a\`},
		{name: "triple quotes", ini: `sslrouter-session-context = """ a """`, want: " a "},
		{name: "comments", ini: "; sslrouter-session-context = a\n   # x\n\nsslrouter-session-context = b", want: "b"},
		{name: "the last scalar wins", ini: "sslrouter-session-context = a\nsslrouter-session-context = b", want: "b"},
		{name: "CRLF", ini: "sslrouter-session-context = a\r\nidle-timeout = 1\r\n", want: "a"},
		{name: "no newline at the end", ini: "sslrouter-session-context = a", want: "a"},
		{name: "two sections of one name", ini: "[other]\nbogus = 1\n[reprise]\nsslrouter-session-context = a", want: "a"},
		{name: "both of our sections", ini: "[uwsgi]\nsslrouter-session-context = a", want: "a"},
		{name: "a comment after a section", ini: "[uwsgi] ; ours\nsslrouter-session-context = a", want: "a"},
		{name: "the section asked for", ini: "[blue]\nsslrouter-session-context = a\n[green]\nbogus=1", args: "edge.ini:blue", want: "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustParse(t, good+test.ini, strings.Fields(test.args)...)
			if got := c.Listeners[0].TLS.SessionContext; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestFileWithColonInItsName(t *testing.T) {
	inPKI(t)
	writeFile(t, "edge.ini:1", []byte("[uwsgi]\nname = colon\n"))
	if got := mustParse(t, good, "edge.ini:1").Name; got != "colon" {
		t.Errorf("got name %q, want that of the file edge.ini:1", got)
	}
}

func TestByteOrderMark(t *testing.T) {
	inPKI(t)
	if c := mustParse(t, "\ufeff"+good); len(c.Listeners) != 1 {
		t.Errorf("got %d listeners, want 1", len(c.Listeners))
	}
}

func TestBooleans(t *testing.T) {
	inPKI(t)
	for line, want := range map[string]bool{
		"cpu-affinity": true, "cpu-affinity =": true, "cpu-affinity = true": true, "cpu-affinity = YES": true,
		"cpu-affinity = on": true, "cpu-affinity = 1": true,
		"cpu-affinity = false": false, "cpu-affinity = No": false, "cpu-affinity = off": false, "cpu-affinity = 0": false,
	} {
		if got := mustParse(t, good+line).Tuning.CPUAffinity; got != want {
			t.Errorf("%s: got %v, want %v", line, got, want)
		}
	}
	if !mustParse(t, good, "--cpu-affinity").Tuning.CPUAffinity {
		t.Error("--cpu-affinity alone does not turn it on")
	}
	if mustParse(t, good, "--http2=false").HTTP.HTTP2 {
		t.Error("--http2=false does not turn it off")
	}
}

func TestSessionCache(t *testing.T) {
	inPKI(t)
	const two = "cache2 = name=a,items=10\ncache2 = name=b,max-items=20,key_size=64,blocksize=8k\n"
	tests := []struct {
		name, ini, session, caches string
	}{
		{"no option", "", "default", "default"},
		{"key alone", "ssl-sessions-use-cache", "default", "default"},
		{"first cache", two, "a", "a b"},
		{"first cache by true", two + "ssl-session-use-cache = true", "a", "a b"},
		{"by name", two + "ssl-sessions-use-cache = b", "b", "a b"},
		{"the legacy cache is the first", two + "cache = 5", "default", "default a b"},
		{"a cache named true", two + "cache2 = name=true,items=1\nssl-sessions-use-cache = true", "true", "a b true"},
		{"off", two + "ssl-sessions-use-cache = false", "", "a b"},
		{"off and none", "ssl-sessions-use-cache = 0", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustParse(t, good+test.ini)
			var names []string
			for _, cache := range c.Caches {
				names = append(names, cache.Name)
			}
			if got := strings.Join(names, " "); got != test.caches || c.SessionCache != test.session {
				t.Errorf("got caches %q and sessions in %q, want %q and %q", got, c.SessionCache, test.caches, test.session)
			}
		})
	}
	c := mustParse(t, good+two)
	if got, want := c.Caches[1], (Cache{
		Name: "b", Items: 20, KeySize: 64,
		BlockSize: 8192,
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestHelpIsAnError(t *testing.T) {
	for _, arg := range []string{"--help", "-h"} {
		if _, err := Parse([]string{arg}); !errors.Is(err, ErrHelp) {
			t.Errorf("%s: got %v, want ErrHelp", arg, err)
		}
	}
}
