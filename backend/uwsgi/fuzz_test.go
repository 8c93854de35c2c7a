package uwsgi_test

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

// own are the variables that only the router may set.
var own = []string{
	"REQUEST_METHOD", "PATH_INFO", "REQUEST_URI", "QUERY_STRING", "SERVER_PROTOCOL", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT",
	"UWSGI_ROUTER", "REMOTE_ADDR", "REMOTE_PORT", "CONTENT_LENGTH",
}

// FuzzAppendRequest: every request that package http1 accepts becomes a packet that decodes, in
// which no variable is there twice and ours have their proper values, or a 4xx.
func FuzzAppendRequest(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /%2e%2e/%00?a=%zz HTTP/1.0\r\n\r\n",
		"POST http://a:1/b%41 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\nContent-Type: a\r\ncontent-type: b\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nCookie: a\r\nCookie: b\r\nX_A: 1\r\nX-A: 2\r\nX.A: 3\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, X\r\nUpgrade: websocket\r\nX: y\r\nConnection: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nForwarded: a\r\nRemote-Addr: b\r\nProxy: c\r\n\r\n",
	} {
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, head []byte, trusted bool) {
		var r http1.Request
		if n := http1.HeadLen(head, 0); n == 0 || r.Parse(head[:n], &limits) != nil {
			return
		}
		v := &uwsgi.Vars{ServerPort: 443, Remote: netip.MustParseAddrPort("203.0.113.7:1"), Length: 12, Trusted: trusted}
		before := []byte("before")
		p, err := uwsgi.AppendRequest(before, &r, v)
		if !bytes.HasPrefix(p, before) {
			t.Fatalf("got %q, which does not begin with what was there", p)
		}
		if err != nil {
			if refused, ok := err.(*http1.Error); !ok || refused.Status/100 != 4 || len(p) != len(before) {
				t.Fatalf("got %d bytes, %v", len(p), err)
			}
			return
		}
		vars, err := decode(p[len(before):])
		if err != nil {
			t.Fatal(err)
		}
		checkVariables(t, vars, &r, trusted)
	})
}

func checkVariables(t *testing.T, vars []variable, r *http1.Request, trusted bool) {
	seen := make(map[string]string)
	for _, v := range vars {
		if _, twice := seen[v.key]; twice {
			t.Fatalf("%s is there twice", v.key)
		}
		seen[v.key] = v.value
		switch {
		case slices.Contains(own, v.key), v.key == "CONTENT_TYPE":
		case !strings.HasPrefix(v.key, "HTTP_"):
			t.Fatalf("a client set %s", v.key)
		case strings.Trim(v.key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "", v.key == "HTTP_PROXY",
			!trusted && strings.HasPrefix(v.key, "HTTP_X_FORWARDED_"):
			t.Fatalf("a client got %s through", v.key)
		}
	}
	for key, want := range map[string]string{
		"REQUEST_METHOD": string(r.Method), "QUERY_STRING": string(r.Query), "REMOTE_ADDR": "203.0.113.7", "CONTENT_LENGTH": "12",
		"SERVER_PORT": "443", "HTTP_HOST": string(r.Host),
	} {
		if seen[key] != want {
			t.Fatalf("%s: got %q, want %q", key, seen[key], want)
		}
	}
	for key, want := range joined(r, trusted) {
		if seen[key] != want {
			t.Fatalf("%s: got %q, want %q", key, seen[key], want)
		}
	}
	path := seen["PATH_INFO"]
	if strings.Contains(path, "\x00") || strings.Contains("/"+path+"/", "/../") {
		t.Fatalf("PATH_INFO %q got through", path)
	}
}

// vouched matches the names by which proxies state who the client is.
var vouched = regexp.MustCompile("^(FORWARDED|X-FORWARDED(-.+)?|X-REAL-IP|(X-|TRUE-|X-CLUSTER-)?CLIENT-IP|X-(URL-)?SCHEME|FRONT-END-HTTPS|" +
	"CLIENT-CERT(-CHAIN)?|X-SSL-.*|SSL-CLIENT-.*|X-CLIENT-CERT.*)$")

// joined is another way to make variables of fields.
func joined(r *http1.Request, trusted bool) map[string]string {
	values := make(map[string][]string)
	for _, f := range r.Fields {
		name := strings.ToUpper(string(f.Name))
		switch {
		case f.HopByHop(), strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "",
			slices.Contains([]string{"HOST", "EXPECT", "CONTENT-LENGTH"}, name),
			!trusted && vouched.MatchString(name):
			continue
		}
		key := "HTTP_" + strings.ReplaceAll(name, "-", "_")
		if name == "CONTENT-TYPE" {
			key = "CONTENT_TYPE"
		}
		values[key] = append(values[key], string(f.Value))
	}
	vars := make(map[string]string)
	for key, list := range values {
		separator := ", "
		if key == "HTTP_COOKIE" {
			separator = "; "
		}
		vars[key] = strings.Join(list, separator)
	}
	return vars
}
