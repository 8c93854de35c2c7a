package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Errors in the options of the admin server are reported by Parse, and so by check.
func TestAdminOptions(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", "0123456789abcdef\n")
	tests := []struct {
		name    string
		args    []string
		want    string // of the error
		warning string
	}{
		{name: "all well", args: []string{"--admin=127.0.0.1:9090", "--admin=/run/a.sock", "--admin-token-file=" + good, "--admin-host=Edge.example"}},
		{name: "an address twice", args: []string{"--admin=127.0.0.1:9090", "--admin=127.0.0.1:9090"}, want: "127.0.0.1:9090 is taken by admin"},
		{name: "no address", args: []string{"--admin=9090"}, want: "no port: write host:port"},
		{name: "no token there", args: []string{"--admin=:9090", "--admin-token-file=" + dir + "/none"}, want: "cannot read"},
		{name: "a short token", args: []string{"--admin=:9090", "--admin-token-file=" + write("short", "secret\n")}, want: "a secret at least 16"},
		{
			name: "a token of two lines", args: []string{"--admin=:9090", "--admin-token-file=" + write("lines", "0123456789abcdef\nx\n")},
			want: "has more than one line of letters, digits and signs",
		},
		{name: "a token without TCP", args: []string{"--admin-token-file=" + good}, warning: "a unix socket asks for no token"},
		{name: "a host with a port", args: []string{"--admin-host=edge.example:9090"}, want: "write a DNS name without a port"},
	}
	for _, tt := range tests {
		c, err := Parse(append([]string{"--rawrouter=127.0.0.1:1", "--rawrouter-to=127.0.0.1:2"}, tt.args...))
		switch {
		case tt.want == "" && err != nil, tt.want != "" &&
			(err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		case tt.warning != "" && !slices.ContainsFunc(c.Warnings,
			func(w string) bool { return strings.Contains(w, tt.warning) }):
			t.Errorf("%s: warnings %q, want %q", tt.name, c.Warnings, tt.warning)
		}
	}
}

// Commands read the address of the admin server, whatever else the file says.
func TestReadAdmin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edge.ini")
	text := "[reprise]\nhttps = :443,/nowhere/cert.pem,/nowhere/key.pem\nadmin = 127.0.0.1:9090\nidel-timeout = 5\nadmin = %dadmin.sock\n" +
		"admin-token-file = /nowhere/token\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAdmin([]string{file})
	want := []Address{{Network: "tcp", Host: "127.0.0.1", Port: 9090}, {Network: "unix", Path: filepath.Dir(file) + "/admin.sock"}}
	if err != nil || !slices.Equal(got.Addresses, want) || got.TokenFile != "/nowhere/token" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ReadAdmin([]string{file + "x"}); err == nil {
		t.Error("a file that is not there is no error")
	}
}
