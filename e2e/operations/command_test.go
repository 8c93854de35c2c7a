package operations

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reprise/e2e/harness"
	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// TestWrongConfiguration: one line that says what is wrong, where, and what would be right; and
// the exit status of a wrong configuration. It is long because it is a table.
func TestWrongConfiguration(t *testing.T) {
	pki := testpki.New(t)
	cert, other := pki.Server(testpki.ECDSA, "localhost"), pki.Server(testpki.ECDSA, "localhost")
	taken := nettest.Serve(t, nettest.Echo).Addr
	running, _ := harness.EchoServer(t, testpki.ECDSA)
	file := func(name, text string) string {
		path := filepath.Join(pki.Dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const backend = "--sslrouter-to=127.0.0.1:9000"
	pair := "," + cert.CertFile + "," + cert.KeyFile
	for _, test := range []struct {
		name string
		args []string
		want []string // the line contains
	}{
		{"nothing", nil, []string{"no listener", "add https = ADDR,CERT,KEY"}},
		{"no backend", []string{"--sslrouter=:8443" + pair}, []string{"--sslrouter", "no backend", "add sslrouter-to"}},
		{"missing certificate", []string{"--sslrouter=:8443,/nowhere/cert.pem," + cert.KeyFile, backend}, []string{"--sslrouter", "cannot read /nowhere/cert.pem", "no such file"}},
		{"missing key", []string{"--sslrouter=:8443," + cert.CertFile + ",/nowhere/key.pem", backend}, []string{"--sslrouter", "cannot read /nowhere/key.pem", "no such file"}},
		{
			"key that does not match",
			[]string{"--sslrouter=:8443," + cert.CertFile + "," + other.KeyFile, backend},
			[]string{"--sslrouter", other.KeyFile + " is not the key of " + cert.CertFile, "name the pair"},
		},
		{"no certificate in the file", []string{"--sslrouter=:8443," + file("no.pem", "hello") + "," + cert.KeyFile, backend}, []string{"--sslrouter", "no.pem"}},
		{"missing client CA", []string{"--sslrouter=:8443" + pair + ",,!/nowhere/ca.pem", backend}, []string{"--sslrouter", "cannot read /nowhere/ca.pem"}},
		{"unknown option", []string{"--sslroutr=:8443" + pair, backend}, []string{"--sslroutr", "sslrouter"}},
		{"unknown key", []string{file("key.ini", "[reprise]\nsslrouter = :8443"+pair+"\nsslrouterto = 127.0.0.1:9000\n"), backend}, []string{"key.ini:3", "sslrouterto", "sslrouter-to"}},
		{"a client CA that clients could go round", []string{"--sslrouter=:8443" + pair, backend, "--sni=localhost" + pair + ",,!" + pki.CAFile}, []string{"--sni", "clients could go round CLIENTCA", "or use https"}},
		{"missing file", []string{"/nowhere/edge.ini"}, []string{"/nowhere/edge.ini", "no such file"}},
		{"bad number", []string{"--sslrouter=:8443" + pair, backend, "--high-watermark=lots"}, []string{"--high-watermark", "lots", "such as 65536 or 64k"}},
		{"contradiction", []string{"--sslrouter=:8443" + pair, backend, "--cache-udp-heartbeat=5s"}, []string{"--cache-udp-heartbeat", "is not above", "raise it"}},
		{"no port", []string{"--sslrouter=127.0.0.1" + pair, backend}, []string{"--sslrouter", "no port", "write host:port"}},
		{"bad port", []string{"--sslrouter=127.0.0.1:99999" + pair, backend}, []string{"--sslrouter", "99999", "0 to 65535"}},
		{"bad backend", []string{"--sslrouter=:8443" + pair, "--sslrouter-to=localhost"}, []string{"--sslrouter-to", "no port", "write host:port"}},
		{"not our address", []string{"--sslrouter=192.0.2.1:8443" + pair, backend}, []string{"192.0.2.1:8443", "cannot assign requested address", ":PORT listens on all"}},
		{"missing directory", []string{"--sslrouter=/nowhere/socket" + pair, backend}, []string{"/nowhere/socket", "no such file or directory"}},
		{"a file, no socket", []string{"--sslrouter=" + file("plain", "") + pair, backend}, []string{"plain", "not a socket"}},
		{"port in use", []string{"--sslrouter=" + taken + pair, backend}, []string{taken, "address already in use", "choose another"}},
		{"port in use by another reprise", []string{"--sslrouter=" + running.Addr() + pair, backend}, []string{running.Addr(), "address already in use", "choose another"}},
		{"stats port in use", []string{"--sslrouter=127.0.0.1:0" + pair, backend, "--stats=" + taken}, []string{"stats", taken, "in use", "choose another"}},
		{"admin port in use", []string{"--sslrouter=127.0.0.1:0" + pair, backend, "--admin=" + taken}, []string{"admin", taken, "in use", "choose another"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: test.args})
			if r.ExitCode != harness.ExitConfig || r.Stdout != "" {
				t.Errorf("exit code %d, standard output %q, want %d and none", r.ExitCode, r.Stdout, harness.ExitConfig)
			}
			if line, rest, _ := strings.Cut(r.Stderr, "\n"); !strings.HasPrefix(line, "reprise: ") || rest != "" {
				t.Errorf("want one line, got:\n%s", r.Stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(r.Stderr, want) {
					t.Errorf("want %q in:\n%s", want, r.Stderr)
				}
			}
		})
	}
}

// TestFailedStartLeavesNothing: sockets bound before the mistake was found are gone.
func TestFailedStartLeavesNothing(t *testing.T) {
	pki := testpki.New(t)
	cert, socket := pki.Server(testpki.ECDSA, "localhost"), harness.UnixAddr(t)
	r := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: []string{
		"--sslrouter=" + socket + "," + cert.CertFile + "," + cert.KeyFile, "--sslrouter-to=127.0.0.1:9000",
		"--stats=" + nettest.Serve(t, nettest.Echo).Addr,
	}})
	if _, err := os.Stat(socket); r.ExitCode != harness.ExitConfig || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("exit code %d, the socket: %v", r.ExitCode, err)
	}
}

