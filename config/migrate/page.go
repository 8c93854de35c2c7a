package migrate

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const migrating = `# Coming from uWSGI or hitch

This page is generated from the tables that the program itself uses: ` + "`go test ./config -run Migrating -update`" + ` writes it anew.
` + "`reprise check FILE`" + ` says the same about the keys of one file.

- **supported**: it means what it means there.
- **supported better**: it does more, or what it was meant to do, as the note says.
- **passed on**: it concerns the application and is given to the uwsgi that runs it, if ` + "`module` or `wsgi-file`" + ` names one; with a
  warning if it would concern the routers too.
- **ignored**: it has no effect here; with a warning if an operator may rely on it.
- **refused**: an error that says what to write instead.

A name with * stands for all that begin with it and have no line of their own. Any other key is an error that names the nearest one, unless
it is used as a variable, as ` + "`%(KEY)`" + `. Keys that only uWSGI has are read from files; on the command line they are errors.

## Files

- The order of options does not matter.
- ` + "`$(NAME)`" + ` is a variable of the environment, ` + "`@(FILE)`" + ` the content of a file without surrounding spaces, ` + "`%(KEY)`" + ` the value
  of a key, which may stand before or behind, in any of the files; of several the first. An undefined variable is an error. Nothing
  is calculated.
- ` + "`%p`" + ` is the path of the file, ` + "`%o`" + ` the same as it was written, ` + "`%s`" + ` its name, ` + "`%n`" + ` that without its extension, ` + "`%e`" + ` the
  extension; ` + "`%d`" + ` is its directory with a slash at the end, ` + "`%c`" + ` the name of that, ` + "`%v`" + ` the working directory, ` + "`%h`" + ` the name of
  the host, ` + "`%k`" + ` the number of cores, ` + "`%u`" + ` the number of the user; ` + "`%%`" + ` is a percent sign. Any other percent sign stays as it
  is, and so do those in the URL of a session-store and before the zone of an IPv6 address.
- In """triple quotes""" or backticks nothing is replaced.
- ` + "`ini = FILE`, `FILE:SECTION` or `:SECTION`" + ` reads that in place; ` + "`reprise FILE :SECTION`" + ` reads another section of the same file.
- Sections of one name add up. A line that a later one repeats word for word counts once.
`

const clientCerts = `
## Client certificates by name

uWSGI asks for a client certificate by the name in the handshake (SNI) and does not look at Host: with ` + "`sni = NAME CERT,KEY,,!CLIENTCA`" + ` a
client without one gets NAME's pages all the same, by a handshake for another name. Here ` + "`https`" + ` answers such a request with 421, as nginx
does where ` + "`ssl_verify_client`" + ` differs between servers and HAProxy if you compare ` + "`ssl_fc_sni` with `hdr(host)`" + `. ` + "`sslrouter`" + ` sees no
requests: a name's CLIENTCA that is not also that of all names which reach the same backends is refused there. Write the same for all, make
it ` + "`https`" + `, or give the name a pool of its own: ` + "`sslrouter-pool = POOL to=ADDR` and `sslrouter-use-pool = POOL sni=NAME`" + `.
`

const poolsByName = `
## Backends by name and path

What uWSGI's router does by mapping hosts to sockets (` + "`http-use-pattern`, `http-use-cache`" + `), nginx by ` + "`server_name` and `location`" + ` with an
` + "`upstream`" + ` each, and HAProxy by ` + "`use_backend` with `hdr(host)`, `path_beg` or `req.ssl_sni`" + `, is written here as a pool and the rules that use it:

| here | nginx | HAProxy |
|---|---|---|
| ` + "`http-pool = api to=http://10.0.0.1:8000` | `upstream api { server 10.0.0.1:8000; }` | `backend api` with `server`" + ` |
| ` + "`http-pool = api balance=least-connections` | `least_conn` in it | `balance leastconn` in it" + ` |
| ` + "`http-use-pool = api host=api.example.com,path=/v1` | `server_name`, `location /v1/` | `use_backend api if { hdr(host) ... } { path_beg /v1/ }`" + ` |
| ` + "`sslrouter-use-pool = mail sni=mail.example.com` | `map $ssl_server_name` in `stream` | `use_backend mail if { ssl_fc_sni ... }`" + ` |
| ` + "`rawrouter-use-pool = raw sni=*.raw.example.com` | `ssl_preread` with `map` | `req.ssl_sni` with `tcp-request inspect-delay`" + ` |

A pool takes any option that http-to has (` + "`http-check`, `http-queue`, `http-send-proxy` ..." + `) by the rest of its name, one a line; what it does not state
is as for http-to, like HAProxy's ` + "`defaults`" + `. As in nginx and unlike HAProxy the order of lines means nothing and the most
specific one decides; as in nginx paths are compared decoded and without ` + "`//`, `/./` and `/../`" + `, but on the boundary of segments: ` + "`/v1`" + ` is not
the beginning of ` + "`/v10`" + `. A wildcard stands for one label, as in certificates.
`

