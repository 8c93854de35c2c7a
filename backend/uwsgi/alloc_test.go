package uwsgi_test

import (
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"testing"

	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

// browser is a browser's request.
func browser(t testing.TB) *http1.Request {
	return parse(t, "GET /app/path%20with/escapes?q=search&lang=en HTTP/1.1", "Host: www.example.test",
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language: en-US,en;q=0.5",
		"Accept-Encoding: gzip, deflate, br", "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark", "Cookie: b=2",
		"Connection: keep-alive", "Referer: https://www.example.test/", "Upgrade-Insecure-Requests: 1",
		"Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: same-origin")
}

func TestNoAllocation(t *testing.T) {
	r := browser(t)
	v := withClient(certify(t, pkix.RDNSequence{rdn("2.5.4.3=client1")}, 1), true)
	v.Remote = netip.MustParseAddrPort("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535")
	v.Length = 1 << 40
	v.Rules, v.Facts = rules(t, http1.Rule{Op: http1.Set, Name: "X-Client", Value: "${REMOTE_ADDR} ${SSL_CLIENT_S_DN}"},
		http1.Rule{Op: http1.Add, Name: "Cookie", Value: "c=3"}, http1.Rule{
			Op:   http1.Remove,
			Name: "Referer",
		}), &http1.Facts{Client: v.Remote, Subject: "CN=a"}
	buf := make([]byte, 0, 8<<10)
	var err error
	allocs := testing.AllocsPerRun(100, func() {
		buf, err = uwsgi.AppendRequest(buf[:0], r, v)
	})
	if allocs != 0 || err != nil {
		t.Errorf("got %v allocations, %v, want 0", allocs, err)
	}
}

func BenchmarkAppendRequest(b *testing.B) {
	// The worst case for joining fields: as many as allowed, with names that differ only in their
	// last byte.
	hostile := []string{"GET / HTTP/1.1", "Host: a"}
	for i := range 100 {
		hostile = append(hostile, fmt.Sprintf("Accept-Something-Quite-Long-%03d: a", i))
	}
	for name, r := range map[string]*http1.Request{
		"small":   parse(b, "GET / HTTP/1.1", "Host: a", "Accept: */*"),
		"browser": browser(b),
		"hostile": parse(b, hostile...),
	} {
		b.Run("request="+name, func(b *testing.B) {
			b.ReportAllocs()
			v := plain()
			v.TLS = &uwsgi.TLS{Protocol: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", ServerName: "www.example.test"}
			var buf []byte
			for b.Loop() {
				buf, _ = uwsgi.AppendRequest(buf[:0], r, v)
			}
		})
	}
}
