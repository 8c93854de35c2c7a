package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// note returns the message about an option that only uWSGI has.
func note(name string) string { return uwsgiTable.Find(name).Note }

// TestWrongFiles says what is told of files that cannot be used. It is long because it is a
// table.
func TestWrongFiles(t *testing.T) {
	inPKI(t)
	t.Setenv("EDGE_NAME", "a")
	writeFile(t, "self.ini", []byte("[uwsgi]\nini = self.ini\n"))
	writeFile(t, "ping.ini", []byte("[uwsgi]\nini = pong.ini\n"))
	writeFile(t, "pong.ini", []byte("[uwsgi]\n\nini = ./ping.ini\n"))
	writeFile(t, "nosection.ini", []byte("[other]\n"))
	writeFile(t, "big.txt", make([]byte, 64<<10+1))
	writeFile(t, "big.ini", make([]byte, maxFileSize+1))
	writeFile(t, "wrong.ini", []byte("[uwsgi]\nidel-timeout = 1\n"))
	for i := range maxIncludeDepth + 1 {
		writeFile(t, fmt.Sprintf("deep%d.ini", i), fmt.Appendf(nil, "[uwsgi]\nini = deep%d.ini\n", i+1))
	}
	doubling := "a0 = " + strings.Repeat("x", 1024)
	for i := range 7 {
		doubling += fmt.Sprintf("\na%d = %%(a%d)%%(a%d)", i+1, i, i)
	}
	chain := "b0 = x"
	for i := range 100 {
		chain += fmt.Sprintf("\nb%d = %%(b%d)", i+1, i)
	}
	testWrong(t, []wrong{
		// Variables.
		{
			name: "undefined environment", ini: "name = $(EDGE_NAEM)",
			want: `edge.ini:4: name = "$(EDGE_NAEM)": no environment variable "EDGE_NAEM": did you mean "EDGE_NAME"?`,
		},
		{
			name: "undefined environment like nothing", ini: "name = $(QQQQ_ZZZZ_12345)",
			want: `edge.ini:4: name = "$(QQQQ_ZZZZ_12345)": no environment variable "QQQQ_ZZZZ_12345": set it`,
		},
		{
			name: "undefined key", ini: "domain = a.example\nname = %(domian)",
			want: `edge.ini:5: name = "%(domian)": no key "domian": did you mean %(domain)?`,
		},
		{
			name: "undefined key like nothing", ini: "name = %(x)",
			want: `edge.ini:4: name = "%(x)": no key "x": write x = VALUE in this section`,
		},
		{
			name: "arithmetic", ini: "x = 1\nname = %(x + 1)",
			want: `edge.ini:5: name = "%(x + 1)": %(x + 1): nothing is calculated: write the result` +
				"\nedge.ini:4: unknown option \"x\": reprise --help lists all",
		},
		{
			name: "itself", ini: "name = %(name)",
			want: `edge.ini:4: name = "%(name)": %(name) contains itself, by way of name: write one of them out`,
		},
		{
			name: "a variable that contains itself", ini: "name = %(x)\nx = %(y)\ny = %(x)",
			want: `edge.ini:4: name = "%(x)": %(x) contains itself, by way of x, y: write one of them out`,
		},
		{
			name: "missing file", ini: "name = @(none.txt)",
			want: `edge.ini:4: name = "@(none.txt)": cannot read none.txt: no such file or directory`,
		},
		{
			name: "large file", ini: "name = @(big.txt)",
			want: `edge.ini:4: name = "@(big.txt)": cannot read big.txt: more than 64k bytes: name a smaller file`,
		},
		{
			name: "endless file", ini: "name = @(/dev/zero)",
			want: `edge.ini:4: name = "@(/dev/zero)": cannot read /dev/zero: more than 64k bytes: name a smaller file`,
		},
		{
			name: "file by a scheme", ini: "name = @(exec://id)",
			want: `edge.ini:4: name = "@(exec://id)": @(exec://...) is not supported: name a file`,
		},
		{
			name: "a value that doubles", ini: doubling + "\nname = %(a7)",
			want: `edge.ini:12: name = "%(a7)": with its variables it has more than 64k bytes: shorten it`,
		},
		{
			name: "variables inside each other", ini: chain + "\nname = %(b100)",
			want: `edge.ini:105: name = "%(b100)": %(b0): more than 100 variables inside each other: use fewer`,
		},
		{
			name: "the value of a variable is wrong", ini: "x = many\nkey-workers = %(x)",
			want: `edge.ini:5: key-workers = "many": bad number: write a whole number from 0 to 1024`,
		},
		{
			name: "a password is not shown", ini: "session-store = redis://:hidden$(QQQQ_ZZZZ_12345)@h",
			want: `edge.ini:4: session-store = "redis://:***@h": no environment variable "QQQQ_ZZZZ_12345": set it`,
		},
		{
			name: "placeholder without a value", ini: "set-placeholder = x",
			want: `edge.ini:4: set-placeholder: incomplete: write NAME=VALUE`,
		},
		{
			name: "set without a name", ini: "set = =hidden",
			want: `edge.ini:4: set: incomplete: write NAME=VALUE`,
		},
		{
			name: "set of an unknown option", ini: "set = idel-timeout=5",
			want: `edge.ini:4: unknown option "idel-timeout": did you mean "idle-timeout"?`,
		},
		{
			name: "a format of uWSGI's", ini: "log-format = %(addr) %(uri)",
			want: `edge.ini:4: log-format = "%(addr) %(uri)": no key "addr": write addr = VALUE in this section; if uWSGI's is meant: ` +
				`it is how the node's own lines look; requests are logged by access-log, access-log-format = json or combined`,
		},

		// Files.
		{
			name: "include without a name", ini: "ini =",
			want: `edge.ini:4: ini = "": no value: write FILE, FILE:SECTION or :SECTION`,
		},
		{
			name: "missing include", ini: "ini = none.ini",
			want: `edge.ini:4: none.ini: cannot read: no such file or directory`,
		},
		{
			name: "include by a key", ini: "x = rest\nini = %(x).ini",
			want: `edge.ini:5: ini = "%(x).ini": files are included before keys have values: write %d for the directory of this file, or $(NAME)` +
				"\nedge.ini:4: unknown option \"x\": reprise --help lists all",
		},
		{
			name: "include of itself", ini: "ini = edge.ini",
			want: `edge.ini:4: ini = "edge.ini": includes itself: remove it`,
		},
		{
			name: "include of itself by way of another", ini: "ini = ping.ini",
			want: `pong.ini:3: ini = "./ping.ini": includes itself: remove it`,
		},
		{
			name: "include too deep", ini: "ini = deep0.ini",
			want: `deep6.ini:2: ini = "deep7.ini": more than 8 files inside each other: include fewer`,
		},
		{
			name: "include without our section", ini: "ini = nosection.ini",
			want: `nosection.ini: no section [uwsgi] or [reprise]: write one above the options`,
		},
		{
			name: "include of a missing section", ini: "ini = :blue",
			want: `edge.ini: no section [blue]: write one above the options`,
		},
		{
			name: "include of a large file", ini: "ini = big.ini",
			want: `edge.ini:4: big.ini: cannot read: more than 1m bytes: name a smaller file`,
		},
		{
			name: "a fault in an included file", ini: "ini = wrong.ini",
			want: `wrong.ini:2: unknown option "idel-timeout": did you mean "idle-timeout"?`,
		},
		{
			name: "missing section by argument", args: ":blue",
			want: `edge.ini: no section [blue]: write one above the options`,
		},
		{
			name: "flag without a file", args: "--ini",
			want: `--ini: no value: write --ini FILE`,
		},
	})
	if _, err := Parse([]string{":blue"}); err == nil || !strings.HasPrefix(err.Error(), `":blue": no file before it: write FILE:blue`) {
		t.Errorf("got %v, want that there is no file before it", err)
	}
}