const subscriptionsByUWSGI = `
## Backends that subscribe

` + "`http-subscription-server = ADDR`" + ` takes what a uwsgi with ` + "`subscribe-to = ADDR:DOMAIN` or `subscribe2`" + ` sends, and gives it the requests for
DOMAIN until it unsubscribes or is silent for ` + "`subscription-tolerance`" + `. Nearest to it are HAProxy's ` + "`server-template`" + ` with DNS or its runtime
` + "`add server`" + `, and nginx's ` + "`upstream` API of the commercial version" + `. uWSGI takes a subscription from any sender that reaches its port; here it must come from this machine or from
` + "`http-subscription-from`" + `, or be signed. A subscription cannot bring certificates along (sni_key), nor another modifier1 than WSGI's 0.
A unix socket is a backend only if it lies in a directory of ` + "`http-subscription-sockets`" + `.
`

const limitsByClient = `
## Limits by client

Neither uWSGI's router nor hitch has any. Nearest in nginx and HAProxy are:

| here | nginx | HAProxy |
|---|---|---|
| ` + "`client-connections = 100` | `limit_conn_zone $binary_remote_addr`, `limit_conn ZONE 100` | `stick-table type ipv6 size 1m store conn_cur`, `tcp-request connection reject if { src_conn_cur gt 100 }`" + ` |
| ` + "`client-requests = 50,200` | `limit_req_zone ... rate=50r/s`, `limit_req burst=199 nodelay`, `limit_req_status 429` | `store http_req_rate(1s)`, `http-request deny deny_status 429 if { sc_http_req_rate(0) gt 50 }`" + ` |
| ` + "`client-handshakes = 10` | | `store conn_rate(1s)`, which counts all connections" + ` |
| ` + "`client-deny = @FILE` | `deny`, after the handshake | `tcp-request connection reject if { src -f FILE }`" + ` |
| ` + "`client-allow = 10.0.0.0/8` | `geo` with an empty key | `tcp-request connection accept if { src 10.0.0.0/8 }` before the others" + ` |
| ` + "`client-prefix = 32,64` | | `src,ipmask(32,64)`" + ` |

The limits are for all listeners together, and the address is that of a PROXY header where there is one. A connection over a limit of connections or handshakes is reset and not answered.
`

const fields = `
## Fields of requests and responses

uWSGI's ` + "`add-header`" + ` adds a field beside the application's; here it replaces that, so that there is one X-Frame-Options (Set-Cookie, Vary and others of
which there may be several stay). What ` + "`route`" + ` does to requests and responses there (` + "`addvar`, `addheader`, `delheader`" + `) is
` + "`request-header = set NAME: VALUE`, `add NAME: VALUE` or `remove NAME`, and `response-header`" + ` alike: nginx's ` + "`proxy_set_header`, `add_header` and `proxy_hide_header`" + `,
HAProxy's ` + "`http-request set-header`, `add-header` and `del-header`" + `. ` + "`${REMOTE_ADDR}`, `${SSL_CLIENT_S_DN}`" + ` and the like stand for nginx's ` + "`$remote_addr`, `$ssl_client_s_dn`" + ` and
HAProxy's ` + "`%[src]`, `%{+Q}[ssl_c_s_dn]`" + `; operations/fields.md has them all. ` + "`X-Real-IP`, `X-SSL-*`" + ` and the like of a client pass only if it is in http-trusted, so fields that these programs
must remove by hand need no rule here.
`

// Page returns docs/MIGRATING.md. hitch are the verdicts about the keys of hitch.
func Page(hitch []Row) []byte {
	var out bytes.Buffer
	out.WriteString(migrating + "\n# uWSGI\n")
	for _, c := range append(slices.Clone(UWSGI), CacheKeys) {
		c.print(&out)
	}
	out.WriteString(poolsByName + subscriptionsByUWSGI + clientCerts + limitsByClient + fields)
	out.WriteString(
		"\n# hitch\n\nA file named as `hitch*.conf`, or without sections and with hitch's keys, is read as hitch reads it. `reprise check hitch.conf` prints\n" +
			"its translation, which may be used instead of it.\n")
	keys := Chapter{Title: "Keys of hitch.conf", Rows: hitch}
	keys.print(&out)
	return out.Bytes()
}

func (c *Chapter) print(out *bytes.Buffer) {
	fmt.Fprintf(out, "\n## %s\n\n| option | verdict | |\n|---|---|---|\n", c.Title)
	for _, r := range c.Rows {
		names := strings.ReplaceAll(r.Names, " ", "`, `")
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", names, r.Verdict,
			strings.ReplaceAll(r.Note, "|", `\|`))
	}
}
