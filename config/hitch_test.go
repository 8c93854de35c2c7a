package config

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"reprise/config/migrate"
	"reprise/internal/testpki"
)

// inHitchPKI adds the files that hitch needs to inPKI: certificate and key in one file, each with
// names of its own.
func inHitchPKI(t *testing.T) {
	t.Helper()
	inPKI(t)
	if err := os.Mkdir("certs", 0o700); err != nil {
		t.Fatal(err)
	}
	for file, names := range map[string][]string{
		"a.pem": {"a.example", "www.a.example"}, "b.pem": {"b.example"}, "c,d.pem": {"c.example", "a.example"},
		"certs/1.pem": {"one.example"}, "certs/2.pem": {"*.two.example"}, "certs/3.txt": {"three.example"},
	} {
		cert, err := testpki.SelfSigned(testpki.Template{Names: names})
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, file, slices.Concat(cert.KeyPEM, cert.CertPEM))
	}
}

// hitchFiles are configurations that hitch itself accepts, and the options they mean.
var hitchFiles = []struct{ name, text, want, warnings string }{
	{
		name: "the least",
		text: `pem-file = "a.pem"`,
		want: "sslrouter-to = 127.0.0.1:8000\nsslrouter2 = addr=:8443,cert=a.pem,key=a.pem",
	},
	{
		name: "a block, comments, several keys on a line",
		text: "# all\nfrontend = { host = \"*\" port = \"443\" } # here\nbackend = \"[127.0.0.1]:6086\"\nworkers = 4 backlog = 10\npem-file\n= \"a.pem\"",
		want: "sslrouter-to = 127.0.0.1:6086\nhttp-processes = 4\nlisten = 10\nsslrouter2 = addr=:443,cert=a.pem,key=a.pem",
	},
	{
		name: "several frontends",
		text: `frontend = "[*]:443"
frontend = "[::1]:8444+b.pem"
frontend = { host = "127.0.0.1" port = "8445" pem-file = "b.pem" ciphers = "ECDHE-RSA-AES128-GCM-SHA256" client-verify = required client-verify-ca = "ca.pem" }
backend = "[::1]:80"
pem-file = "a.pem"`,
		want: "sslrouter-to = [::1]:80\nsslrouter2 = addr=:443,cert=a.pem,key=a.pem\nsslrouter2 = addr=[::1]:8444,cert=b.pem,key=b.pem\n" +
			"sslrouter2 = addr=127.0.0.1:8445,cert=b.pem,key=b.pem,ciphers=ECDHE-RSA-AES128-GCM-SHA256,clientca=!ca.pem",
	},
	{
		name: "several certificates: the last of a name, and the last of all as fallback",
		text: "pem-file = \"a.pem\"\npem-file = \"b.pem\"\npem-file = {\n cert = \"cert.pem\"\n private-key = \"key.pem\"\n}\n",
		want: "sslrouter-to = 127.0.0.1:8000\nsni = a.example cert.pem,key.pem\nsni = www.a.example a.pem,a.pem\nsni = b.example b.pem,b.pem\n" +
			"sni = *.a.example cert.pem,key.pem\nsslrouter2 = addr=:8443,cert=cert.pem,key=key.pem",
	},
	{
		name: "a directory, and its first file as fallback",
		text: "pem-dir = \"certs\"\npem-dir-glob = \"*.pem\"\n",
		want: "sslrouter-to = 127.0.0.1:8000\nsni = *.two.example certs/2.pem,certs/2.pem\nsni = one.example certs/1.pem,certs/1.pem\n" +
			"sslrouter2 = addr=:8443,cert=certs/1.pem,key=certs/1.pem",
	},
	{
		name: "a comma in a name",
		text: `pem-file = "c,d.pem"`,
		want: "sslrouter-to = 127.0.0.1:8000\nsslrouter2 = addr=:8443,cert=c\\,d.pem,key=c\\,d.pem",
	},
	{
		name: "protocols",
		text: "pem-file = \"a.pem\"\ntls-protos = TLSv1.3\nalpn-protos = \"h2, http/1.1\"\n",
		want: "sslrouter-alpn = h2,http/1.1\nsslrouter-to = 127.0.0.1:8000\ntls-min-version = 1.3\nsslrouter2 = addr=:8443,cert=a.pem,key=a.pem",
	},
	{
		name:     "old protocols",
		text:     "pem-file = \"a.pem\"\ntls-protos = TLSv1.1, TLSv1.2\nworkers=1",
		want:     "http-processes = 1\nsslrouter-to = 127.0.0.1:8000\ntls-min-version = 1.2\nsslrouter2 = addr=:8443,cert=a.pem,key=a.pem",
		warnings: "hitch.conf:2: tls-protos: TLSv1.1 is not offered: " + migrate.OldTLS + "\nhitch.conf:2: tls-protos: TLSv1.3 is offered too: it cannot be left out",
	},
	{
		name: "keys without an equivalent",
		text: "pem-file = \"a.pem\"\nuser = \"root\"\ngroup = \"root\"\nkeepalive = 5\nsyslog = off\nlog-level = 2\nocsp-dir = \"\"\ndaemon = off\n" +
			"tcp-fastopen = on\nsni-nomatch-abort = on\nwrite-proxy-v1 = off\nwrite-ip = off\nquiet = \"off\"\nclient-verify = none\nprefer-server-ciphers = on",
		want:     "log-level = info\ntcp-fastopen = 256\nsni-nomatch-abort = unknown\nsslrouter-to = 127.0.0.1:8000\nsslrouter2 = addr=:8443,cert=a.pem,key=a.pem",
		warnings: "hitch.conf:2: user: no effect: " + migrate.OwnUser + "\nhitch.conf:3: group: no effect: " + migrate.OwnUser,
	},
	{
		name: "a frontend's own certificate among others",
		text: "frontend = \"[*]:1+c,d.pem\"\nfrontend = { port = \"2\" host = \"*\" pem-file = \"c,d.pem\" match-global-certs = on }\npem-file = \"a.pem\"\npem-file = \"b.pem\"",
		want: "sslrouter-to = 127.0.0.1:8000\nsni = a.example a.pem,a.pem\nsni = www.a.example a.pem,a.pem\nsni = b.example b.pem,b.pem\n" +
			"sslrouter2 = addr=:1,cert=c\\,d.pem,key=c\\,d.pem\nsslrouter2 = addr=:2,cert=c\\,d.pem,key=c\\,d.pem",
		warnings: "hitch.conf:1: frontend: certificates from outside of it are offered by name here too",
	},
	{
		name: "the client's address",
		text: "pem-file = \"a.pem\"\nwrite-proxy-v2 = on\nbackend-refresh = 0\n",
		want: "sslrouter-send-proxy = v2\nsslrouter-to = 127.0.0.1:8000\nsslrouter2 = addr=:8443,cert=a.pem,key=a.pem",
	},
	{
		name: "the client's address, as it came",
		text: "pem-file = \"a.pem\"\nproxy-proxy = on\nbackend-refresh = 60\n",
		want: "sslrouter-accept-proxy = all\nsslrouter-send-proxy = v2\nbackend-resolve-interval = 60\n" +
			"sslrouter-to = 127.0.0.1:8000\nsslrouter2 = addr=:8443,cert=a.pem,key=a.pem",
	},
}

