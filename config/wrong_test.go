package config

import (
	"strings"
	"testing"
)

// good is a configuration without a fault; in a test's file it takes lines 1 to 3.
const good = "[reprise]\nsslrouter = :8443,cert.pem,key.pem\nsslrouter-to = 127.0.0.1:9000\n"

// evaded is the error about a name that demands more of clients than its sslrouter.
func evaded(router string) string {
	return "clients could go round CLIENTCA by another name, since both reach the same backends of sslrouter at " + router +
		": write it there and for each name, give the name a pool of its own by sslrouter-use-pool, or use https, which looks at each request's Host"
}

// TestWrongConfigurations says what is told of each mistake. It is long because it is a table.
func TestWrongConfigurations(t *testing.T) {
	inPKI(t)
	const forms = "write host:port, :port, [v6]:port or /unix/path"
	testWrong(t, []wrong{
		// Options.
		{
			name: "unknown key", ini: "sslrouter-too = :1",
			want: `edge.ini:4: unknown option "sslrouter-too": did you mean "sslrouter-to"?`,
		},
		{
			name: "unknown key with underscores", ini: "ssl_sessions_timeout = 1",
			want: `edge.ini:4: unknown option "ssl_sessions_timeout": did you mean "ssl-sessions-timeout"?`,
		},
		{
			name: "unknown key like nothing", ini: "; a comment\n\nfrobnicate = 1",
			want: `edge.ini:6: unknown option "frobnicate": reprise --help lists all`,
		},
		{
			name: "unknown flag", args: "--idel-timeout 3",
			want: `unknown option "--idel-timeout": did you mean "--idle-timeout"?`,
		},
		{
			name: "unknown flag like nothing", args: "--frobnicate",
			want: `unknown option "--frobnicate": reprise --help lists all`,
		},
		{
			name: "short flag", args: "-x",
			want: `unknown option "-x": options start with --`,
		},
		{
			name: "flag without value", args: "--idle-timeout",
			want: `--idle-timeout: no value: write --idle-timeout DURATION`,
		},
		{
			name: "optional value that stands apart", args: "--rawrouter-send-proxy v2",
			want: `--rawrouter-send-proxy: its value stands apart: write --rawrouter-send-proxy=v2`,
		},
		{
			name: "file behind an option without value", args: "--watch missing.ini",
			want: `missing.ini: cannot read: no such file or directory`,
		},
		{
			name: "key without value", ini: "idle-timeout",
			want: `edge.ini:4: idle-timeout = "": no value: write DURATION`,
		},
		{
			name: "neither a boolean nor the other choice", ini: "sni-nomatch-abort = unkown",
			want: `edge.ini:4: sni-nomatch-abort = "unkown": not a boolean: write true or false, or unknown`,
		},
		{
			name: "control character", ini: "name = a\x1b[2Jb",
			want: `edge.ini:4: name = "a\x1b[2Jb": control character: remove it`,
		},

		// Files.
		{
			name: "missing file", args: "none.ini",
			want: "none.ini: cannot read: no such file or directory",
		},
		{
			name: "control character in a file's name", args: "a\x1b.ini",
			want: `"a\x1b.ini": control character in a file name: rename it`,
		},
		{
			name: "missing section", args: "edge.ini:blue",
			want: "edge.ini: no section [blue]: write one above the options",
		},
		{
			name: "no section of ours", ini: "[other]\nmaster = 1",
			want: "edge.ini: no section [uwsgi] or [reprise]: write one above the options\n" +
				"no listener: add https = ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]] or sslrouter = ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]",
		},
		{
			name: "unclosed section", ini: "[uwsgi",
			want: `edge.ini:1: cannot read "[uwsgi": write key = value or [section]` + "\n" +
				"edge.ini: no section [uwsgi] or [reprise]: write one above the options\n" +
				"no listener: add https = ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]] or sslrouter = ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]",
		},
		{
			name: "no key", ini: "= 5",
			want: `edge.ini:4: cannot read "= 5": write key = value or [section]`,
		},

		// Addresses.
		{
			name: "no address", ini: "sslrouter2 = addr= ,cert=cert.pem,key=key.pem",
			want: `edge.ini:4: sslrouter2 = "addr= ,cert=cert.pem,key=key.pem": key "addr" has no value`,
		},
		{
			name: "no port", ini: `sslrouter-to = localhost`,
			want: `edge.ini:4: sslrouter-to = "localhost": no port: ` + forms,
		},
		{
			name: "no port in a flag", args: "--stats localhost",
			want: `--stats "localhost": no port: ` + forms,
		},
		{
			name: "IPv6 without brackets", ini: "stats = ::1",
			want: `edge.ini:4: stats = "::1": no port: write [::1]:port`,
		},
		{
			name: "port too high", ini: "stats = :65536",
			want: `edge.ini:4: stats = ":65536": bad port "65536": write a number from 0 to 65535`,
		},
		{
			name: "port by name", ini: "stats = :https",
			want: `edge.ini:4: stats = ":https": bad port "https": write a number from 0 to 65535`,
		},
		{
			name: "two addresses in one", ini: "stats = 127.0.0.1:1:2",
			want: `edge.ini:4: stats = "127.0.0.1:1:2": not an address: ` + forms,
		},
		{
			name: "bad host", ini: "stats = a b:1",
			want: `edge.ini:4: stats = "a b:1": bad host "a b": write an IP address or a DNS name`,
		},
		{
			name: "bad IPv4 address", ini: "stats = 127.0.0.256:1",
			want: `edge.ini:4: stats = "127.0.0.256:1": bad IPv4 address "127.0.0.256": write four numbers from 0 to 255`,
		},
		{
			name: "inherited socket", ini: "stats = =0",
			want: `edge.ini:4: stats = "=0": inherited sockets are not supported: ` + forms,
		},
		{
			name: "backend on port 0", ini: "sslrouter-to = 127.0.0.1:0",
			want: `edge.ini:4: sslrouter-to = "127.0.0.1:0": port 0: write the port that the backend listens on`,
		},
		{
			name: "long unix path", args: "--stats /" + strings.Repeat("x", 107),
			want: `--stats "/` + strings.Repeat("x", 107) + `": path of 108 bytes: a unix socket's path has at most 107`,
		},
		{
			name: "two listeners on one address", ini: "sslrouter = :8443,rsa.pem,rsa-key.pem",
			want: `edge.ini:4: sslrouter = ":8443,rsa.pem,rsa-key.pem": :8443 is taken by sslrouter at edge.ini:2: choose another address`,
		},
		{
			name: "stats where the listener is", args: "--stats :8443",
			want: `--stats ":8443": :8443 is taken by sslrouter at edge.ini:2: choose another address`,
		},
		{
			name: "admin where stats is", ini: "admin = [::1]:5001\nstats = [0::1]:5001",
			want: `edge.ini:4: admin = "[::1]:5001": [::1]:5001 is taken by stats at edge.ini:5: choose another address`,
		},
		{
			name: "a listener as its own backend", ini: "sslrouter-to = :8443",
			want: `edge.ini:2: sslrouter = ":8443,cert.pem,key.pem": :8443 is also in sslrouter-to: it would relay to itself`,
		},

		// Values.
		{
			name: "not a number", ini: "max-handshakes = many",
			want: `edge.ini:4: max-handshakes = "many": bad number: write a whole number from 1 to 2147483647`,
		},
		{
			name: "number too small", args: "--loops 0",
			want: `--loops "0": bad number: write a whole number from 1 to 1024`,
		},
		{
			name: "inline comment", ini: "http-processes = 8 ; one per core",
			want: `edge.ini:4: http-processes = "8 ; one per core": bad number: write a whole number from 1 to 1024`,
		},
		{
			name: "not a boolean", ini: "master = maybe",
			want: `edge.ini:4: master = "maybe": not a boolean: write true or false`,
		},
		{
			name: "not a duration", ini: "idle-timeout = 1 moment",
			want: `edge.ini:4: idle-timeout = "1 moment": bad duration: write 1ms to 168h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "negative duration", ini: "linger-timeout = -1",
			want: `edge.ini:4: linger-timeout = "-1": bad duration: write 0s to 168h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "part of a second", ini: "tcp-defer-accept = 1500ms",
			want: `edge.ini:4: tcp-defer-accept = "1500ms": bad duration: the kernel takes whole seconds only`,
		},
		{
			name: "sessions for ever", ini: "ssl-sessions-timeout = 999999999999",
			want: `edge.ini:4: ssl-sessions-timeout = "999999999999": bad duration: write 1s to 168h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "not a size", ini: "high-watermark = 64kb",
			want: `edge.ini:4: high-watermark = "64kb": bad size: write bytes from 4k to 1g, such as 65536 or 64k`,
		},
		{
			name: "size that overflows", ini: "high-watermark = 18014398509481985k",
			want: `edge.ini:4: high-watermark = "18014398509481985k": bad size: write bytes from 4k to 1g, such as 65536 or 64k`,
		},
		{
			name: "bad high watermark is one fault, not two", ini: "high-watermark = big",
			want: `edge.ini:4: high-watermark = "big": bad size: write bytes from 4k to 1g, such as 65536 or 64k`,
		},
		{
			name: "unknown TLS version", ini: "ssl-min-version = 1.1",
			want: `edge.ini:4: ssl-min-version = "1.1": bad choice: write 1.2 or 1.3`,
		},
		{
			name: "unknown log level", args: "--log-level=loud",
			want: `--log-level "loud": bad choice: write debug or info or warn or error`,
		},
		{
			name: "profiles without a server", ini: "pprof = true",
			want: `edge.ini:4: pprof = "true": there is no admin server to serve it on: add admin = 127.0.0.1:9090`,
		},

		// Listeners.
		{
			name: "no listener", ini: "[uwsgi]\nsslrouter-to = :1",
			want: "no listener: add https = ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]] or sslrouter = ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]",
		},
		{
			name: "no backend", ini: "[uwsgi]\nsslrouter = :1,cert.pem,key.pem",
			want: `edge.ini:2: sslrouter = ":1,cert.pem,key.pem": no backend: add sslrouter-to = ADDR`,
		},
		{
			name: "no key file", ini: "sslrouter = :1,cert.pem",
			want: `edge.ini:4: sslrouter = ":1,cert.pem": incomplete: write ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]`,
		},
		{
			name: "listener without port", ini: "sslrouter = localhost,cert.pem,key.pem",
			want: `edge.ini:4: sslrouter = "localhost,cert.pem,key.pem": no port: ` + forms,
		},
		{
			name: "sslrouter2 with an unknown key", ini: "sslrouter2 = addr=:1,certs=cert.pem,key=key.pem",
			want: `edge.ini:4: sslrouter2 = "addr=:1,certs=cert.pem,key=key.pem": unknown key "certs": did you mean "cert"?`,
		},
		{
			name: "sslrouter2 with a foreign key", ini: "sslrouter2 = addr=:1,spdy=1",
			want: `edge.ini:4: sslrouter2 = "addr=:1,spdy=1": unknown key "spdy": ` +
				`known are addr, alpn, cert, ciphers, client_ca, clientca, context, crt, key`,
		},
		{
			name: "sslrouter2 without a key file", ini: "sslrouter2 = addr=:1,cert=cert.pem",
			want: `edge.ini:4: sslrouter2 = "addr=:1,cert=cert.pem": incomplete: addr, cert and key are needed`,
		},
		{
			name: "sslrouter2 with two certificates and one key", ini: "sslrouter2 = addr=:1,cert=cert.pem,crt=rsa.pem,key=key.pem",
			want: `edge.ini:4: sslrouter2 = "addr=:1,cert=cert.pem,crt=rsa.pem,key=key.pem": ` +
				`2 cert but 1 key: write one key for each cert, in the same order`,
		},
		{
			name: "sslrouter2 with two addresses", ini: "sslrouter2 = addr=:1,addr=:2,cert=cert.pem,key=key.pem",
			want: `edge.ini:4: sslrouter2 = "addr=:1,addr=:2,cert=cert.pem,key=key.pem": key "addr" stands twice`,
		},
		{
			name: "sslrouter2 with a protocol twice", ini: "sslrouter2 = addr=:1,alpn=h2;h2,cert=cert.pem,key=key.pem",
			want: `edge.ini:4: sslrouter2 = "addr=:1,alpn=h2;h2,cert=cert.pem,key=key.pem": ` +
				`bad protocol "h2": write different names such as h2;http/1.1`,
		},
		{
			name: "sslrouter2 with an empty value", ini: "sslrouter2 = addr=:1,cert=,key=key.pem",
			want: `edge.ini:4: sslrouter2 = "addr=:1,cert=,key=key.pem": key "cert" has no value`,
		},
		{
			name: "sslrouter2 with a trailing comma", ini: "sslrouter2 = addr=:1,cert=cert.pem,key=key.pem,",
			want: `edge.ini:4: sslrouter2 = "addr=:1,cert=cert.pem,key=key.pem,": no key in "": write key=value,key=value`,
		},
		{
			name: "bad protocols", ini: "sslrouter-alpn = h2,,http/1.1",
			want: `edge.ini:4: sslrouter-alpn = "h2,,http/1.1": bad protocol "": write different names such as h2,http/1.1`,
		},
		{
			name: "sni without key", ini: "sni = a.example cert.pem",
			want: `edge.ini:4: sni = "a.example cert.pem": incomplete: write NAME CERT,KEY[,CIPHERS[,CLIENTCA]]`,
		},
		{
			name: "sni for an address", ini: "sni = 127.0.0.1 cert.pem,key.pem",
			want: `edge.ini:4: sni = "127.0.0.1 cert.pem,key.pem": bad name "127.0.0.1": clients send no SNI for an IP address`,
		},
		{
			name: "sni with a star inside", ini: "sni = www.*.example cert.pem,key.pem",
			want: `edge.ini:4: sni = "www.*.example cert.pem,key.pem": bad name "www.*.example": ` +
				`write one such as www.example.com, *.example.com or xn--bcher-kva.example`,
		},
		{
			name: "two policies for one name",
			ini: "sni = a.example cert.pem,key.pem,ECDHE-RSA-AES128-GCM-SHA256\n" +
				"sni = A.example rsa.pem,rsa-key.pem,ECDHE-RSA-AES256-GCM-SHA384",
			want: `edge.ini:5: sni = "A.example rsa.pem,rsa-key.pem,ECDHE-RSA-AES256-GCM-SHA384": ` +
				`a.example already has other ciphers or another client CA from edge.ini:4: write the same for both`,
		},
		{
			name: "a name that asks for more on an sslrouter", ini: "sni = a.example cert.pem,key.pem,,!ca.pem",
			want: `edge.ini:4: sni = "a.example cert.pem,key.pem,,!ca.pem": ` + evaded("edge.ini:2"),
		},
		{
			name: "names that ask for more on an sslrouter2",
			ini: "sslrouter2 = addr=:1,cert=cert.pem,key=key.pem,clientca=!ca.pem\n" +
				"sni = a.example cert.pem,key.pem,,ca.pem\nsni = *.a.example cert.pem,key.pem,,!ca.pem\nsni = b.example cert.pem,key.pem",
			want: `edge.ini:5: sni = "a.example cert.pem,key.pem,,ca.pem": ` + evaded("edge.ini:2") + "\n" +
				`edge.ini:6: sni = "*.a.example cert.pem,key.pem,,!ca.pem": ` + evaded("edge.ini:2"),
		},

		// Ciphers.
		{
			name: "misspelt cipher", ini: "sslrouter = :1,cert.pem,key.pem,ECDHE-RSA-AES128-GCM-SHA265",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,key.pem,ECDHE-RSA-AES128-GCM-SHA265": ` +
				`unknown cipher "ECDHE-RSA-AES128-GCM-SHA265": did you mean "ECDHE-RSA-AES128-GCM-SHA256"?`,
		},
		{
			name: "cipher like nothing", ini: "sslrouter = :1,cert.pem,key.pem,ROT13",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,key.pem,ROT13": ` +
				`unknown cipher "ROT13": write names such as ECDHE-ECDSA-AES128-GCM-SHA256, separated by colons`,
		},
		{
			name: "only insecure ciphers", ini: "sslrouter = :1,cert.pem,key.pem,AES128-SHA:DHE-RSA-AES128-SHA",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,key.pem,AES128-SHA:DHE-RSA-AES128-SHA": ` +
				`crypto/tls offers none of AES128-SHA:DHE-RSA-AES128-SHA: write ECDHE suites`,
		},

		// Certificates and keys.
		{
			name: "missing certificate", ini: "sslrouter = :1,none.pem,key.pem",
			want: `edge.ini:4: sslrouter = ":1,none.pem,key.pem": cannot read none.pem: no such file or directory`,
		},
		{
			name: "missing key", ini: "sslrouter = :1,cert.pem,none.pem",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,none.pem": cannot read none.pem: no such file or directory`,
		},
		{
			name: "key of another certificate", ini: "sslrouter = :1,cert.pem,expired-key.pem",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,expired-key.pem": ` +
				`expired-key.pem is not the key of cert.pem: name the pair that was made together`,
		},
		{
			name: "key of another type", args: "--sni a.example,cert.pem,rsa-key.pem",
			want: `--sni "a.example,cert.pem,rsa-key.pem": rsa-key.pem is not the key of cert.pem: name the pair that was made together`,
		},
		{
			name: "certificate and key swapped", ini: "sslrouter = :1,key.pem,cert.pem",
			want: `edge.ini:4: sslrouter = ":1,key.pem,cert.pem": key.pem holds no PEM certificate`,
		},
		{
			name: "certificate as key", ini: "sslrouter = :1,cert.pem,cert.pem",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,cert.pem": cert.pem holds no PEM private key`,
		},
		{
			name: "empty certificate", ini: "sslrouter = :1,empty.pem,key.pem",
			want: `edge.ini:4: sslrouter = ":1,empty.pem,key.pem": empty.pem is empty`,
		},
		{
			name: "certificate that is a directory", ini: "sslrouter = :1,.,key.pem",
			want: `edge.ini:4: sslrouter = ":1,.,key.pem": cannot read .: is a directory`,
		},
		{
			name: "broken certificate", ini: "sslrouter = :1,broken.pem,key.pem",
			want: `edge.ini:4: sslrouter = ":1,broken.pem,key.pem": broken.pem: block 1 (CERTIFICATE, line 1): malformed certificate`,
		},
		{
			name: "encrypted key", ini: "sslrouter = :1,cert.pem,encrypted-key.pem",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,encrypted-key.pem": encrypted-key.pem is encrypted: ` +
				`write the key without a passphrase, with openssl pkey -in encrypted-key.pem`,
		},
		{
			name: "missing client CA", ini: "sslrouter = :1,cert.pem,key.pem,,none.pem",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,key.pem,,none.pem": cannot read none.pem: no such file or directory`,
		},
		{
			name: "client CA without certificate", ini: "sslrouter = :1,cert.pem,key.pem,,!text.pem",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,key.pem,,!text.pem": text.pem holds no PEM certificate`,
		},
		{
			name: "no client CA after the mark", ini: "sslrouter = :1,cert.pem,key.pem,,!",
			want: `edge.ini:4: sslrouter = ":1,cert.pem,key.pem,,!": no file after !: write !CLIENTCA to require client certificates`,
		},

		// Caches.
		{
			name: "cache without items", ini: "cache2 = name=ssl",
			want: `edge.ini:4: cache2 = "name=ssl": incomplete: name and items are needed`,
		},
		{
			name: "cache with bad items", ini: "cache2 = name=ssl,items=0",
			want: `edge.ini:4: cache2 = "name=ssl,items=0": items "0": bad number: write a whole number from 1 to 1073741824`,
		},
		{
			name: "cache with an unknown key", ini: "cache2 = name=ssl,itmes=10",
			want: `edge.ini:4: cache2 = "name=ssl,itmes=10": unknown key "itmes": did you mean "items"?`,
		},
		{
			name: "cache with a key of uWSGI's", ini: "cache2 = name=ssl,items=10,store=f",
			want: `edge.ini:4: cache2 = "name=ssl,items=10,store=f": key "store" is not supported: ` + note("cache-store"),
		},
		{
			name: "cache with a key twice", ini: "cache2 = name=ssl,items=10,max_items=20",
			want: `edge.ini:4: cache2 = "name=ssl,items=10,max_items=20": key "max_items" stands twice`,
		},
		{
			name: "two caches of one name", ini: "cache2 = name=a,items=1\ncache2 = name=a,items=2",
			want: `edge.ini:5: cache2 = "name=a,items=2": cache "a" exists since edge.ini:4: choose another name`,
		},
		{
			name: "a cache named as the legacy one", ini: "cache2 = name=default,items=1\ncache = 2",
			want: `edge.ini:4: cache2 = "name=default,items=1": cache "default" is also what edge.ini:5 makes: choose another name`,
		},
		{
			name: "sessions in no cache", ini: "ssl-sessions-use-cache = ssl",
			want: `edge.ini:4: ssl-sessions-use-cache = "ssl": no cache has this name: add cache2 = name=ssl,items=20000`,
		},
		{
			name: "a misspelt cache is one fault, not two", ini: "ssl-sessions-use-cache = ssl\ncache2 = name=ssl,items=x",
			want: `edge.ini:5: cache2 = "name=ssl,items=x": items "x": bad number: write a whole number from 1 to 1073741824`,
		},
		{
			name: "blocks too small for sessions", ini: "cache = 10\ncache-blocksize = 2048",
			want: `edge.ini:5: cache-blocksize = "2048": blocksize 2048 is too small for TLS sessions: write at least 4096`,
		},
		{
			name: "blocks of a named cache too small for sessions", ini: "cache2 = name=ssl,items=10,blocksize=4095",
			want: `edge.ini:4: cache2 = "name=ssl,items=10,blocksize=4095": blocksize 4095 is too small for TLS sessions: write at least 4096`,
		},

		// Several at once.
		{
			name: "all faults are reported", ini: "stats = 1\nmaster = 2\nbogus = 3\nsni = a.example none.pem,key.pem", args: "--loops x",
			want: `edge.ini:6: unknown option "bogus": reprise --help lists all` + "\n" +
				`edge.ini:4: stats = "1": no port: ` + forms + "\n" +
				`edge.ini:5: master = "2": not a boolean: write true or false` + "\n" +
				`--loops "x": bad number: write a whole number from 1 to 1024` + "\n" +
				`edge.ini:7: sni = "a.example none.pem,key.pem": cannot read none.pem: no such file or directory`,
		},
	})
}

// wrong is a configuration with faults.
type wrong struct {
	name string
	ini  string // after good, unless it starts with "["
	args string // after edge.ini
	want string // the whole error
}

func testWrong(t *testing.T, tests []wrong) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !strings.HasPrefix(test.ini, "[") {
				test.ini = good + test.ini
			}
			writeFile(t, "edge.ini", []byte(test.ini))
			c, err := Parse(append([]string{"edge.ini"}, strings.Fields(test.args)...))
			if err == nil {
				t.Fatalf("no error, want %s", test.want)
			}
			if c != nil {
				t.Errorf("got a Config beside the error")
			}
			if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
		})
	}
}
