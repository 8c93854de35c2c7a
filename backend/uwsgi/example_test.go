package uwsgi_test

import (
	"fmt"
	"net/netip"

	"reprise/backend/http1"
	"reprise/backend/uwsgi"
)

// A request of an HTTP client becomes a packet for an application server.
func ExampleAppendRequest() {
	var r http1.Request
	head := []byte("GET /hello%20world HTTP/1.1\r\nHost: www.example.test\r\n\r\n")
	if err := r.Parse(head, &http1.Limits{
		HeadLen: 16 << 10, TargetLen: 8 << 10,
		FieldLen: 100,
	}); err != nil {
		fmt.Println(err)
		return
	}
	packet, err := uwsgi.AppendRequest(nil, &r, &uwsgi.Vars{
		ServerPort: 443,
		Remote:     netip.MustParseAddrPort("203.0.113.7:54321"),
		Length:     -1,
		TLS:        &uwsgi.TLS{Protocol: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256"},
	})
	fmt.Printf("%q... %v\n", packet[:50], err)
	// Output:
	// "\x00\x92\x01\x00\x0e\x00REQUEST_METHOD\x03\x00GET\t\x00PATH_INFO\f\x00/hello world"... <nil>
}
