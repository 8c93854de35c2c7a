package http1

import (
	"strings"
	"testing"
)

func TestHeadLen(t *testing.T) {
	for _, tc := range []struct {
		name, input string
		want        int
	}{
		{"nothing", "", 0},
		{"no line end", "GET / HTTP/1.1", 0},
		{"no empty line", "GET / HTTP/1.1\r\nHost: x\r\n", 0},
		{"half an empty line", "GET / HTTP/1.1\r\nHost: x\r\n\r", 0},
		{"complete", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
		{"with what follows", "GET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n\r\n", 27},
		{"after an empty line", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 29},
		{"bare LF", "GET / HTTP/1.1\nHost: x\n\nbody", 24},
		{"LF CR LF", "GET / HTTP/1.1\n\r\n", 17},
		{"LF CR and more", "GET / HTTP/1.1\n\rHost: x", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := []byte(tc.input)
			if got := HeadLen(p, 0); got != tc.want {
				t.Errorf("whole: got %d, want %d", got, tc.want)
			}
			for name, cut := range cuts(len(p)) {
				if got := arrivingHeadLen(p, cut); got != tc.want {
					t.Errorf("%s: got %d, want %d", name, got, tc.want)
				}
			}
		})
	}
}

// arrivingHeadLen is the result of HeadLen for bytes that arrive in pieces.
func arrivingHeadLen(p []byte, cut func() int) int {
	for seen := 0; seen < len(p); {
		arrived := min(seen+cut(), len(p))
		if n := HeadLen(p[:arrived], seen); n > 0 {
			return n
		}
		seen = arrived
	}
	return 0
}

// TestHeadsInPieces: heads are read alike however they arrive.
func TestHeadsInPieces(t *testing.T) {
	for _, head := range []string{
		"GET /a?b HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
		"\r\nPOST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\nHost: example.com\n\n",
		"GET / HTTP/1.1\r\nHost: example.com\r\n x\r\n\r\n",
	} {
		want := readRequest([]byte(head))
		for name, cut := range cuts(len(head)) {
			n := arrivingHeadLen([]byte(head), cut)
			if got := readRequest([]byte(head[:n])); got != want {
				t.Errorf("%q %s: got %s, want %s", head, name, got, want)
			}
		}
	}
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.0 404\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 5\n\n",
	} {
		want := readResponse([]byte(head), "GET")
		for name, cut := range cuts(len(head)) {
			n := arrivingHeadLen([]byte(head), cut)
			if got := readResponse([]byte(head[:n]), "GET"); got != want {
				t.Errorf("%q %s: got %s, want %s", head, name, got, want)
			}
		}
	}
}

func TestPartial(t *testing.T) {
	for _, tc := range []struct {
		name, input string
		want        string
	}{
		{"nothing", "", ""},
		{"first half of an empty line", "\r", ""},
		{"empty line", "\r\n", ""},
		{"request line", "GET / HTTP/1.1\r\n", ""},
		{"as long a target as may be", "GET /" + strings.Repeat("a", testLimits.TargetLen-1), ""},
		{"a request line without end", "GET /" + strings.Repeat("a", 2*testLimits.TargetLen), "414: long request target"},
		{"the same after an empty line", "\r\nGET /" + strings.Repeat("a", 2*testLimits.TargetLen), "414: long request target"},
		{"as long a head as may be", "GET / HTTP/1.1\r\n" + strings.Repeat("a", testLimits.HeadLen-16), ""},
		{"a head without end", "GET / HTTP/1.1\r\n" + strings.Repeat("a", testLimits.HeadLen), "431: long head"},
		{"CRs without end", strings.Repeat("\r", testLimits.HeadLen+1), "414: long request target"},
		{"TLS", "\x16\x03\x01\x02\x00\x01", "400: malformed method"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, cut := range cuts(len(tc.input)) {
				if got := arrivingPartial([]byte(tc.input), cut); got != tc.want {
					t.Errorf("%s: got %q, want %q", name, got, tc.want)
				}
			}
		})
	}
}

func arrivingPartial(p []byte, cut func() int) string {
	for seen := 0; seen < len(p); {
		arrived := min(seen+cut(), len(p))
		if err := testLimits.Partial(p[:arrived], seen); err != nil {
			return describeError(err)
		}
		seen = arrived
	}
	return ""
}

func TestHostName(t *testing.T) {
	for host, want := range map[string]string{
		"": "", "a.example": "a.example", "a.example:443": "a.example", "A.Example.:0": "A.Example.",
		"127.0.0.1:80": "127.0.0.1", "[::1]": "[::1]", "[::1]:443": "[::1]",
	} {
		if got := (&Request{Host: []byte(host)}).HostName(); string(got) != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}
