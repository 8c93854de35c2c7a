package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each option makes listeners of its own Router, with TLS or without.
func TestRouters(t *testing.T) {
	inPKI(t)
	c := mustParse(t, `[uwsgi]
https = :1,cert.pem,key.pem,,!ca.pem
https2 = addr=:2,crt=cert.pem,key=key.pem,alpn=http/1.1,context=mine,spdy=1
http = /run/http
http-to-https = :3
http-to-https = :4 , 8443
sslrouter = :5,cert.pem,key.pem
rawrouter = :6
sni = a.example rsa.pem,rsa-key.pem
sslrouter-alpn = h2
http-to = :9
sslrouter-to = :9
rawrouter-to = :9
`)
	var got []string
	for _, l := range c.Listeners {
		line := fmt.Sprintf("%v %v", l.Router, l.Addr)
		if l.RedirectPort != 0 {
			line += fmt.Sprint(" to ", l.RedirectPort)
		}
		if l.TLS != nil {
			line += fmt.Sprintf(" %s %s %d %v", l.TLS.ALPN, l.TLS.SessionContext, len(l.TLS.Certs), l.TLS.ClientCARequired)
		}
		got = append(got, line)
	}
	want := []string{
		"http :1 [h2 http/1.1] http-:1 2 true",
		"http :2 [http/1.1] mine 2 false",
		"http /run/http",
		"http :3 to 443",
		"http :4 to 8443",
		"sslrouter :5 [h2] sslrouter-:5 2 false",
		"rawrouter :6",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(c.Warnings) != 1 || !strings.HasSuffix(c.Warnings[0], "spdy is ignored: browsers no longer speak it") {
		t.Errorf("got warnings %q, want one about spdy", c.Warnings)
	}
}

// Each family has a session context of its own.
func TestSessionContexts(t *testing.T) {
	inPKI(t)
	c := mustParse(t, good+"https = :1,cert.pem,key.pem\nhttp-to = :2\nhttps-session-context = web\nsslrouter-session-context = raw\n")
	for i, want := range []string{"web", "raw"} {
		if got := c.Listeners[i].TLS.SessionContext; got != want {
			t.Errorf("%s: got %q, want %q", c.Listeners[i].Source, got, want)
		}
	}
}

// A redirecting listener needs no backend.
func TestRedirectNeedsNoBackend(t *testing.T) {
	inPKI(t)
	if c := mustParse(t, "", "--http-to-https", ":80"); len(c.Warnings) > 0 {
		t.Errorf("unexpected warnings %q", c.Warnings)
	}
}

func TestBackends(t *testing.T) {
	tcp := func(host string, port int) Address { return Address{Network: "tcp", Host: host, Port: port} }
	unix := func(path string) Address { return Address{Network: "unix", Path: path} }
	tests := []struct {
		router Router
		value  string
		want   Backend
	}{
		{HTTPRouter, "127.0.0.1:1", Backend{Text: "127.0.0.1:1", Addr: tcp("127.0.0.1", 1), Protocol: UWSGI, Weight: 1, MaxConns: 7}},
		{HTTPRouter, "h2c://App:1", Backend{Text: "h2c://App:1", Addr: tcp("app", 1), Protocol: H2C, Weight: 1, MaxConns: 7}},
		{HTTPRouter, "uwsgi://App:1", Backend{Text: "uwsgi://App:1", Addr: tcp("app", 1), Protocol: UWSGI, Weight: 1, MaxConns: 7}},
		{HTTPRouter, "HTTP://[::1]:1", Backend{Text: "HTTP://[::1]:1", Addr: tcp("::1", 1), Protocol: HTTP, Weight: 1, MaxConns: 7}},
		{HTTPRouter, "unix:/run/a", Backend{Text: "unix:/run/a", Addr: unix("/run/a"), Protocol: UWSGI, Weight: 1, MaxConns: 7}},
		{HTTPRouter, "http:///run/a", Backend{Text: "http:///run/a", Addr: unix("/run/a"), Protocol: HTTP, Weight: 1, MaxConns: 7}},
		{HTTPRouter, "http://unix:/run/a", Backend{Text: "http://unix:/run/a", Addr: unix("/run/a"), Protocol: HTTP, Weight: 1, MaxConns: 7}},
		{RawRouter, "/run/a , weight = 3", Backend{Text: "/run/a", Addr: unix("/run/a"), Weight: 3, MaxConns: 7}},
		{RawRouter, "tcp://a:1,backup", Backend{Text: "tcp://a:1", Addr: tcp("a", 1), Weight: 1, MaxConns: 7, Backup: true}},
		{
			SSLRouter, "a:1,max-connections=0,backup,weight=1000",
			Backend{Text: "a:1", Addr: tcp("a", 1), Weight: 1000, MaxConns: 0, Backup: true},
		},
		{SSLRouter, "a:1,max_connections=100", Backend{Text: "a:1", Addr: tcp("a", 1), Weight: 1, MaxConns: 100}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.router, " ", test.value), func(t *testing.T) {
			b := newBuilder()
			b.config.PoolOf(test.router).MaxConns = 7
			if err := b.addBackend(test.router, test.value); err != nil {
				t.Fatal(err)
			}
			b.resolvePools()
			if got, want := b.config.PoolOf(test.router).Backends,
				[]Backend{test.want}; !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// Every option of a pool sets it for its own Router and no other.
func TestEveryPoolOption(t *testing.T) {
	inPKI(t)
	const all = good + "https = :1,cert.pem,key.pem\nrawrouter = :2\nhttp-to = http://a:1\nrawrouter-to = a:1\n"
	defaults := mustParse(t, all).Pools
	for _, r := range Routers {
		var lines strings.Builder
		for line := range strings.Lines(`balance = two-choices
backend-connections = 9
queue = 5
max-retries = 0
gracetime = 1m
slow-start = 10
connect-timeout = 250ms
timeout = 1h30m
check = http:/healthz?a=b
check-interval = 100ms
check-timeout = 50ms
check-rise = 1
check-fall = 4
backend-ca = ca.pem
backend-name = A.example.
backend-verify = off
backend-cert = cert.pem
backend-key = key.pem
send-proxy = v1
accept-proxy = 10.0.0.0/8, 192.0.2.1
accept-proxy = ::ffff:192.0.2.2
accept-proxy = all
`) {
			lines.WriteString(r.String() + "-" + line)
		}
		got := mustParse(t, all+lines.String()).Pools
		want := defaults
		want[r] = Pool{
			Backends:       slices.Clone(defaults[r].Backends),
			Balance:        TwoChoices,
			Retries:        0,
			Grace:          time.Minute,
			SlowStart:      10 * time.Second,
			ConnectTimeout: 250 * time.Millisecond,
			IdleTimeout:    90 * time.Minute,
			MaxConns:       9,
			QueueLen:       5,
			Check: Check{
				Kind: CheckHTTP, Path: "/healthz?a=b", Interval: 100 * time.Millisecond,
				Timeout: 50 * time.Millisecond, Rise: 1, Fall: 4,
			},
			TLS:         BackendTLS{CA: "ca.pem", Name: "a.example", Unverified: true, CertFile: "cert.pem", KeyFile: "key.pem"},
			SendProxy:   1,
			AcceptProxy: prefixes("10.0.0.0/8", "192.0.2.1/32", "192.0.2.2/32", "0.0.0.0/0", "::/0"),
		}
		want[r].Backends[0].MaxConns = 9
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got  %+v\nwant %+v", r, got, want)
		}
	}
}

// The timers of a pool are the general ones unless it has its own.
func TestTimersOfPools(t *testing.T) {
	inPKI(t)
	c := mustParse(t, good+"rawrouter = :1\nrawrouter-to = a:1\nidle-timeout = 5\nconnect-timeout = 6\n",
		"--rawrouter-timeout", "7", "--rawrouter-connect-timeout", "8")
	for r, want := range map[Router][2]time.Duration{
		SSLRouter: {5 * time.Second, 6 * time.Second},
		RawRouter: {7 * time.Second, 8 * time.Second},
	} {
		if p := c.PoolOf(r); p.IdleTimeout != want[0] || p.ConnectTimeout != want[1] {
			t.Errorf("%v: got %v and %v, want %v", r, p.IdleTimeout, p.ConnectTimeout, want)
		}
	}
}

// TestRoutingWarnings says what is taken and warned of. It is long because it is a table.
func TestRoutingWarnings(t *testing.T) {
	inPKI(t)
	const web = "[reprise]\nhttps = :1,cert.pem,key.pem\nhttp-to = a:1\n"
	const plain = "[reprise]\nhttp = :1\nhttp-to = http://a:1\n"
	tests := []struct {
		name, ini string
		want      []string // without places
	}{
		{"a site", web + "hsts\nhttps-export-cert\nhttp-check = tcp\nhttp-check-fall = 1\nhttps-session-context = a", nil},
		{"a rule that a client gets round", plain + "request-header = add X-A: ${REMOTE_ADDR}\nrequest-header = remove X-B\nrequest-header = add x_b: ${REMOTE_ADDR}\nrequest-header = add X-C: c", []string{
			`request-header = "add X-A: ${REMOTE_ADDR}": clients can send a field of that name too: write set to have only yours`,
		}},
		{"limits", plain + "http-backend-connections = 1\nhttp-queue = 1\nhttp-send-proxy = off\nhttp-backend-keepalive = 1", nil},
		{"backends without a listener", good + "rawrouter-to = :1\nrawrouter-balance = source\nrawrouter-accept-proxy = all\nrawrouter-gracetime = 30s", []string{
			`rawrouter-to = ":1": no effect without rawrouter`,
			`rawrouter-balance = "source": no effect without rawrouter`,
			`rawrouter-accept-proxy = "all": no effect without rawrouter`,
		}},
		{"HTTP without HTTP", good + "hsts = 1\nhttp-max-body = 1m\nhttps-session-context = a", []string{
			`https-session-context = "a": no effect without https`,
			`http-max-body = "1m": no effect without https or http`,
			`hsts = "1": no effect without https or http`,
		}},
		{"TLS without TLS", plain + "hsts\nsslrouter-alpn = h2\nsslrouter-session-context = a\nsni = a.example cert.pem,key.pem", []string{
			`sslrouter-session-context = "a": no effect without sslrouter`,
			`sslrouter-alpn = "h2": no effect without sslrouter`,
			`sni = "a.example cert.pem,key.pem": no effect without https or sslrouter`,
			`hsts = "true": no effect without https`,
		}},
		{"backends of a redirection", "[reprise]\nhttp-to-https = :1\nhttp-to = a:1", []string{
			`http-to = "a:1": no effect: http-to-https asks no backend`,
		}},
		{"only backups", good + "rawrouter = :1\nrawrouter-to = a:1,backup", []string{
			`rawrouter-to = "a:1,backup": every backend is a backup: leave it out for those that serve`,
		}},
		{"thresholds of no check", good + "sslrouter-check-rise = 1\nsslrouter-check-interval = 1", []string{
			`sslrouter-check-interval = "1": no effect without sslrouter-check`,
			`sslrouter-check-rise = "1": no effect without sslrouter-check`,
		}},
		{"a queue that never fills", good + "sslrouter-queue = 1", []string{
			`sslrouter-queue = "1": no effect: no backend has max-connections`,
		}},
		{"what uwsgi backends do not know", web + "http-check = http\nhttp-send-proxy\nhttp-backend-keepalive = 1", []string{
			`http-check = "http": uwsgi backends speak no HTTP: they are checked as by tcp`,
			`http-send-proxy = "true": uwsgi backends get no header: their variables name the client`,
			`http-backend-keepalive = "1": no effect without http:// or https:// backends`,
		}},
		{"what h2c backends do not know", "[reprise]\nhttp = :1\nhttp-to = h2c://a:1\nhttp-send-proxy\nhttp-backend-keepalive = 1\nhttp-backend-idle-timeout = 1\nhttp-check = http", []string{
			`http-send-proxy = "true": h2c backends get no header: clients share connections, and X-Forwarded-For names them`,
			`http-backend-keepalive = "1": no effect without http:// backends`,
		}},
		{"what http backends do not know", plain + "http-chunked-input\nhttp-body-buffer = 1m\nhttp-server-name-as-http-host", []string{
			`http-chunked-input = "true": no effect without uwsgi backends`,
			`http-body-buffer = "1m": no effect without uwsgi backends`,
			`http-server-name-as-http-host = "true": no effect without uwsgi backends`,
		}},
		{"a buffer beside chunks", web + "http-chunked-input\nhttp-body-buffer = 1m", []string{
			`http-body-buffer = "1m": no effect with http-chunked-input`,
		}},
		{"idle backends that are not kept", plain + "http-backend-keepalive = 0\nhttp-backend-idle-timeout = 1", []string{
			`http-backend-idle-timeout = "1": no effect without http-backend-keepalive`,
		}},
		{"connections of one client each", plain + "http-send-proxy\nhttp-backend-keepalive = 1", []string{
			`http-backend-keepalive = "1": no effect: a connection whose PROXY header names a client serves no other`,
		}},
		{"how to write no log", good + "access-log-format = combined\naccess-log-sample = 2", []string{
			`access-log-format = "combined": no effect without access-log`,
			`access-log-sample = "2": no effect without access-log`,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustParse(t, test.ini)
			normalize(c)
			if !slices.Equal(c.Warnings, test.want) {
				t.Errorf("got  %q\nwant %q", c.Warnings, test.want)
			}
		})
	}
}

// A connection whose PROXY header named one client must not carry requests of another.
func TestProxyHeaderForbidsKeepAlive(t *testing.T) {
	inPKI(t)
	c := mustParse(t, "[reprise]\nhttp = :1\nhttp-to = http://a:1\nhttp-send-proxy = v2\n")
	if c.HTTP.BackendKeepAlive != 0 || c.PoolOf(HTTPRouter).SendProxy != 2 {
		t.Errorf("got keep-alive %d and PROXY version %d, want 0 and 2", c.HTTP.BackendKeepAlive, c.PoolOf(HTTPRouter).SendProxy)
	}
}

// An option that brings its own backend along needs no other.
func TestApplicationIsABackend(t *testing.T) {
	b := newBuilder()
	b.application = true
	b.apply([]setting{{optionsByName["http"], "http", ":1", "edge.ini:1"}})
	if b.resolve(); len(b.errs) > 0 {
		t.Errorf("got %v, want no error", b.errs)
	}
}

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}
