package config

import (
	"bytes"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"testing"

	"reprise/config/source/ini"
)

// Parse reads the output of Print as the same configuration. It is long because it is a table.
func TestRoundTrip(t *testing.T) {
	inPKI(t)
	for name, c := range map[string]*Config{
		"defaults": mustParse(t, good),
		"much": mustParse(t, good+`
sslrouter2 = addr=[::1]:8444,cert=cert.pem,key=key.pem,cert=rsa.pem,key=rsa-key.pem,alpn=h2;http/1.1,ciphers=HIGH,clientca=!ca.pem
sslrouter-to = /run/b
sni = *.a.example cert.pem,key.pem
sni = old.example expired.pem,expired-key.pem
cache2 = name=ssl,items=5
cache = 10
ssl-sessions-use-cache = ssl
idle-timeout = 1
`, "--idle-timeout", "2m", "--stats", ":5001", "--loops", "3", "--name", ` " spaced `, "--cpu-affinity"),
		"a fleet": mustParse(t, good+`
cache2 = name=ssl,items=5,udp=:7172;225.1.1.1:7171,node=225.1.1.1:7171;node.example:1
cache-udp-interface = lo
cluster-secret-file = secret
cluster-secret-file = secret2
cache-replication = pull
session-store = rediss://one,two:7001?ca=ca.pem
session-store = memcached://[::1]
udprepeater = 127.0.0.1:7173
udprepeater-secret-file = secret
`),
		"an application":                  mustParse(t, good+"module = a:b\nsocket = :3031\nprocesses = 4\nhttp-stats = :5002\ncache-expire-freq = 1m\n"),
		"values that look like variables": mustParse(t, good, "--name", "%d$(HOME)@(x)%(y)", "--sslrouter-session-context", "100%"),
		"all routers": mustParse(t, good+`
https2 = addr=:1,cert=cert.pem,key=key.pem,context=a\,b
http = /run/http
http-to-https = :80,8443
rawrouter = :2
http-to = http://a.example:8080,weight=2,max-connections=10
http-to = unix:/run/app,backup
rawrouter-to = a:1,weight=3
rawrouter-accept-proxy = all
sslrouter-send-proxy
http-check = http:/healthz
http-keepalive = 1
http-trusted = 10.0.0.0/8
add-header = Link: """</a>; rel="b" """
hsts = yes;includeSubDomains
https-session-context = web
access-log = -
http-pool = api to=http://a.example:8081,weight=2
http-pool = api check=http:/x
http-use-pool = api host=*.b.example,path=/c d
sslrouter-pool = p to=:7
sslrouter-use-pool = p sni=a.example
http-subscription-server = 127.0.0.1:4040
http-subscription-from = 10.0.0.0/8
http-subscription-sockets = /run/applications
`, "--http-balance", "source", "--add-header", "A: b "),
		"a value that looks quoted": mustParse(t, good, "--name", "`a", "--sslrouter-session-context", `"""`),
	} {
		t.Run(name, func(t *testing.T) {
			var printed bytes.Buffer
			if err := c.Print(&printed); err != nil {
				t.Fatal(err)
			}
			again := mustParse(t, printed.String())
			normalize(c)
			normalize(again)
			if !reflect.DeepEqual(c, again) {
				t.Errorf("got  %+v\nwant %+v\nfrom\n%s", again, c, &printed)
			}
		})
	}
}

