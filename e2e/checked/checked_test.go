package checked

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"reprise/internal/nettest"
	"reprise/internal/testpki"
)

// exitConfig is the exit status that a bad configuration ends with.
const exitConfig = 2

// A place is a directory with the files that configurations name: cert.pem, key.pem, secret, and in
// k8s a certificate as Kubernetes mounts it.
type place struct {
	t    *testing.T
	dir  string // with a short path, since sockets are there
	port string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "reprise-checked-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &place{t: t, dir: dir, port: strconv.Itoa(nettest.FreePort(t))}
	cert, err := testpki.SelfSigned(testpki.Template{Names: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	p.write("cert.pem", cert.CertPEM)
	p.write("key.pem", cert.KeyPEM)
	p.write("secret", []byte(strings.Repeat("0123456789abcdef", 2)))
	both := append(append([]byte{}, cert.KeyPEM...), cert.CertPEM...)
	p.write("k8s/..2026_11_27/localhost.crt", cert.CertPEM)
	p.write("k8s/..2026_11_27/localhost.key", cert.KeyPEM)
	p.write("pems/..2026_11_27/localhost.pem", both)
	for _, link := range [][2]string{
		{"..2026_11_27", "k8s/..data"},
		{"..data/localhost.crt", "k8s/localhost.crt"},
		{"..data/localhost.key", "k8s/localhost.key"},
		{"..2026_11_27", "pems/..data"},
		{"..data/localhost.pem", "pems/localhost.pem"},
	} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *place) write(name string, data []byte) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// command is the program with args, in which $P is a free port.
func (p *place) command(args ...string) nettest.Command {
	p.t.Helper()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "$P", p.port)
	}
	return nettest.Command{Path: nettest.Build(p.t, "reprise/cmd/reprise"), Args: args, Dir: p.dir}
}

// configure writes lines into edge.ini, in which $P is a free port and $DIR the directory.
func (p *place) configure(lines string) {
	p.t.Helper()
	text := "[reprise]\nhttp-to = http://127.0.0.1:1\nsslrouter-to = 127.0.0.1:1\nadmin = " +
		"$DIR/own.sock\n"
	text = strings.NewReplacer("$P", p.port, "$DIR", p.dir).Replace(text + lines + "\n")
	p.write("edge.ini", []byte(text))
}

// serve starts the configured node.
func (p *place) serve(args ...string) *nettest.Process {
	p.t.Helper()
	c := p.command(append([]string{"edge.ini"}, args...)...)
	return nettest.Start(p.t, c, nettest.Prints("msg=serving"))
}

// TestPassedIsServed: nothing that check passes fails at start for a reason that the files hold.
func TestPassedIsServed(t *testing.T) {
	for _, tt := range []struct{ name, lines string }{
		{"all addresses of each family", "http = 0.0.0.0:$P\nhttp = [::]:$P"},
		{"listener and admin by family", "http = [::]:$P\nadmin = 127.0.0.1:$P\nadmin-token-file = " +
			"secret"},
		{"statistics by family", "http = 127.0.0.1:$P\nstats = [::]:$P"},
		{"TCP and UDP", "https = :$P,cert.pem,key.pem\ncache-udp-server = :$P\n" +
			"cache-udp-node = 127.0.0.1:9\ncluster-secret-file = secret"},
		{"a unix socket", "http = $DIR/a.sock\nstats = $DIR/b.sock\nchmod-socket"},
		{"a mount of Kubernetes", "https = 127.0.0.1:$P,cert.pem,key.pem\nsni-dir = k8s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.configure(tt.lines)
			if r := nettest.Run(t, p.command("check", "edge.ini")); r.ExitCode != 0 {
				t.Fatalf("check: exit %d: %s", r.ExitCode, r.Stderr)
			}
			p.serve()
		})
	}
}

// TestHitchInKubernetes: a pem-dir that is a mount of Kubernetes, in which ..data is a link to a
// directory.
func TestHitchInKubernetes(t *testing.T) {
	p := newPlace(t)
	p.write("hitch.conf", []byte(`frontend = "[127.0.0.1]:`+p.port+`"
backend = "[127.0.0.1]:1"
pem-dir = "`+p.dir+`/pems"
`))
	if r := nettest.Run(t, p.command("check", "hitch.conf")); r.ExitCode != 0 {
		t.Fatalf("check: exit %d: %s", r.ExitCode, r.Stderr)
	}
	nettest.Start(t, p.command("hitch.conf"), nettest.Prints("msg=serving"))
}

