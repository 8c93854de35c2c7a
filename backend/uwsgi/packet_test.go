package uwsgi_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

var limits = http1.Limits{
	HeadLen: 128 << 10, TargetLen: 64 << 10, FieldLen: 200,
	TrailerLen: 1 << 10,
}

// parse reads a head whose lines are given without their ends.
func parse(t testing.TB, lines ...string) *http1.Request {
	t.Helper()
	r := new(http1.Request)
	if err := r.Parse([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), &limits); err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	return r
}

// plain is a client without TLS and a request without a body.
func plain() *uwsgi.Vars {
	return &uwsgi.Vars{ServerPort: 8080, Remote: netip.MustParseAddrPort("203.0.113.7:52930"), Length: -1}
}

type variable struct{ key, value string }

// decode is the application's side: it reads a packet that fills p.
func decode(p []byte) (vars []variable, err error) {
	if len(p) < 4 || p[0] != 0 || p[3] != 0 {
		return nil, fmt.Errorf("not a request: % x", p[:min(len(p), 4)])
	}
	size := int(binary.LittleEndian.Uint16(p[1:]))
	if p = p[4:]; len(p) != size {
		return nil, fmt.Errorf("%d bytes of variables, the header says %d", len(p), size)
	}
	next := func() (s string) {
		if len(p) >= 2 {
			if n := int(binary.LittleEndian.Uint16(p)); n <= len(p)-2 {
				s, p = string(p[2:2+n]), p[2+n:]
				return s
			}
		}
		err, p = fmt.Errorf("after %v: overrun: % x", vars, p), nil
		return ""
	}
	for len(p) > 0 {
		vars = append(vars, variable{next(), next()})
	}
	return vars, err
}

// variables returns what an application gets.
func variables(t testing.TB, r *http1.Request, v *uwsgi.Vars) []variable {
	t.Helper()
	p, err := uwsgi.AppendRequest(nil, r, v)
	if err != nil {
		t.Fatal(err)
	}
	vars, err := decode(p)
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

// lookUp returns the value of a variable, and fails the test if it occurs twice.
func lookUp(t testing.TB, vars []variable, key string) (value string, found bool) {
	t.Helper()
	for _, v := range vars {
		if v.key == key {
			if found {
				t.Errorf("%s is there twice", key)
			}
			value, found = v.value, true
		}
	}
	return value, found
}
