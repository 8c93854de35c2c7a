package config

import "testing"

// TestWrongRouting says what is told of each mistake. It is long because it is a table.
func TestWrongRouting(t *testing.T) {
	inPKI(t)
	testWrong(t, []wrong{
		{
			name: "https without key", ini: "https = :1,cert.pem",
			want: `edge.ini:4: https = ":1,cert.pem": incomplete: write ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]`,
		},
		{
			name: "https without backend", ini: "https = :1,cert.pem,key.pem",
			want: `edge.ini:4: https = ":1,cert.pem,key.pem": no backend: add http-to = ADDR`,
		},
		{
			name: "http without backend", ini: "http = :1",
			want: `edge.ini:4: http = ":1": no backend: add http-to = ADDR`,
		},
		{
			name: "rawrouter without backend", ini: "rawrouter = :1",
			want: `edge.ini:4: rawrouter = ":1": no backend: add rawrouter-to = ADDR`,
		},
		{
			name: "https2 with mqtt", ini: "https2 = addr=:1,cert=cert.pem,key=key.pem,alpn=h2;mqtt",
			want: `edge.ini:4: https2 = "addr=:1,cert=cert.pem,key=key.pem,alpn=h2;mqtt": ` +
				`alpn: https speaks h2 and http/1.1: for other protocols write sslrouter2`,
		},
		{
			name: "https2 with an unknown key", ini: "https2 = addr=:1,cert=cert.pem,keyy=key.pem",
			want: `edge.ini:4: https2 = "addr=:1,cert=cert.pem,keyy=key.pem": unknown key "keyy": did you mean "key"?`,
		},
		{
			name: "https2 without address", ini: "https2 = cert=cert.pem,key=key.pem",
			want: `edge.ini:4: https2 = "cert=cert.pem,key=key.pem": incomplete: addr, cert and key are needed`,
		},
		{
			name: "https with a missing certificate", ini: "http-to = a:1\nhttps = :1,none.pem,key.pem",
			want: `edge.ini:5: https = ":1,none.pem,key.pem": cannot read none.pem: no such file or directory`,
		},
		{
			name: "http with a certificate", ini: "http = :1,cert.pem,key.pem",
			want: `edge.ini:4: http = ":1,cert.pem,key.pem": bad port "1,cert.pem,key.pem": write a number from 0 to 65535`,
		},
		{
			name: "redirection to port 0", ini: "http-to-https = :1,0",
			want: `edge.ini:4: http-to-https = ":1,0": port "0": bad number: write a whole number from 1 to 65535`,
		},
		{
			name: "redirection to a URL", ini: "http-to-https = :1,https://a",
			want: `edge.ini:4: http-to-https = ":1,https://a": port "https://a": bad number: write a whole number from 1 to 65535`,
		},
		{
			name: "redirection from nowhere", ini: "http-to-https = 443",
			want: `edge.ini:4: http-to-https = "443": no port: write host:port, :port, [v6]:port or /unix/path`,
		},
		{
			name: "two families on one address", ini: "rawrouter-to = a:1\nrawrouter = :8443",
			want: `edge.ini:5: rawrouter = ":8443": :8443 is taken by sslrouter at edge.ini:2: choose another address`,
		},
		{
			name: "a rawrouter as its own backend", ini: "rawrouter-to = :1\nrawrouter = :1",
			want: `edge.ini:5: rawrouter = ":1": :1 is also in rawrouter-to: it would relay to itself`,
		},
		{
			name: "a redirection as its own backend", ini: "http-to = http://127.0.0.1:1\nhttp-to-https = 127.0.0.1:1",
			want: `edge.ini:5: http-to-https = "127.0.0.1:1": 127.0.0.1:1 is also in http-to: it would relay to itself`,
		},
		{
			name: "scheme of files", ini: "http-to = ftp://a:1",
			want: `edge.ini:4: http-to = "ftp://a:1": bad scheme "ftp": write uwsgi://ADDR, http://ADDR, https://ADDR, h2c://ADDR, or ADDR for the uwsgi protocol`,
		},
		{
			name: "scheme that a rawrouter cannot speak", ini: "rawrouter-to = http://a:1",
			want: `edge.ini:4: rawrouter-to = "http://a:1": bad scheme "http": write tcp://ADDR or ADDR, or tls://ADDR; rawrouter does not read what it relays`,
		},
		{
			name: "scheme that an sslrouter cannot speak", ini: "sslrouter-to = uwsgi://a:1",
			want: `edge.ini:4: sslrouter-to = "uwsgi://a:1": bad scheme "uwsgi": write tcp://ADDR or ADDR, or tls://ADDR; sslrouter does not read what it relays`,
		},
		{
			name: "backend with a path", ini: "http-to = http://a:1/app",
			want: `edge.ini:4: http-to = "http://a:1/app": a path behind the address: requests keep their own: write http://a:1`,
		},
		{
			name: "backend on a relative socket", ini: "http-to = unix:run/app",
			want: `edge.ini:4: http-to = "unix:run/app": bad path "run/app": write unix:/path`,
		},
		{
			name: "backend without port", ini: "http-to = http://a",
			want: `edge.ini:4: http-to = "http://a": no port: write host:port, :port, [v6]:port or /unix/path`,
		},
		{
			name: "backend on port 0 of a family", ini: "rawrouter-to = a:0",
			want: `edge.ini:4: rawrouter-to = "a:0": port 0: write the port that the backend listens on`,
		},
		{
			name: "two backends in one line", ini: "http-to = a:1,b:1",
			want: `edge.ini:4: http-to = "a:1,b:1": unknown key "b:1": known are backup, max-connections, weight`,
		},
		{
			name: "backend with a misspelt key", ini: "http-to = a:1,wieght=2",
			want: `edge.ini:4: http-to = "a:1,wieght=2": unknown key "wieght": did you mean "weight"?`,
		},
		{
			name: "backend with no weight", ini: "http-to = a:1,weight=0",
			want: `edge.ini:4: http-to = "a:1,weight=0": weight "0": bad number: write a whole number from 1 to 1000`,
		},
		{
			name: "backend with two weights", ini: "http-to = a:1,weight=1,weight=2",
			want: `edge.ini:4: http-to = "a:1,weight=1,weight=2": key "weight" stands twice`,
		},
		{
			name: "backend with negative connections", ini: "http-to = a:1,max-connections=-1",
			want: `edge.ini:4: http-to = "a:1,max-connections=-1": max_connections "-1": bad number: write a whole number from 0 to 2147483647`,
		},
		{
			name: "backup with a value", ini: "http-to = a:1,backup=yes",
			want: `edge.ini:4: http-to = "a:1,backup=yes": backup "yes": write backup alone`,
		},
		{
			name: "backend with a trailing comma", ini: "http-to = a:1,",
			want: `edge.ini:4: http-to = "a:1,": no key in "": write key=value,key=value`,
		},
		{
			name: "unknown balance", ini: "sslrouter-balance = random",
			want: `edge.ini:4: sslrouter-balance = "random": bad choice: write round-robin or least-connections or source or two-choices`,
		},
		{
			name: "unknown check", ini: "sslrouter-check = ping",
			want: `edge.ini:4: sslrouter-check = "ping": bad choice: write off or tcp or tls or http or http:/path`,
		},
		{
			name: "check of a relative path", ini: "sslrouter-check = http:healthz",
			want: `edge.ini:4: sslrouter-check = "http:healthz": bad path "healthz": write one such as /healthz`,
		},
		{
			name: "check of a path with a space", ini: "sslrouter-check = http:/a b",
			want: `edge.ini:4: sslrouter-check = "http:/a b": bad path "/a b": write one such as /healthz`,
		},
		{
			name: "check by tcp of a path", ini: "sslrouter-check = tcp:/a",
			want: `edge.ini:4: sslrouter-check = "tcp:/a": bad choice: write off or tcp or tls or http or http:/path`,
		},
		{
			name: "check without a time-out", ini: "rawrouter-check-timeout = 0",
			want: `edge.ini:4: rawrouter-check-timeout = "0": bad duration: write 1ms to 1h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "check without pause", ini: "sslrouter-check-interval = 0",
			want: `edge.ini:4: sslrouter-check-interval = "0": bad duration: write 10ms to 1h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "check that never fails", ini: "http-check-fall = 0",
			want: `edge.ini:4: http-check-fall = "0": bad number: write a whole number from 1 to 100`,
		},
		{
			name: "no time to connect", ini: "rawrouter-connect-timeout = 0",
			want: `edge.ini:4: rawrouter-connect-timeout = "0": bad duration: write 1ms to 168h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "no time to be idle", ini: "http-timeout = 0",
			want: `edge.ini:4: http-timeout = "0": bad duration: write 1ms to 168h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "no time for headers", ini: "http-headers-timeout = 0",
			want: `edge.ini:4: http-headers-timeout = "0": bad duration: write 1ms to 168h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "unknown PROXY version", ini: "sslrouter-send-proxy = v3",
			want: `edge.ini:4: sslrouter-send-proxy = "v3": bad choice: write v1 or v2 or off`,
		},
		{
			name: "PROXY headers from a name", ini: "sslrouter-accept-proxy = balancer",
			want: `edge.ini:4: sslrouter-accept-proxy = "balancer": ` +
				`bad network "balancer": write one such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1`,
		},
		{
			name: "PROXY headers from a host in a network", ini: "sslrouter-accept-proxy = 10.0.0.1/8",
			want: `edge.ini:4: sslrouter-accept-proxy = "10.0.0.1/8": bad network "10.0.0.1/8": write 10.0.0.0/8, or 10.0.0.1 for one address`,
		},
		{
			name: "PROXY headers from a long prefix", ini: "sslrouter-accept-proxy = 10.0.0.0/33",
			want: `edge.ini:4: sslrouter-accept-proxy = "10.0.0.0/33": ` +
				`bad network "10.0.0.0/33": write one such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1`,
		},
		{
			name: "PROXY headers from nowhere", ini: "sslrouter-accept-proxy = 10.0.0.0/8,",
			want: `edge.ini:4: sslrouter-accept-proxy = "10.0.0.0/8,": bad network "": write one such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1`,
		},
		{
			name: "PROXY headers from a zone", ini: "sslrouter-accept-proxy = fe80::1%eth0",
			want: `edge.ini:4: sslrouter-accept-proxy = "fe80::1%eth0": ` +
				`bad network "fe80::1%eth0": write one such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1`,
		},
		{
			name: "trust in everybody", ini: "http-trusted = all",
			want: `edge.ini:4: http-trusted = "all": bad network "all": write one such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1`,
		},
		{
			name: "trust in mapped addresses", ini: "http-trusted = ::ffff:10.0.0.0/104",
			want: `edge.ini:4: http-trusted = "::ffff:10.0.0.0/104": bad network "::ffff:10.0.0.0/104": write it as IPv4, such as 10.0.0.0/8`,
		},
		{
			name: "keep-alive for less than a second", ini: "http-keepalive = 500ms",
			want: `edge.ini:4: http-keepalive = "500ms": bad duration: write 1s to 168h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "header without colon", ini: "add-header = X-Frame-Options DENY",
			want: `edge.ini:4: add-header = "X-Frame-Options DENY": incomplete: write Name: value`,
		},
		{
			name: "header without value", ini: "add-header = X-Frame-Options:",
			want: `edge.ini:4: add-header = "X-Frame-Options:": incomplete: write Name: value`,
		},
		{
			name: "header with a space in its name", ini: "add-header = X Frame: DENY",
			want: `edge.ini:4: add-header = "X Frame: DENY": bad name "X Frame": write letters, digits and hyphens, such as X-Frame-Options`,
		},
		{
			name: "header without name", ini: "http-add-header = : DENY",
			want: `edge.ini:4: http-add-header = ": DENY": bad name "": write letters, digits and hyphens, such as X-Frame-Options`,
		},
		{
			name: "header that frames", ini: "add-header = Transfer-encoding: chunked",
			want: `edge.ini:4: add-header = "Transfer-encoding: chunked": Transfer-encoding is written by Reprise itself: remove it`,
		},
		{
			name: "header in two lines", ini: "add-header = A: b\rC: d",
			want: `edge.ini:4: add-header = "A: b\rC: d": control character: remove it`,
		},
		{
			name: "rule without operation", ini: "request-header = X-A: b",
			want: `edge.ini:4: request-header = "X-A: b": bad rule: write set NAME: VALUE, add NAME: VALUE or remove NAME`,
		},
		{
			name: "rule of HAProxy's", ini: "request-header = set-header X-A b",
			want: `edge.ini:4: request-header = "set-header X-A b": bad rule: write set NAME: VALUE, add NAME: VALUE or remove NAME`,
		},
		{
			name: "rule without colon", ini: "request-header = set X-A b",
			want: `edge.ini:4: request-header = "set X-A b": incomplete: write Name: value`,
		},
		{
			name: "rule about the host", ini: "request-header = set Host: a",
			want: `edge.ini:4: request-header = "set Host: a": Host is written by Reprise itself: remove it`,
		},
		{
			name: "rule with an underscore", ini: "request-header = set X_Forwarded-For: a",
			want: `edge.ini:4: request-header = "set X_Forwarded-For: a": X_Forwarded-For is taken for X-Forwarded-For by some: write that`,
		},
		{
			name: "rule about HTTP_PROXY", ini: "request-header = remove Proxy",
			want: `edge.ini:4: request-header = "remove Proxy": Proxy is never passed on, since CGI makes HTTP_PROXY of it: remove it`,
		},
		{
			name: "rule with a misspelt variable", ini: "response-header = set A: ${SSL_CLIENT_SDN}",
			want: `edge.ini:4: response-header = "set A: ${SSL_CLIENT_SDN}": unknown variable ${SSL_CLIENT_SDN}: write ${SSL_CLIENT_S_DN}`,
		},
		{
			name: "rule with an open variable", ini: "response-header = set A: ${SSL_CIPHER",
			want: `edge.ini:4: response-header = "set A: ${SSL_CIPHER": ${SSL_CIPHER has no end: write ${NAME}`,
		},
		{
			name: "two of Strict-Transport-Security", ini: "https = :2,cert.pem,key.pem\nhttp-to = a:1\nadd-header = strict-transport-security: max-age=1\nhsts = 1",
			want: `edge.ini:7: hsts = "1": another option sets Strict-Transport-Security too, and browsers take only one: remove one of them`,
		},
		{
			name: "hsts without a number", ini: "hsts = soon",
			want: `edge.ini:4: hsts = "soon": bad value: write SECONDS, true or false, then ;includeSubDomains and ;preload if wanted`,
		},
		{
			name: "subdomains without hsts", ini: "hsts = false;includeSubDomains",
			want: `edge.ini:4: hsts = "false;includeSubDomains": ` +
				`bad value: write SECONDS, true or false, then ;includeSubDomains and ;preload if wanted`,
		},
		{
			name: "hsts with an unknown directive", ini: "hsts = 1;subdomains",
			want: `edge.ini:4: hsts = "1;subdomains": ` +
				`bad directive "subdomains": write SECONDS, true or false, then ;includeSubDomains and ;preload if wanted`,
		},
		{
			name: "hsts preloaded too early", ini: "hsts = 300;preload",
			want: `edge.ini:4: hsts = "300;preload": preload takes at least a year and all subdomains: write 31536000;includeSubDomains;preload`,
		},
		{
			name: "body of negative size", ini: "http-max-body = -1",
			want: `edge.ini:4: http-max-body = "-1": bad size: write bytes from 0 to 1048576g, such as 65536 or 64k`,
		},
		{
			name: "unknown log format", ini: "access-log-format = common",
			want: `edge.ini:4: access-log-format = "common": bad choice: write json or combined`,
		},
		{
			name: "log of no line", ini: "access-log-sample = 0",
			want: `edge.ini:4: access-log-sample = "0": bad number: write a whole number from 1 to 1073741824`,
		},
		{
			name: "log in no directory", ini: "access-log = none/log",
			want: `edge.ini:4: access-log = "none/log": cannot write in none: no such file or directory`,
		},
		{
			name: "log in a file", ini: "access-log = key.pem/log",
			want: `edge.ini:4: access-log = "key.pem/log": key.pem is not a directory`,
		},
		{
			name: "log that is a directory", ini: "access-log = .",
			want: `edge.ini:4: access-log = ".": . is a directory: name a file in it`,
		},
		{
			name: "names looked up all the time", ini: "backend-resolve-interval = 10ms",
			want: `edge.ini:4: backend-resolve-interval = "10ms": bad duration: write 1s to 168h, such as 10 (seconds), 250ms or 2m`,
		},
		{
			name: "misspelt family option", ini: "rawrouter-chek = tcp",
			want: `edge.ini:4: unknown option "rawrouter-chek": did you mean "rawrouter-check"?`,
		},
	})
}
