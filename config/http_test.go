package config

import (
	"reflect"
	"testing"
	"time"

	"reprise/internal/tuning"
)

func TestEveryHTTPOption(t *testing.T) {
	inPKI(t)
	c := mustParse(t, `[uwsgi]
https = :1,cert.pem,key.pem
http-to = a:1
http-to = http://a:1
http-keepalive = 5m
http-headers-timeout = 3
http-backend-keepalive = 8
http-backend-idle-timeout = 4
http-max-header = 8k
http-max-body = 10g
http-chunked-input
http-trusted = 10.0.0.0/8,2001:db8::/32
http-trusted = 192.0.2.1
add-header = X-Frame-Options: DENY
http-add-header = Link:</a>; rel="b", c:d
request-header = set X-A:  a: ${REMOTE_ADDR}${SSL_CIPHER} $ {x} $
request-header = add Via: 1.1 us
request-header =  remove X-B:
response-header = remove X_C
hsts = true
https-export-cert
http-server-name-as-http-host
access-log = log
access-log-format = combined
access-log-sample = 10
`)
	if got, want := c.HTTP, (HTTPOptions{
		Requests: tuning.Requests{
			KeepAlive:          5 * time.Minute,
			HeadersTimeout:     3 * time.Second,
			BackendKeepAlive:   8,
			BackendIdleTimeout: 4 * time.Second,
			MaxBody:            10 << 30,
			ChunkedInput:       true,
			BodyBuffer:         256 << 10,
			Trusted:            prefixes("10.0.0.0/8", "2001:db8::/32", "192.0.2.1/32"),
			ExportCert:         true,
		},
		HTTP2:            true,
		MaxHeader:        8 << 10,
		AddHeaders:       []Header{{"X-Frame-Options", "DENY"}, {"Link", `</a>; rel="b", c:d`}},
		RequestHeaders:   []HeaderRule{{SetHeader, "X-A", "a: ${REMOTE_ADDR}${SSL_CIPHER} $ {x} $"}, {AddHeader, "Via", "1.1 us"}, {RemoveHeader, "X-B", ""}},
		ResponseHeaders:  []HeaderRule{{RemoveHeader, "X_C", ""}},
		HSTS:             "max-age=31536000",
		HostAsServerName: true,
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, want := c.AccessLog, (AccessLog{File: "log", Format: "combined", Sample: 10}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := mustParse(t, good, "--http-body-buffer", "1m", "--access-log", "-"); got.HTTP.BodyBuffer != 1<<20 || got.AccessLog.File != "-" {
		t.Errorf("got buffer %d and log %q", got.HTTP.BodyBuffer, got.AccessLog.File)
	}
}

func TestParseKeepAlive(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"true": time.Minute, "1": time.Minute, "off": 0, "0": 0, "2": 2 * time.Second, "1s": time.Second, "1h": time.Hour,
	} {
		if got, err := parseKeepAlive(s); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestParseHSTS(t *testing.T) {
	for s, want := range map[string]string{
		"true":                               "max-age=31536000",
		"false":                              "",
		"off":                                "",
		"0":                                  "max-age=0",
		"1":                                  "max-age=1",
		"300 ; includeSubdomains":            "max-age=300; includeSubDomains",
		"yes;PRELOAD;includeSubDomains":      "max-age=31536000; includeSubDomains; preload",
		"63072000;includeSubDomains;preload": "max-age=63072000; includeSubDomains; preload",
	} {
		if got, err := parseHSTS(s); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", s, got, err, want)
		}
	}
}

func TestParseProxyVersion(t *testing.T) {
	for s, want := range map[string]ProxyVersion{"off": 0, "false": 0, "v1": 1, "v2": 2, "true": 2} {
		if got, err := parseProxyVersion(s); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestParseCheck(t *testing.T) {
	tests := []struct {
		value string
		kind  CheckKind
		path  string
	}{
		{"off", NoCheck, ""},
		{"tcp", CheckTCP, ""},
		{"tls", CheckTLS, ""},
		{"http", CheckHTTP, "/"},
		{"http:/a:b", CheckHTTP, "/a:b"},
	}
	for _, test := range tests {
		if kind, path, err := parseCheck(test.value); err != nil || kind != test.kind ||
			path != test.path {
			t.Errorf("%s: got %v %q, %v, want %v %q", test.value, kind, path, err, test.kind, test.path)
		}
	}
}