func TestHitch(t *testing.T) {
	inHitchPKI(t)
	for _, test := range hitchFiles {
		t.Run(test.name, func(t *testing.T) {
			writeFile(t, "hitch.conf", []byte(test.text))
			c, err := Parse([]string{"hitch.conf"})
			if optionsByName["sslrouter-send-proxy"] == nil && strings.Contains(test.want, "proxy") {
				t.Skip("no sslrouter-send-proxy yet")
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range c.settings {
				if s.source != byDefault {
					got = append(got, s.option.name+" = "+s.value)
				}
			}
			if got := strings.Join(got, "\n"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if got := strings.Join(c.Warnings, "\n"); got != test.warnings {
				t.Errorf("got warnings %s\nwant %s", got, test.warnings)
			}
		})
	}
}

// Files that hitch accepts are read as hitch reads them.
func TestHitchAcceptsTheSame(t *testing.T) {
	hitch, err := exec.LookPath("hitch")
	if err != nil {
		t.Skip("hitch is not installed")
	}
	inHitchPKI(t)
	for _, test := range hitchFiles {
		t.Run(test.name, func(t *testing.T) {
			text := test.text
			if os.Geteuid() == 0 && !strings.Contains(text, "user =") { // without, hitch refuses to run as root
				text += "\nuser = \"root\"\ngroup = \"root\"\n"
			}
			writeFile(t, "hitch.conf", []byte(text))
			if out, err := exec.Command(hitch, "--test", "--config=hitch.conf").CombinedOutput(); err != nil {
				t.Errorf("hitch: %v\n%s", err, out)
			}
		})
	}
}

// The output of Print for a file of hitch's means the same as the file.
func TestHitchRoundTrip(t *testing.T) {
	inHitchPKI(t)
	for _, test := range hitchFiles {
		writeFile(t, "hitch.conf", []byte(test.text))
		c, err := Parse([]string{"hitch.conf"})
		if err != nil {
			continue
		}
		var printed bytes.Buffer
		if err := c.Print(&printed); err != nil {
			t.Fatal(err)
		}
		again := mustParse(t, printed.String())
		c.Warnings, again.Warnings = nil, nil // about what is left out
		normalize(c)
		normalize(again)
		if !reflect.DeepEqual(c, again) {
			t.Errorf("%s: got  %+v\nwant %+v\nfrom\n%s", test.name, again, c, &printed)
		}
	}
}

func TestHitchAmongOthers(t *testing.T) {
	inHitchPKI(t)
	writeFile(t, "terminator.cfg", []byte("backend = \"/run/b\"\npem-file = \"a.pem\"\n"))
	c := mustParse(t, "[reprise]\nidle-timeout = 5\n", "terminator.cfg", "--loops", "3")
	if len(c.inForce(optionsByName["sslrouter2"])) != 1 || c.Tuning.Loops != 3 ||
		c.PoolOf(SSLRouter).IdleTimeout.Seconds() != 5 {
		t.Errorf("got %+v", c)
	}
	var out bytes.Buffer
	if err := c.PrintMigration(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"edge.ini:2        idle-timeout  supported", "terminator.cfg:1  backend       supported better", "terminator.cfg:2  pem-file      supported"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

func TestWrongHitchFiles(t *testing.T) {
	inHitchPKI(t)
	tests := []struct{ name, text, want string }{
		{"unknown key", "bakcend = \"[h]:1\"", `hitch.conf:2: bakcend: unknown key: did you mean "backend"?`},
		{"unknown key like nothing", "frobnicate = 1", "hitch.conf:2: frobnicate: unknown key: hitch.conf(5) lists all"},
		{"unknown key in a frontend", "frontend = { port = \"1\"\nprot = \"2\" }", `hitch.conf:3: prot: unknown key: did you mean "port"?`},
		{"a key of all in a frontend", "frontend = { port = \"1\"\nworkers = 2 }", "hitch.conf:3: workers: not in a frontend: write it outside of the block"},
		{"a key of frontends outside", "port = \"1\"", "hitch.conf:2: port: only in a frontend: write it in frontend = { ... }"},
		{"no value", "workers =", `hitch.conf:2: workers has no value: write workers = "VALUE"`},
		{"no key", "= 5", `hitch.conf:2: cannot read "=": write key = value`},
		{"no equals sign", "workers 5", `hitch.conf:2: cannot read "workers": write key = value`},
		{"open string", "backend = \"[h]:1\nworkers = 4", `hitch.conf:2: backend has no value: write backend = "VALUE"`},
		{"open block", "frontend = {\nport = \"1\"", "hitch.conf:2: frontend = { has no end: write } behind its last key"},
		{"a block in a block", "frontend = {\npem-file = { cert = \"x\" }\n}", `hitch.conf:3: pem-file has no value: write pem-file = "VALUE"`},
		{"a block of another key", "workers = { }", "hitch.conf:2: workers: bad value: write a word or a string"},
		{"bad address", "frontend = \"*:443\"", `hitch.conf:2: frontend: not an address: write "[HOST]:PORT"`},
		{"frontend without a port", "frontend = { host = \"*\" }", `hitch.conf:2: frontend: no port: write port = "443"`},
		{"bad backend", "backend = \"127.0.0.1:80\"", `hitch.conf:2: backend: not an address: write "[HOST]:PORT"`},
		{"bad port", "backend = \"[h]:http\"", `hitch.conf:2: backend = "h:http": bad port "http": write a number from 0 to 65535`},
		{"two backends", "backend = \"[h]:1\"\nbackend = \"[h]:2\"", "hitch.conf:3: backend: there is one already: remove one"},
		{"workers", "workers = many", `hitch.conf:2: workers = "many": bad number: write a whole number from 1 to 1024`},
		{"log level", "log-level = high", "hitch.conf:2: log-level: not a level: write 0, 1 or 2"},
		{"missing certificate", "pem-file = \"none.pem\"", `hitch.conf:2: pem-file: cannot read none.pem: no such file or directory`},
		{"certificate without a name", "pem-file = { private-key = \"a.pem\" }", `hitch.conf:2: pem-file: no file: write pem-file = "FILE" or pem-file = { cert = "FILE" }`},
		{"bad key of a certificate", "pem-file = { crt = \"a.pem\" }", `hitch.conf:2: pem-file: unknown key "crt": did you mean "cert"?`},
		{"missing directory", "pem-dir = \"none\"", "hitch.conf:2: pem-dir: cannot read none: no such file or directory"},
		{"nothing in a directory", "pem-dir = \"certs\"\npem-dir-glob = \"*.crt\"", "hitch.conf:2: pem-dir: no certificate in certs: name files as pem-dir-glob says"},
		{"bad protocol", "tls-protos = TLSv1.4", `hitch.conf:2: tls-protos: unknown key "TLSv1.4": did you mean "TLSv1.0"?`},
		{"only old protocols", "tls-protos = SSLv3", "hitch.conf:2: tls-protos: nothing left to offer: write TLSv1.2 TLSv1.3"},
		{
			"different protocols", "frontend = { port=\"1\" tls-protos = TLSv1.3 }\nfrontend = { port=\"2\" tls-protos = TLSv1.2 TLSv1.3 }",
			"hitch.conf:3: tls-protos: frontends differ in the oldest version: write the same for all",
		},
		{"bad verification", "client-verify = maybe", "hitch.conf:2: client-verify: bad choice: write none, optional or required"},
		{"verification without authorities", "client-verify = required", "hitch.conf:2: client-verify: no authorities: add client-verify-ca = \"FILE\""},
		{"an old header", "write-ip = on", "hitch.conf:2: write-ip: not supported: no backend of today reads it: write write-proxy-v2 = on"},
		{"the other way round", "client = on", "hitch.conf:2: client: not supported: it speaks TLS to clients only: keep hitch or stunnel for the other way"},
		{"an engine", "ssl-engine = \"x\"", "hitch.conf:2: ssl-engine: not supported: keys are read from files: write pem-file"},
		{"bad ciphers", "ciphers = \"ROT13\"", `hitch.conf:1: frontend = "addr=:8443,cert=a.pem,key=a.pem,ciphers=ROT13": unknown cipher "ROT13": ` +
			"write names such as ECDHE-ECDSA-AES128-GCM-SHA256, separated by colons"},
		{"a bad number of sessions", "session-cache = x", "hitch.conf:2: session-cache: bad number: write a whole number from 1 to 1073741824"},
		{"a bad peer", "shared-cache-peer = \"h\"", `hitch.conf:2: shared-cache-peer: not an address: write "HOST,PORT"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			writeFile(t, "hitch.conf", []byte("pem-file = \"a.pem\"\n"+test.text+"\n"))
			_, err := Parse([]string{"hitch.conf"})
			if err == nil {
				t.Fatalf("no error, want %s", test.want)
			}
			if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
		})
	}
	writeFile(t, "hitch.conf", []byte("workers = 2\n"))
	if _, err := Parse([]string{"hitch.conf"}); err == nil || !strings.HasPrefix(err.Error(), `hitch.conf:1: frontend: no certificate: add pem-file = "FILE"`) {
		t.Errorf("got %v, want that there is no certificate", err)
	}
}

// A fleet of hitch nodes that share sessions becomes one of ours.
func TestHitchSharedCache(t *testing.T) {
	inHitchPKI(t)
	writeFile(t, "hitch.conf", []byte(`pem-file = "a.pem"
session-cache = 5000
shared-cache-listen = "127.0.0.1,7171"
shared-cache-peer = "[h]:7171"
`))
	c, err := Parse([]string{"hitch.conf"})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Replication; c.Caches[0].Items != 5000 || fmt.Sprint(s.Listen) != "[127.0.0.1:7171]" ||
		fmt.Sprint(s.Peers) != "[h:7171]" || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "add cluster-secret-file") {
		t.Errorf("got %+v and warnings %q", s, c.Warnings)
	}
}
