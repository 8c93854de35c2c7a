package uwsgi_test

import (
	"crypto/x509/pkix"
	"testing"

	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

func rules(t testing.TB, list ...http1.Rule) *http1.Rules {
	t.Helper()
	r, err := http1.NewRules(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRules checks which variables rules write, and that a client cannot write them.
func TestRules(t *testing.T) {
	cert := uwsgi.NewClient(certify(t, pkix.RDNSequence{rdn("2.5.4.3=a, b\r\nX: é")}, 10), false)
	facts := &http1.Facts{Protocol: "TLSv1.3", ServerName: "a.test"}
	cert.Tell(facts)
	v := plain()
	v.Facts = facts
	v.Rules = rules(t,
		http1.Rule{Op: http1.Set, Name: "X-Client-DN", Value: "${SSL_CLIENT_S_DN}"},
		http1.Rule{Op: http1.Set, Name: "X_Name", Value: "${SSL_SERVER_NAME}"},
		http1.Rule{Op: http1.Set, Name: "X-None", Value: "${REMOTE_ADDR}"}, // not in the facts
		http1.Rule{Op: http1.Add, Name: "Cookie", Value: "c=3"},
		http1.Rule{Op: http1.Add, Name: "Via", Value: "us"},
		http1.Rule{Op: http1.Add, Name: "X-New", Value: "1"},
		http1.Rule{Op: http1.Set, Name: "Content-Type", Value: "a/b"},
		http1.Rule{Op: http1.Set, Name: "X-Forwarded-Proto", Value: "https"},
		http1.Rule{Op: http1.Remove, Name: "Accept"},
	)
	vars := variables(t, parse(t, "GET / HTTP/1.1", "Host: a", "X-Client-DN: CN=root", "X-Name: b", "X-None: c", "Cookie: a=1", "Cookie: b=2",
		"Via: 1.0 x", "Content-Type: c/d", "X-Forwarded-Proto: http", "Accept: *"), v)
	for key, want := range map[string]string{
		"HTTP_X_CLIENT_DN": `CN=a\, b\0D\0AX: \C3\A9`, "HTTP_X_NAME": "a.test", "HTTP_X_NONE": absent, "HTTP_COOKIE": "a=1; b=2; c=3", "HTTP_VIA": "1.0 x, us",
		"HTTP_X_NEW": "1", "CONTENT_TYPE": "a/b", "HTTP_X_FORWARDED_PROTO": "https", "HTTP_ACCEPT": absent, "HTTP_HOST": "a",
	} {
		got, found := lookUp(t, vars, key)
		if !found {
			got = absent
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

// TestServerNameWithoutHost: PEP 3333 forbids an empty SERVER_NAME.
func TestServerNameWithoutHost(t *testing.T) {
	v := plain()
	v.Host = "edge.test"
	for line, want := range map[string]string{"GET / HTTP/1.0": "edge.test", "GET http://a:1/ HTTP/1.0": "a"} {
		if got, _ := lookUp(t, variables(t, parse(t, line), v), "SERVER_NAME"); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
