package config

import (
	"crypto/tls"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"reprise/config/values"
)

func TestListeners(t *testing.T) {
	inPKI(t)
	c := mustParse(t, `[reprise]
sslrouter = 127.0.0.1:1 , cert.pem , key.pem , ECDHE-ECDSA-AES128-GCM-SHA256 , !ca.pem
sslrouter2 = addr=[0::1]:2,cert=cert.pem,key=key.pem,crt=rsa.pem,key=rsa-key.pem,client-ca=ca.pem,alpn=h2;http/1.1,context=shared
sslrouter-alpn = http/1.1
sni = *.A.example cert.pem,key.pem,ECDHE-RSA-AES256-GCM-SHA384
sni = *.a.example,rsa.pem,rsa-key.pem
sni = www.a.example	cert.pem,key.pem
sslrouter-to = /run/backend
`)
	ecdsa, rsa := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
	required, optional := Policy{ClientCA: "ca.pem", ClientCARequired: true}, Policy{ClientCA: "ca.pem"}
	with := func(p Policy, ciphers []uint16) Policy { p.Ciphers = ciphers; return p }
	want := []Listener{
		{
			Source: "edge.ini:2",
			Addr:   Address{Network: "tcp", Host: "127.0.0.1", Port: 1},
			TLS: &TLS{
				Policy: with(required, ecdsa),
				Certs: []Certificate{
					{Name: "", CertFile: "cert.pem", KeyFile: "key.pem", Policy: with(required, ecdsa)},
					{Name: "*.a.example", CertFile: "cert.pem", KeyFile: "key.pem", Policy: with(required, rsa)},
					{Name: "*.a.example", CertFile: "rsa.pem", KeyFile: "rsa-key.pem", Policy: with(required, rsa)},
					{Name: "www.a.example", CertFile: "cert.pem", KeyFile: "key.pem", Policy: with(required, ecdsa)},
				},
				ALPN:           []string{"http/1.1"},
				SessionContext: "sslrouter-127.0.0.1:1",
			},
		},
		{
			Source: "edge.ini:3",
			Addr:   Address{Network: "tcp", Host: "::1", Port: 2},
			TLS: &TLS{
				Policy: optional,
				Certs: []Certificate{
					{Name: "", CertFile: "cert.pem", KeyFile: "key.pem", Policy: optional},
					{Name: "", CertFile: "rsa.pem", KeyFile: "rsa-key.pem", Policy: optional},
					{Name: "*.a.example", CertFile: "cert.pem", KeyFile: "key.pem", Policy: with(optional, rsa)},
					{Name: "*.a.example", CertFile: "rsa.pem", KeyFile: "rsa-key.pem", Policy: with(optional, rsa)},
					{Name: "www.a.example", CertFile: "cert.pem", KeyFile: "key.pem", Policy: optional},
				},
				ALPN:           []string{"h2", "http/1.1"},
				SessionContext: "shared",
			},
		},
	}
	if !reflect.DeepEqual(c.Listeners, want) {
		t.Errorf("got  %+v\nwant %+v", c.Listeners, want)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("unexpected warnings %q", c.Warnings)
	}
}

