package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestClientLimits(t *testing.T) {
	inPKI(t)
	writeFile(t, "deny.txt", []byte("# bad neighbours\n192.0.2.0/24\n\n  2001:db8::/32 # all of it\n198.51.100.7\n"))
	c := mustParse(t, good+`
client-connections = 100
client-handshakes = 10
client-requests = 50,200
client-prefix = 24,56
client-allow = 10.0.0.0/8, 127.0.0.1
client-allow = 2001:db8:1::/48
client-deny = 203.0.113.0/24
client-deny = @deny.txt
max-connections = 5000
`)
	networks := func(list ...string) (all []netip.Prefix) {
		for _, s := range list {
			all = append(all, netip.MustParsePrefix(s))
		}
		return all
	}
	if got, want := c.Limits, (ClientLimits{
		Connections: 100, Handshakes: Rate{10, 10}, Requests: Rate{50, 200}, Prefix4: 24, Prefix6: 56,
		Allow: ClientNetworks{Networks: networks("10.0.0.0/8", "127.0.0.1/32", "2001:db8:1::/48")},
		Deny: ClientNetworks{
			Networks: networks("203.0.113.0/24", "192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"), Files: []string{"deny.txt"},
		},
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %q", c.Warnings)
	}
	if !slices.Contains(c.ReloadDirs(), ".") {
		t.Errorf("the list's directory is not among %q", c.ReloadDirs())
	}
}

func TestWrongClientLimits(t *testing.T) {
	inPKI(t)
	writeFile(t, "deny.txt", []byte("192.0.2.0/24\n192.0.2.1/24\n"))
	network := `bad network "192.0.2.1/24": write 192.0.2.0/24, or 192.0.2.1 for one address`
	testWrong(t, []wrong{
		{
			name: "a rate that is not a number", ini: "client-requests = fast",
			want: `edge.ini:4: client-requests = "fast": bad number: write a whole number from 0 to 1000000`,
		},
		{
			name: "a burst of nothing", ini: "client-handshakes = 10,0",
			want: `edge.ini:4: client-handshakes = "10,0": burst "0": bad number: write a whole number from 1 to 1000000`,
		},
		{
			name: "half a prefix", ini: "client-prefix = 32",
			want: `edge.ini:4: client-prefix = "32": incomplete: write bits for IPv4 and for IPv6, such as 32,64`,
		},
		{
			name: "more than a subscriber's", ini: "client-prefix = 32,128",
			want: `edge.ini:4: client-prefix = "32,128": IPv6: bad number: write a whole number from 16 to 64`,
		},
		{
			name: "a network with bits of a host", ini: "client-deny = 192.0.2.1/24",
			want: `edge.ini:4: client-deny = "192.0.2.1/24": ` + network,
		},
		{
			name: "one in a file", ini: "client-deny = @deny.txt",
			want: `edge.ini:4: client-deny = "@deny.txt": line 2: ` + network,
		},
		{
			name: "no such file", ini: "client-allow = @none.txt",
			want: `edge.ini:4: client-allow = "@none.txt": cannot read: no such file or directory`,
		},
	})
}

func TestLimitsWithoutEffect(t *testing.T) {
	inPKI(t)
	for _, test := range []struct{ ini, want string }{
		{
			"tls-engine = standard\nclient-handshakes = 1",
			`edge.ini:5: client-handshakes = "1": no effect with tls-engine = standard, which does not tell full handshakes from others before they are made`,
		},
	} {
		if got := strings.Join(mustParse(t, good+test.ini).Warnings, "\n"); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", fmt.Sprint(test.ini), got, test.want)
		}
	}
}
