package config

import "testing"

func TestParseAddress(t *testing.T) {
	tests := []struct {
		in   string
		want Address
		out  string
	}{
		{"127.0.0.1:80", Address{Network: "tcp", Host: "127.0.0.1", Port: 80}, "127.0.0.1:80"},
		{":0", Address{Network: "tcp"}, ":0"},
		{"[::1]:443", Address{Network: "tcp", Host: "::1", Port: 443}, "[::1]:443"},
		{"[2001:DB8:0:0::1]:443", Address{Network: "tcp", Host: "2001:db8::1", Port: 443}, "[2001:db8::1]:443"},
		{"[fe80::1%eth0]:1", Address{Network: "tcp", Host: "fe80::1%eth0", Port: 1}, "[fe80::1%eth0]:1"},
		{"App_1.Example.com:08080", Address{Network: "tcp", Host: "app_1.example.com", Port: 8080}, "app_1.example.com:8080"},
		{"/run/x.sock", Address{Network: "unix", Path: "/run/x.sock"}, "/run/x.sock"},
	}
	for _, test := range tests {
		got, err := ParseAddress(test.in)
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", test.in, got, err, test.want)
		}
		if got.String() != test.out {
			t.Errorf("%s: got %s, want %s", test.in, got, test.out)
		}
	}
	if zero := (Address{}); !zero.IsZero() || zero.String() != "" {
		t.Errorf("the zero Address is %q", zero)
	}
}

// An address that is read is written in a form that reads as the same one.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{":1", "a:1", "[::1]:1", "[::ffff:1.2.3.4]:1", "[fe80::1%25eth0]:1", "/x", "1.2.3.4:0", "[]:1", "[a]:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			if a != (Address{}) {
				t.Fatalf("%q: got %+v beside %v", s, a, err)
			}
			return
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Fatalf("%q: got %+v, then %+v, %v", s, a, again, err)
		}
	})
}