// TestRuntimeFailure: a failure that no change of the configuration fixes has its own exit status.
func TestRuntimeFailure(t *testing.T) {
	r := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: []string{"demo"}, Env: []string{"TMPDIR=/nowhere"}})
	if r.ExitCode != harness.ExitFailure || strings.Count(r.Stderr, "\n") != 1 ||
		!strings.Contains(r.Stderr, "/nowhere") {
		t.Errorf("exit code %d, want %d and a line about /nowhere:\n%s", r.ExitCode, harness.ExitFailure, r.Stderr)
	}

	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	check := harness.Program(t) + " check --sslrouter=:8443," + cert.CertFile + "," + cert.KeyFile + " --sslrouter-to=127.0.0.1:9000 >/dev/full"
	r = nettest.Run(t, nettest.Command{Path: "sh", Args: []string{"-c", check}})
	if r.ExitCode != harness.ExitFailure || !strings.Contains(r.Stderr, "no space left") {
		t.Errorf("a full disk: exit code %d, want %d and why: %s", r.ExitCode, harness.ExitFailure, r.Stderr)
	}
}

// TestCheck: check prints a configuration that means the same.
func TestCheck(t *testing.T) {
	pki := testpki.New(t)
	cert, rsa := pki.Server(testpki.ECDSA, "localhost"), pki.Server(testpki.RSA, "localhost")
	first := check1(t,
		"--sslrouter2=addr=127.0.0.1:8443,cert="+cert.CertFile+",key="+cert.KeyFile+",cert="+rsa.CertFile+",key="+rsa.KeyFile+",context=a b,alpn=h2;http/1.1",
		"--sslrouter=[::1]:8443,"+cert.CertFile+","+cert.KeyFile+",HIGH,!"+pki.CAFile,
		"--sni=*.example.com "+cert.CertFile+","+cert.KeyFile,
		"--sslrouter-to=127.0.0.1:9000", "--sslrouter-to=/run/backend.sock",
		"--cache2=name=ssl,items=5000,keysize=128,blocksize=8192", "--ssl-sessions-timeout=10m",
		"--high-watermark=1m", "--stats=127.0.0.1:5001")
	if !strings.Contains(first, "ssl-sessions-timeout = 10m") {
		t.Errorf("what was set is missing in:\n%s", first)
	}
	path := filepath.Join(pki.Dir, "effective.ini")
	if err := os.WriteFile(path, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	if second := check1(t, path); harness.Settings(second) != harness.Settings(first) {
		t.Errorf("checked again it became:\n%s\nfrom:\n%s", harness.Settings(second), harness.Settings(first))
	}
	if strings.Contains(first, "PRIVATE KEY") {
		t.Error("check printed a key")
	}
}

// check1 runs the program's check once, which must succeed.
func check1(t *testing.T, args ...string) string {
	t.Helper()
	r := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: append([]string{"check"}, args...)})
	if r.ExitCode != harness.ExitOK {
		t.Fatalf("check: exit code %d\n%s", r.ExitCode, r.Stderr)
	}
	return r.Stdout
}

func TestVersionAndHelp(t *testing.T) {
	for _, test := range []struct{ arg, want string }{
		{"version", "reprise development go1."},
		{"--help", "--sslrouter-to [tls://]ADDR"},
	} {
		r := nettest.Run(t, nettest.Command{Path: harness.Program(t), Args: []string{test.arg}})
		if r.ExitCode != harness.ExitOK || r.Stderr != "" || !strings.Contains(r.Stdout, test.want) {
			t.Errorf("%s: exit code %d, want %q in:\n%s%s", test.arg, r.ExitCode, test.want, r.Stdout, r.Stderr)
		}
	}
}

// TestINI: the same configuration from a file, with uWSGI's section and names.
func TestINI(t *testing.T) {
	pki := testpki.New(t)
	cert := pki.Server(testpki.ECDSA, "localhost")
	addr, path := nettest.FreeAddr(t), filepath.Join(pki.Dir, "edge.ini")
	ini := strings.Join([]string{
		"[uwsgi]", "master = true", "cache2 = name=ssl,items=20000,keysize=128,blocksize=4096", "ssl-sessions-use-cache = ssl",
		"ssl-sessions-timeout = 300", "http-processes = 2", "sslrouter = " + addr + "," + cert.CertFile + "," + cert.KeyFile,
		"sslrouter-to = " + nettest.Serve(t, nettest.Echo).Addr,
	}, "\n")
	if err := os.WriteFile(path, []byte(ini), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Start(t, path)
	config := harness.ClientConfig(pki)
	harness.WantResumed(t, addr, config, false)
	harness.WantResumed(t, addr, config, true)
	if c := s.Document().Caches[0]; c.Name != "ssl" || c.Hits != 1 {
		t.Errorf("cache %q has %d hits, want ssl and 1", c.Name, c.Hits)
	}
}