// Every value is printed with its meaning and its origin.
func TestPrint(t *testing.T) {
	inPKI(t)
	c := mustParse(t, good+"idle-timeout = 2m\n", "--high-watermark", "16k", "--sslrouter-to", ":9001")
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"; idle-timeout DURATION: a flow on which nothing moved for this long is closed. Raise for protocols with long\n" +
			"; silences (default 60s)\n; from edge.ini:4\nidle-timeout = 2m\n",
		"; from --high-watermark\nhigh-watermark = 16k\n",
		"; from default\nconnect-timeout = 5s\n",
		"; from edge.ini:3\nsslrouter-to = 127.0.0.1:9000\n; from --sslrouter-to\nsslrouter-to = :9001\n",
		"; from default\ncache2 = name=default,items=20000,keysize=128,blocksize=4096\n",
		"\n;admin =\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

// Key files are named, never shown.
func TestPrintShowsNoSecret(t *testing.T) {
	inPKI(t)
	key, err := os.ReadFile("key.pem")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := mustParse(t, good).Print(&out); err != nil {
		t.Fatal(err)
	}
	if line := strings.Split(string(key), "\n")[1]; strings.Contains(out.String(), line) {
		t.Errorf("the key is in\n%s", &out)
	}
}

// The table of options is sound, and the help lists all of it.
func TestOptions(t *testing.T) {
	var help bytes.Buffer
	if err := WriteHelp(&help); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(help.String()), " ")
	names := 0
	for i := range options {
		o := &options[i]
		names += 1 + len(o.aliases)
		if o.help == "" || o.form == "" || o.group == "" || o.set == nil {
			t.Errorf("%s: incomplete row", o.name)
		}
		if o.optional != strings.Contains(o.form, boolForm) {
			t.Errorf("%s: a boolean, and only a boolean, may be without a value", o.name)
		}
		if strings.ContainsAny(o.help, "`\n") {
			t.Errorf("%s: pflag would take backquotes and newlines in the help for something else", o.name)
		}
		if o.repeat && o.byDefault != "" {
			t.Errorf("%s: a default could not be overridden", o.name)
		}
		if !strings.Contains(text, "--"+o.name+" ") ||
			!strings.Contains(text, strings.Join(strings.Fields(o.describe()), " ")) {
			t.Errorf("%s: not in the help", o.name)
		}
	}
	if len(optionsByName) != names {
		t.Errorf("%d different names for %d rows and aliases", len(optionsByName), names)
	}
	b := newBuilder()
	if b.apply(nil); len(b.errs) > 0 {
		t.Errorf("bad defaults: %v", b.errs)
	}
	for line := range strings.Lines(help.String()) {
		if len(line) > helpWidth+10 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

// FuzzINI feeds files. None may panic, and an accepted configuration must be the same after
// printing and reading again. Files that a configuration names are not read here.
func FuzzINI(f *testing.F) {
	for _, seed := range []string{
		good,
		"[uwsgi]\nmaster\nsslrouter = :1,c,k,HIGH,!ca\nsslrouter-to = /x\nsni = *.a c,k\ncache = 5\nstats=[::1]:2",
		"[reprise]\r\nsslrouter2 = addr=:1,cert=c\\,d,key=k,alpn=h2;x,context=y\r\nsslrouter-to=a:1\n[x]\n[uwsgi]\nname=\"\"\" a \"\"\"",
		"[reprise]\nsslrouter = :1,c,k\nsslrouter-to = :2\nname = `x`\ncache2 = name=default,items=1\nssl-sessions-use-cache = 0",
		"[reprise]\nudprepeater = :1\nudprepeater-secret-file = s\nsession-store = redis://u:p@q@h/1\ncache2=name=s,items=1,node=h:1;[ff02::1]:2,udp=[ff02::1]:2",
		"[uwsgi]\nsslrouter = :1,c,k\nsslrouter-to = :2\ncache-udp-server = 225.1.1.1:7171\ncache-udp-node = 225.1.1.1:7171\ncache-sync = a:1",
		"[uwsgi]\nsslrouter = :1,%s,%(c)\nsslrouter-to = :%(p)\np = 2\nc=`%d`\nset-ph = x=1\nname = $(HOME)%%@(f)%(x)\nprocesses = %k\nenv = A=1",
		"[uwsgi]\nini = :x\nini = f\nset = name=%(name)\n[x]\na = %(b)\nb = %(a)%(c\nini = :x\n[uwsgi]\nname = a",
		"[uwsgi]\nhttps=:1,c,k\nhttps2=addr=:2,cert=c,key=k,spdy=1\nhttp=/x\nhttp-to-https=:3,4\nrawrouter=:5\n" +
			"http-to=http://a:1,weight=2,backup\nrawrouter-to=unix:/x",
		"[uwsgi]\nhttp=:1\nhttp-pool=a to=/x\nhttp-use-pool=a host=*.b,path=/c\nhttp-use-pool=default sni=a\nsslrouter-pool=b send-proxy\nhttp-subscription-server=:1",
		"[uwsgi]\nhttp=:1\nhttp-to=/x,max-connections=0\nhttp-accept-proxy=::/0,10.0.0.1\n" +
			"add-header=a:\"\"\" b\nhsts=1;preload\nhttp-check=http:/a;b\nhttp-send-proxy",
		"\xef\xbb\xbf[uwsgi]\n`a\n\"b\n-=1\n[]\n[a]]=\nname = `",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := build(data)
		if c == nil {
			return
		}
		var printed bytes.Buffer
		if err := c.Print(&printed); err != nil {
			t.Fatal(err)
		}
		again := build(printed.Bytes())
		if again == nil {
			t.Fatalf("not accepted:\n%s", &printed)
		}
		// lines outside of sections and values of env are not printed
		c.Warnings, again.Warnings = nil, nil
		normalize(c)
		normalize(again)
		if !reflect.DeepEqual(c, again) {
			t.Fatalf("got  %+v\nwant %+v\nfrom\n%s", again, c, &printed)
		}
	})
}

// build is Parse of a file with this content, without looking at further files; nil if it has
// errors.
func build(data []byte) *Config {
	b := newBuilder()
	b.read = func(string, int) ([]byte, error) { return nil, fs.ErrNotExist }
	b.apply(b.settingsOf(b.readINI("fuzz.ini", data, ini.OwnSections, nil)))
	b.resolve()
	c, err := b.result()
	if (c == nil) == (err == nil) {
		panic("either a Config or an error")
	}
	return c
}
