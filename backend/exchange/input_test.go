package exchange

import (
	"strings"
	"testing"
)

// TestWantsInput: nothing is read while Next has input to work on: a client that sends requests
// faster than a turn serves them would fill the memory.
func TestWantsInput(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	const upload = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		name  string
		given []string // each kept after so many calls of Next
		nexts int
		room  bool
		want  bool
	}{
		{"nothing", nil, 0, true, true},
		{"nothing, and no room for answers", nil, 0, false, true},
		{"a part of a head", []string{request[:9]}, 1, true, true},
		{"two parts of a head", []string{request[:9], request[9:14]}, 1, true, true},
		{"a part of a head, and no room for answers", []string{request[:9]}, 1, false, false},
		{"a part of a head not looked at", []string{request[:9]}, 0, true, false},
		{"a request not looked at", []string{request}, 0, true, false},
		{"another request not looked at", []string{request + request}, 1, true, false},
		{"a part of one behind the request being served", []string{request + request[:9]}, 1, true, false},
		{"a body that is not awaited yet", []string{upload + "1\r\nx\r\n"}, 1, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c Conn
			s := new(Scratch)
			c.Start(options(), new(Client))
			for _, p := range test.given {
				c.Give([]byte(p))
				for range test.nexts {
					c.Next(s, Around{Room: true})
				}
				c.Keep()
			}
			if got := c.WantsInput(test.room); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
	t.Run("chunks not looked at", func(t *testing.T) {
		var c Conn
		s := new(Scratch)
		c.Start(options(), new(Client))
		c.Give([]byte(upload + strings.Repeat("1\r\nx\r\n", 10*maxPieces)))
		c.Next(s, Around{Room: true})
		c.Linked(s, Link{})
		c.Next(s, Around{Room: true})
		c.Keep()
		if !c.Exchange().WantsBody() || c.WantsInput(true) {
			t.Errorf("more input is wanted while chunks wait")
		}
	})
}
