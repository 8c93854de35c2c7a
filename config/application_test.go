package config

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestApplication(t *testing.T) {
	inPKI(t)
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("venv", 0o700); err != nil {
		t.Fatal(err)
	}
	c := mustParse(t, good+`
module = werkzeug.testapp:test_app
callable = app
pythonpath = /srv/a
pp = /srv/b
home = `+dir+`/venv
chdir = /srv
socket = 127.0.0.1:3031
uwsgi-socket = app.sock
env = A=1
env = B=x=y
processes = 4
uwsgi-option = single-interpreter
`)
	want := Application{
		Module:     "werkzeug.testapp:test_app",
		Callable:   "app",
		PythonPath: []string{"/srv/a", "/srv/b"},
		Home:       dir + "/venv",
		Dir:        "/srv",
		Sockets:    []Address{{Network: "tcp", Host: "127.0.0.1", Port: 3031}, {Network: "unix", Path: dir + "/app.sock"}},
		Env:        []string{"A=1", "B=x=y"},
		Options:    []string{"processes=4", "single-interpreter"},
	}
	if !reflect.DeepEqual(c.Application, want) || c.Application.IsZero() || len(c.Warnings) > 0 {
		t.Errorf("got  %+v\nwant %+v\nwarnings %q", c.Application, want, c.Warnings)
	}

	var printed bytes.Buffer
	if err := c.Print(&printed); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nenv = A=***\n", "\nuwsgi-option = processes=4\n", "\nvirtualenv = " + dir + "/venv\n"} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &printed)
		}
	}
	again := mustParse(t, printed.String())
	if len(again.Warnings) != 2 || !strings.HasSuffix(again.Warnings[1], `env = "B=***": *** stands for a value that was not shown: write the value`) {
		t.Errorf("got warnings %q, want one for each hidden value", again.Warnings)
	}
	again.Warnings = nil
	normalize(c)
	normalize(again)
	if !reflect.DeepEqual(c, again) {
		t.Errorf("got  %+v\nwant %+v", again, c)
	}
}

func TestApplicationByFile(t *testing.T) {
	inPKI(t)
	writeFile(t, "app.py", nil)
	if c := mustParse(t, good+"wsgi-file = app.py"); c.Application.File != "app.py" || c.Application.IsZero() {
		t.Errorf("got %+v", c.Application)
	}
}

func TestNoApplication(t *testing.T) {
	inPKI(t)
	c := mustParse(t, good+"chdir = /srv\nprocesses = 4\nsocket = :3031")
	want := []string{
		`edge.ini:4: chdir = "/srv": no effect without module or wsgi-file`,
		`edge.ini:6: socket = ":3031": no effect without module or wsgi-file`,
	}
	if !c.Application.IsZero() || !reflect.DeepEqual(c.Warnings, want) {
		t.Errorf("got %+v and warnings %q, want none and %q", c.Application, c.Warnings, want)
	}
}

func TestSNIDir(t *testing.T) {
	inPKI(t)
	if err := os.Mkdir("names", 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"cert.pem": "A.example.crt", "key.pem": "A.example.key", "ca.pem": "A.example.ca",
		"rsa.pem": "*.a.example.crt", "rsa-key.pem": "*.a.example.key", "text.pem": "README",
	} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, "names/"+to, data)
	}
	c := mustParse(t, "[reprise]\nhttps = :8443,cert.pem,key.pem\nhttp-to = 127.0.0.1:9000\nsni-dir-ciphers = ECDHE-RSA-AES128-GCM-SHA256\nsni-dir = names\n")
	var got []string
	for _, cert := range certsOf(c)[1:] {
		got = append(got, fmt.Sprint(cert.Name, " ", cert.CertFile, " ", cert.KeyFile, " ", cert.ClientCA, " ",
			len(cert.Ciphers)))
	}
	want := []string{
		"*.a.example names/*.a.example.crt names/*.a.example.key  1",
		"a.example names/A.example.crt names/A.example.key names/A.example.ca 1",
	}
	if !reflect.DeepEqual(got, want) || len(c.Warnings) > 0 {
		t.Errorf("got %q and warnings %q, want %q and none", got, c.Warnings, want)
	}
}

// TestSNIDirKeepsAuthorities: an authority that cannot be read is an error, not one left out.
func TestSNIDirKeepsAuthorities(t *testing.T) {
	inPKI(t)
	if err := os.Mkdir("names", 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"cert.pem": "a.example.crt", "key.pem": "a.example.key"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, "names/"+to, data)
	}
	if err := os.Symlink("nowhere", "names/a.example.ca"); err != nil {
		t.Fatal(err)
	}
	const ini = "[reprise]\nhttps = :8443,cert.pem,key.pem\nhttp-to = 127.0.0.1:9000\nsni-dir = names\n"
	writeFile(t, "names.ini", []byte(ini))
	if _, err := Parse([]string{"names.ini"}); err == nil || !strings.Contains(err.Error(), "a.example.ca") {
		t.Errorf("at start: got %v, want an error about a.example.ca", err)
	}
	c, err := Reread([]string{"names.ini"})
	if err != nil {
		t.Fatal(err)
	}
	for _, cert := range certsOf(c) {
		if cert.Name == "a.example" && cert.ClientCA == "" {
			t.Error("at a reload the name is served without asking for client certificates")
		}
	}
	if len(c.Unusable) != 1 {
		t.Errorf("%d unusable certificates, want that of a.example", len(c.Unusable))
	}
}

// certsOf returns the certificates of the first listener.
func certsOf(c *Config) []Certificate { return c.Listeners[0].TLS.Certs }

func TestFurtherOptionsOfUWSGI(t *testing.T) {
	inPKI(t)
	c := mustParse(t, good+"http-stats = :1\nrawrouter-stats-server = [::1]:2\nsslrouter-ss = /run/stats\ncache-expire-freq = 10\n")
	want := map[string]Address{
		"http":      {Network: "tcp", Port: 1},
		"rawrouter": {Network: "tcp", Host: "::1", Port: 2},
		"sslrouter": {Network: "unix", Path: "/run/stats"},
	}
	if !reflect.DeepEqual(c.RouterStats, want) || c.CacheSweep != 10*time.Second {
		t.Errorf("got %v and %v, want %v and 10s", c.RouterStats, c.CacheSweep, want)
	}
}