// A name may demand more of clients than its listener where each request's name is checked;
// elsewhere all names must demand the same.
func TestPolicyOfAName(t *testing.T) {
	inPKI(t)
	c := mustParse(t, "[reprise]\nhttps = :1,cert.pem,key.pem,,ca.pem\nhttp-to = /run/app\n"+
		"sni = a.example cert.pem,key.pem,,!ca.pem\nsni = a.example rsa.pem,rsa-key.pem\nsni = *.a.example cert.pem,key.pem")
	required, optional := Policy{ClientCA: "ca.pem", ClientCARequired: true}, Policy{ClientCA: "ca.pem"}
	want := []Certificate{
		{Name: "", CertFile: "cert.pem", KeyFile: "key.pem", Policy: optional},
		{Name: "a.example", CertFile: "cert.pem", KeyFile: "key.pem", Policy: required},
		{Name: "a.example", CertFile: "rsa.pem", KeyFile: "rsa-key.pem", Policy: required},
		{Name: "*.a.example", CertFile: "cert.pem", KeyFile: "key.pem", Policy: optional},
	}
	if got := certsOf(c); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	c = mustParse(t, "[reprise]\nhttps = :1,cert.pem,key.pem\nhttp = :2\nhttp-to = /run/app\n"+
		"sni = a.example cert.pem,key.pem,,!ca.pem\nsni = b.example expired.pem,expired-key.pem,,ca.pem")
	const warning = `edge.ini:5: sni = "a.example cert.pem,key.pem,,!ca.pem": the http listener at edge.ini:3 ` +
		"serves a.example to clients without a certificate: write http-to-https there"
	if !slices.Contains(c.Warnings, warning) ||
		slices.ContainsFunc(c.Warnings, func(w string) bool { return strings.Contains(w, "serves b.example") }) {
		t.Errorf("got warnings %q, want %q", c.Warnings, warning)
	}
	c = mustParse(t, "[reprise]\nhttps = :1,cert.pem,key.pem\nhttp-to-https = :2\nhttp-to = /run/app\nsni = a.example cert.pem,key.pem,,!ca.pem")
	if len(c.Warnings) > 0 {
		t.Errorf("got warnings %q, want none", c.Warnings)
	}
	c = mustParse(t, "[reprise]\nsslrouter = :1,cert.pem,key.pem,,!ca.pem\nsslrouter-to = /run/app\n"+
		"sni = a.example cert.pem,key.pem,,!ca.pem\nsni = *.a.example cert.pem,key.pem")
	for _, cert := range certsOf(c) {
		if cert.Policy.ClientCA != "ca.pem" || !cert.Policy.ClientCARequired {
			t.Errorf("%q: got %+v", cert.Name, cert.Policy)
		}
	}
}

func TestEscapedComma(t *testing.T) {
	got, err := values.Pairs(`a=1\,2\\,b-c`)
	if want := []values.Pair{{Key: "a", Value: `1,2\`}, {Key: "b_c"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestWarnings(t *testing.T) {
	inPKI(t)
	tests := []struct {
		name, ini string
		want      string // after the place and value; several joined by newlines
	}{
		{"expired", "sni = a.example expired.pem,expired-key.pem", "expired.pem expired on "},
		{"another name", "sni = b.example cert.pem,key.pem", "cert.pem is not a certificate for b.example"},
		{"another wildcard", "sni = *.b.example cert.pem,key.pem", "cert.pem is not a certificate for *.b.example"},
		{
			"keywords", "sslrouter = :1,cert.pem,key.pem,EECDH+AESGCM:HIGH:!aNULL",
			"cipher EECDH+AESGCM:HIGH:!aNULL means crypto/tls's own list of secure suites",
		},
		{
			"a list that browsers' vendors publish",
			"sslrouter = :1,cert.pem,key.pem,ECDHE-ECDSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256:!RC4",
			"cipher !RC4 has no effect: only suites that are named are offered\n" +
				"cipher TLS_AES_128_GCM_SHA256 has no effect: the suites of TLS 1.3 are always offered\n" +
				"cipher DHE-RSA-AES128-GCM-SHA256 is left out: crypto/tls lacks it or considers it insecure",
		},
		{"blocksize of no cache", "cache-blocksize = 4096", "no effect without cache = ITEMS"},
		{"nothing", "sni = any.a.example cert.pem,key.pem", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustParse(t, good+test.ini)
			wants := strings.FieldsFunc(test.want, func(r rune) bool { return r == '\n' })
			if len(c.Warnings) != len(wants) {
				t.Fatalf("got %d warnings %q, want %d", len(c.Warnings), c.Warnings, len(wants))
			}
			for i, want := range wants {
				if !strings.HasPrefix(c.Warnings[i], "edge.ini:4: ") || !strings.Contains(c.Warnings[i], `": `+want) {
					t.Errorf("got %s, want %s", c.Warnings[i], want)
				}
			}
		})
	}
}