// TestRefusedIsTold: check reports failures of a start in the same words.
func TestRefusedIsTold(t *testing.T) {
	const tls = "https = :$P,cert.pem,key.pem\ncluster-secret-file = secret\n"
	for _, tt := range []struct{ name, lines, want string }{
		{"all addresses and one", "http = :$P\nhttp = 127.0.0.1:$P", "overlaps :"},
		{"all addresses and those of a family", "http = 0.0.0.0:$P\nhttp = :$P", "overlaps 0.0.0.0:"},
		{"a family and one of it", "http = [::1]:$P\nhttp = [::]:$P", "overlaps [::1]:"},
		{"IPv4 written as IPv6", "http = [::ffff:127.0.0.1]:$P\nhttp = 127.0.0.1:$P", "overlaps"},
		{"localhost", "http = localhost:$P\nhttp = 127.0.0.1:$P", "overlaps localhost:"},
		{
			"listener and admin", "http = :$P\nadmin = 127.0.0.1:$P\nadmin-token-file = secret",
			"overlaps :",
		},
		{"peers", tls + "cache-udp-server = 0.0.0.0:$P\ncache-udp-server = [::]:$P\n" +
			"cache-udp-node = 10.0.0.1:1", "overlaps 0.0.0.0:"},
		{"one path in two spellings", "http = $DIR/a.sock\nhttp = $DIR/./a.sock", "overlaps"},
		{"a socket in no directory", "http = $DIR/none/a.sock", "cannot make a socket in"},
		{"a file where a socket is to be", "http = $DIR/secret", "is there and not a socket"},
		{"statistics where a file is", "http = :$P\nstats = $DIR/secret", "is there and not a socket"},
		{
			"a key that is none", "http = :$P\nudprepeater = :$P\nudprepeater-secret-file = secret",
			"is not a repeater's key",
		},
		{"a store without a port", tls + "session-store = redis://h:99999", "no port from 1 to 65535"},
		{"a store without its CA", tls + "session-store = rediss://h?ca=none.pem", "no such file"},
		{
			"a cache of many machines", tls + "cache2 = name=a,items=1000000000",
			"lower items or blocksize",
		},
		{
			"an application in no directory", "http = :$P\nmodule = a:b\nchdir = /none",
			"cannot read /none",
		},
		{"no application", "http = :$P\nwsgi-file = none.py", "cannot read none.py"},
		{"no virtual environment", "http = :$P\nmodule = a:b\nvirtualenv = none", "cannot read none"},
		{
			"no such user", "http = $DIR/a.sock\nchown-socket = nobody-at-all",
			`there is no user "nobody-at-all"`,
		},
		{"permissions of another kind", "http = $DIR/a.sock\nchmod-socket = rw", "write them in octal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.configure(tt.lines)
			check := nettest.Run(t, p.command("check", "edge.ini"))
			start := nettest.Run(t, p.command("edge.ini"))
			for _, r := range []nettest.Result{check, start} {
				if r.ExitCode != exitConfig || !strings.Contains(r.Stderr, tt.want) {
					t.Errorf("exit %d, want %q in\n%s", r.ExitCode, tt.want, r.Stderr)
				}
			}
		})
	}
}

// TestSocketFiles: chmod-socket and umask say who may connect to a unix socket.
func TestSocketFiles(t *testing.T) {
	for _, tt := range []struct {
		lines string
		want  fs.FileMode
	}{
		{"chmod-socket = 640", 0o640},
		{"chmod-socket", 0o666},
		{"umask = 027", 0o750},
		{"umask = 077\nchmod-socket = 660\nchown-socket = " + strconv.Itoa(os.Getuid()), 0o660},
	} {
		t.Run(tt.lines, func(t *testing.T) {
			p := newPlace(t)
			p.configure("http = $DIR/a.sock\nstats = $DIR/b.sock\nhttp-stats = $DIR/c.sock\n" + tt.lines)
			p.serve()
			for _, name := range []string{"a.sock", "b.sock", "c.sock"} {
				info, err := os.Stat(filepath.Join(p.dir, name))
				if err != nil {
					t.Fatal(err)
				}
				if got := info.Mode().Perm(); got != tt.want {
					t.Errorf("%s has %o, want %o", name, got, tt.want)
				}
			}
			info, err := os.Stat(filepath.Join(p.dir, "own.sock"))
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got&0o077 != 0 {
				t.Errorf("admin's socket has %o, want its owner alone", got)
			}
		})
	}
}

// TestFamilies: [::] leaves IPv4 to others, a port alone is both.
func TestFamilies(t *testing.T) {
	p := newPlace(t)
	p.configure("http = [::]:$P")
	n := p.serve()
	for host, want := range map[string]bool{"127.0.0.1": false, "::1": true} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, p.port))
		if (err == nil) != want {
			t.Errorf("[::]: %s: got %v, want an answer: %v", host, err, want)
		}
		if err == nil {
			c.Close()
		}
	}
	n.Kill()
	p.configure("http = :$P")
	p.serve()
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, p.port))
		if err != nil {
			t.Errorf("a port alone: %v", err)
			continue
		}
		c.Close()
	}
}

// TestValuesThatStandApart: a value that stands apart from an option that needs none is an error
// that says how to write it.
func TestValuesThatStandApart(t *testing.T) {
	for args, want := range map[string]string{
		"--hsts 31536000":                       "write --hsts=31536000",
		"--hsts 300;includeSubDomains":          "write --hsts=300;includeSubDomains",
		"--http-keepalive 30s":                  "write --http-keepalive=30s",
		"--http-keepalive 1.5s":                 "write --http-keepalive=1.5s",
		"--sni-nomatch-abort unknown":           "write --sni-nomatch-abort=unknown",
		"--sslrouter-send-proxy v1":             "write --sslrouter-send-proxy=v1",
		"--ssl-session-use-cache sessions":      "write --ssl-session-use-cache=sessions",
		"--chmod-socket 660":                    "write --chmod-socket=660",
		"--watch off":                           "write --watch=off",
		"--http-backend-verify false --loops 2": "write --http-backend-verify=false",
	} {
		p := newPlace(t)
		p.configure("http = :$P")
		r := nettest.Run(t, p.command(append([]string{"check", "edge.ini"}, strings.Fields(args)...)...))
		if r.ExitCode != exitConfig || !strings.Contains(r.Stderr, want) {
			t.Errorf("%s: exit %d, want %q in\n%s", args, r.ExitCode, want, r.Stderr)
		}
	}
}