// TestWrongKeysOfUWSGI says what is told of options of uWSGI. It is long because it is a table.
func TestWrongKeysOfUWSGI(t *testing.T) {
	inPKI(t)
	cert, err := os.ReadFile("cert.pem")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, "text.crt", cert)
	writeFile(t, "app.py", nil)
	testWrong(t, []wrong{
		{
			name: "refused", ini: "sni-regexp = .*\\.example cert.pem,key.pem",
			want: `edge.ini:4: sni-regexp is not supported: names are not matched by expressions: ` +
				`write sni = NAME CERT,KEY for each, or a wildcard such as *.example.com`,
		},
		{
			name: "old protocols", ini: "ssl-enable-tlsv1 = true",
			want: `edge.ini:4: ssl-enable-tlsv1 is not supported: TLS 1.2 and 1.3 are all there is: remove it`,
		},
		{
			name: "raw bits", ini: "ssl-option = 262144",
			want: `edge.ini:4: ssl-option is not supported: crypto/tls has no such switch: write tls-min-version, or CIPHERS in https and sslrouter`,
		},
		{
			name: "sessions on a disk", ini: "cache-store = sessions.db",
			want: `edge.ini:4: cache-store is not supported: ` + note("cache-store"),
		},
		{
			name: "subscriptions of TCP services", ini: "rawrouter-subscription-server = 127.0.0.1:4040",
			want: `edge.ini:4: rawrouter-subscription-server is not supported: ` + note("rawrouter-subscription-server"),
		},
		{
			name: "a subscription to another router", ini: "subscribe-to = 127.0.0.1:4040:a.example",
			want: `edge.ini:4: subscribe-to is not supported: ` + note("subscribe-to"),
		},
		{
			name: "another mapping", ini: "http-use-cache = hosts",
			want: `edge.ini:4: http-use-cache is not supported: ` + note("http-use-cache"),
		},
		{
			name: "a fallback", ini: "http-fallback = 127.0.0.1:1",
			want: `edge.ini:4: http-fallback is not supported: write http-to = ADDR,backup`,
		},
		{
			name: "PROXY header", ini: "enable-proxy-protocol = true",
			want: `edge.ini:4: enable-proxy-protocol is not supported: ` + note("enable-proxy-protocol"),
		},
		{
			name: "stats by HTTP", ini: "stats-http = true",
			want: `edge.ini:4: stats-http is not supported: write admin = ADDR, which serves /stats and /metrics by HTTP`,
		},
		{
			name: "another language", ini: "psgi = app.psgi",
			want: `edge.ini:4: psgi is not supported: ` + note("psgi"),
		},
		{
			name: "logic", ini: "if-env = PORT\nhttp-processes = 2\nendif =",
			want: "edge.ini:4: if-env is not supported: " + note("if-env") + "\nedge.ini:6: endif is not supported: " + note("if-env"),
		},
		{
			name: "misspelt option that only uWSGI has", ini: "procesess = 4",
			want: `edge.ini:4: unknown option "procesess": did you mean "processes"?`,
		},
		{
			name: "misspelt option that begins as others of uWSGI's", ini: "log-levle = debug",
			want: `edge.ini:4: unknown option "log-levle": did you mean "log-level"?`,
		},
		{
			name: "option of uWSGI's as a flag", args: "--processes 4",
			want: `unknown option "--processes", which is uWSGI's: write --uwsgi-option processes=VALUE`,
		},
		{
			name: "refused option as a flag", args: "--stats-http",
			want: `unknown option "--stats-http", which is uWSGI's: write admin = ADDR, which serves /stats and /metrics by HTTP`,
		},
		{
			name: "key of a cache on a disk", ini: "cache2 = name=a,items=1,store=f",
			want: `edge.ini:4: cache2 = "name=a,items=1,store=f": key "store" is not supported: ` + note("cache-store"),
		},
		{
			name: "sweeping without an end", ini: "cache-expire-freq = 0",
			want: `edge.ini:4: cache-expire-freq = "0": bad duration: write 100ms to 1h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "statistics of a router where others are", ini: "stats = :1\nrawrouter-stats = :1",
			want: `edge.ini:5: rawrouter-stats = ":1": :1 is taken by stats at edge.ini:4: choose another address`,
		},
		{
			name: "statistics of a router without a port", ini: "http-ss = localhost",
			want: `edge.ini:4: http-ss = "localhost": no port: write host:port, :port, [v6]:port or /unix/path`,
		},
		{
			name: "missing directory of names", ini: "sni-dir = none",
			want: `edge.ini:4: sni-dir = "none": no such file or directory`,
		},
		{
			name: "a directory without names", ini: "sni-dir = ..",
			want: `edge.ini:4: sni-dir = "..": no certificate in it: name files such as www.example.com.crt and www.example.com.key`,
		},
		{
			name: "a name without a key", ini: "sni-dir = .",
			want: `edge.ini:4: sni-dir = ".": cannot read text.key: no such file or directory`,
		},

		// Applications.
		{
			name: "a file as module", ini: "module = /srv/app.py",
			want: `edge.ini:4: module = "/srv/app.py": not a module: write PACKAGE.MODULE:CALLABLE, or wsgi-file = FILE`,
		},
		{
			name: "module and file", ini: "wsgi = a:b\nwsgi-file = app.py",
			want: `edge.ini:5: wsgi-file = "app.py": there is also module, from edge.ini:4: remove one`,
		},
		{
			name: "environment without a value", ini: "env = HIDDEN",
			want: `edge.ini:4: env = "HIDDEN=***": incomplete: write NAME=VALUE`,
		},
		{
			name: "socket without a port", ini: "module = a:b\nsocket = localhost:x",
			want: `edge.ini:5: socket = "localhost:x": bad port "x": write a number from 0 to 65535`,
		},
		{
			name: "socket where a listener is", ini: "module = a:b\nsocket = :8443",
			want: `edge.ini:5: socket = ":8443": :8443 is taken by sslrouter at edge.ini:2: choose another address`,
		},
		{
			name: "a way to start the application that is not there", ini: "paste = config:/srv/app.ini",
			want: `edge.ini:4: paste is not supported: write module = PACKAGE.MODULE:CALLABLE or wsgi-file = FILE`,
		},
	})
}
