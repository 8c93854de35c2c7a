package main

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"reprise/tlsconn"
)

// TestValidFirst: an expired certificate does not stand before a valid one of its name,
// and the order of names, of which the first is the fallback, stays.
func TestValidFirst(t *testing.T) {
	now := time.Now()
	cert := func(name, id string, left time.Duration) tlsconn.Certificate {
		return tlsconn.Certificate{Name: name, TLS: tls.Certificate{
			OCSPStaple: []byte(id), Leaf: &x509.Certificate{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(left)},
		}}
	}
	for _, tc := range []struct {
		certs []tlsconn.Certificate
		want  string
	}{
		{[]tlsconn.Certificate{cert("a", "a1", 1), cert("a", "a2", 1)}, "a1 a2"},
		{[]tlsconn.Certificate{cert("a", "a1", -1), cert("b", "b1", 1), cert("a", "a2", 1), cert("a", "a3", 1)}, "a2 b1 a3 a1"},
		{[]tlsconn.Certificate{cert("a", "a1", -1), cert("b", "b1", -1)}, "a1 b1"},
		{[]tlsconn.Certificate{cert("a", "a1", -1), cert("a", "a2", -1), cert("a", "a3", 1)}, "a3 a2 a1"},
	} {
		var got []string
		for _, c := range validFirst(tc.certs, now) {
			got = append(got, string(c.TLS.OCSPStaple))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%v, want %s", got, tc.want)
		}
	}
}