func TestWarningAboutLinesOutsideSections(t *testing.T) {
	inPKI(t)
	c := mustParse(t, "name = a\n"+good)
	want := []string{`edge.ini:1: "name" stands before the first section: ignored`}
	if !slices.Equal(c.Warnings, want) || c.Name != "" {
		t.Errorf("got %q and name %q, want %q and none", c.Warnings, c.Name, want)
	}
}

func TestWarningAboutCertificateOfTomorrow(t *testing.T) {
	inPKI(t)
	b := newBuilder()
	from := setting{optionsByName["sni"], "sni", "a.example cert.pem,key.pem", "edge.ini:1"}
	b.checkCertificate(from, Certificate{CertFile: "cert.pem", KeyFile: "key.pem"}, make(offers),
		time.Now().Add(-48*time.Hour))
	if w := b.config.Warnings; len(w) != 1 || !strings.Contains(w[0], "cert.pem is not valid before ") || len(b.errs) > 0 {
		t.Errorf("got warnings %q and errors %v, want one warning", w, b.errs)
	}
}

func TestWarningAboutReadableKey(t *testing.T) {
	inPKI(t)
	if err := os.Chmod("key.pem", 0o644); err != nil {
		t.Fatal(err)
	}
	c := mustParse(t, good)
	want := []string{`edge.ini:2: sslrouter = ":8443,cert.pem,key.pem": every user of this machine can read key.pem: chmod 600 it`}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("got %q, want %q", c.Warnings, want)
	}
}

func TestParseCiphers(t *testing.T) {
	tests := []struct {
		name, list string
		want       []uint16
	}{
		{"empty", "", nil},
		{"OpenSSL", "ECDHE-ECDSA-AES128-GCM-SHA256", []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}},
		{"IANA", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}},
		{"ChaCha20", "ECDHE-RSA-CHACHA20-POLY1305", []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}},
		{"CBC", "ECDHE-RSA-AES256-SHA", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA}},
		{
			"both spellings of one suite, and another",
			"ECDHE-RSA-AES128-GCM-SHA256:TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
			[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
		},
		{"a keyword opens the list", "ECDHE-RSA-AES128-GCM-SHA256:HIGH", nil},
		{"insecure beside secure", "DES-CBC3-SHA:ECDHE-RSA-RC4-SHA:ECDHE-RSA-AES128-GCM-SHA256", []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := parseCiphers(test.list)
			if err != nil || !slices.Equal(got, test.want) || (got == nil) != (test.want == nil) {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

// TestCertificateNeverServed: of two for one name and kind of key only the first valid
// one is offered.
func TestCertificateNeverServed(t *testing.T) {
	inPKI(t)
	from := setting{optionsByName["sni"], "sni", "", "edge.ini:1"}
	for _, tc := range []struct {
		files []string
		want  string // of the last warning
	}{
		{[]string{"cert", "rsa"}, ""},
		{[]string{"expired", "cert"}, ""},
		{[]string{"cert", "cert"}, "cert.pem is never served: cert.pem comes first"},
		{[]string{"cert", "expired"}, "expired.pem is never served: cert.pem comes first"},
	} {
		b := newBuilder()
		offered := make(offers)
		for _, f := range tc.files {
			key := strings.TrimPrefix(f+"-key.pem", "cert-")
			b.checkCertificate(from, Certificate{Name: "a.example", CertFile: f + ".pem", KeyFile: key}, offered, time.Now())
		}
		var never []string
		for _, w := range b.config.Warnings {
			if strings.Contains(w, "never served") {
				never = append(never, w)
			}
		}
		if len(b.errs) > 0 || tc.want == "" && len(never) > 0 || tc.want != "" &&
			(len(never) != 1 || !strings.Contains(never[0], tc.want)) {
			t.Errorf("%v: %q and %v, want %q", tc.files, never, b.errs, tc.want)
		}
	}
}
