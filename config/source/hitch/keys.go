package hitch

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"reprise/config/migrate"
	"reprise/config/suggest"
	"reprise/config/values"
)

// place says where a key of hitch's may stand.
type place int

const (
	outside place = iota
	anyPlace
	inFrontend
)

// kind says how a key of hitch's is treated: it sets an option of ours to the same value, or calls
// a function, or does nothing.
type kind struct {
	migrate.Row
	place  place
	option string
	do     func(h *file, s *scope, k key) error
}

const noStaple = "no OCSP response is stapled: use no certificate that demands it (must-staple, " +
	"RFC 7633)"

var table = []kind{
	{Row: row("frontend", migrate.Supported, "sslrouter2, once for each")},
	{
		Row: row("host", migrate.Supported, "the address of sslrouter2"), place: inFrontend,
		do: keep(func(s *scope) *string { return &s.host }),
	},
	{
		Row: row("port", migrate.Supported, "the address of sslrouter2"), place: inFrontend,
		do: keep(func(s *scope) *string { return &s.port }),
	},
	{
		Row: row("backend", migrate.Better, "sslrouter-to, of which there may be several"),
		do:  addBackend,
	},
	{Row: row("backend-refresh", migrate.Better, "backend-resolve-interval; names are resolved "+
		"again unasked"), do: unlessOff("backend-resolve-interval")},
	{
		Row:    row("backend-connect-timeout", migrate.Supported, "connect-timeout"),
		option: "connect-timeout",
	},
	{
		Row:    row("ssl-handshake-timeout", migrate.Supported, "handshake-timeout"),
		option: "handshake-timeout",
	},
	{Row: row("pem-file", migrate.Supported, "cert and key of sslrouter2; sni for the names in it "+
		"if there are several"), place: anyPlace, do: readPEMFile},
	{Row: row("pem-dir", migrate.Supported, "as if each file were a pem-file"), do: func(h *file,
		_ *scope, k key,
	) error {
		h.pemDir = k
		return nil
	}},
	{
		Row: row("pem-dir-glob", migrate.Supported, "which files of pem-dir"),
		do: func(h *file, _ *scope,
			k key,
		) error {
			h.pemGlob = k.value
			return nil
		},
	},
	{
		Row: row("match-global-certs", migrate.Ignored,
			"certificates with names are for all frontends"),
		place: inFrontend, do: func(_ *file, s *scope, k key) error {
			s.matchGlobal = !isOff(k.value)
			return nil
		},
	},
	{Row: row("sni-nomatch-abort", migrate.Supported, "sni-nomatch-abort = unknown; one for all "+
		"frontends"), place: anyPlace, do: func(h *file, _ *scope, k key) error {
		if !isOff(k.value) {
			h.set(k, "sni-nomatch-abort", "unknown")
		}
		return nil
	}},
	{
		Row: row("ciphers", migrate.Supported, "ciphers of sslrouter2"), place: anyPlace,
		do: keep(func(s *scope) *string { return &s.ciphers }),
	},
	{Row: row("ciphersuites", migrate.Warned, "the suites of TLS 1.3 cannot be chosen: all three "+
		"are offered"), place: anyPlace},
	{Row: row("ecdh-curve", migrate.Warned, "key exchange is by crypto/tls's own list, with "+
		"post-quantum hybrids first")},
	{
		Row: row("prefer-server-ciphers", migrate.Ignored,
			"the order is by what is fast for client and server"),
		place: anyPlace,
	},
	{
		Row:   row("tls-protos", migrate.Supported, "tls-min-version; one for all frontends"),
		place: anyPlace, do: addProtocols,
	},
	{Row: row("ssl tls", migrate.Warned, migrate.OldTLS), place: anyPlace},
	{Row: row("ssl-engine", migrate.Refused, "keys are read from files: write pem-file")},
	{Row: row("client", migrate.Refused,
		"it speaks TLS to clients only: keep hitch or stunnel for "+
			"the other way")},
	{
		Row: row("client-verify", migrate.Supported,
			"clientca of sslrouter2, with ! for required"),
		place: anyPlace, do: addVerify,
	},
	{
		Row: row("client-verify-ca", migrate.Supported, "clientca of sslrouter2"), place: anyPlace,
		do: keep(func(s *scope) *string { return &s.verifyCA }),
	},
	{Row: row("alpn-protos", migrate.Supported, "sslrouter-alpn"), do: func(h *file, _ *scope,
		k key,
	) error {
		h.set(k, "sslrouter-alpn", strings.Join(strings.FieldsFunc(k.value,
			func(r rune) bool { return r == ',' || r == ' ' }), ","))
		return nil
	}},
	{
		Row: row("write-proxy write-proxy-v2", migrate.Supported, "sslrouter-send-proxy = v2"),
		do:  sendProxy("v2"),
	},
	{
		Row: row("write-proxy-v1", migrate.Supported, "sslrouter-send-proxy = v1"),
		do:  sendProxy("v1"),
	},
	{
		Row: row("proxy-proxy", migrate.Better, "sslrouter-accept-proxy = all and "+
			"sslrouter-send-proxy = v2: the header that came is passed on with the fields of TLS. "+
			"Better name the sources"),
		do: acceptProxy,
	},
	{Row: row("write-ip", migrate.Refused,
		"no backend of today reads it: write write-proxy-v2 = on")},
	{Row: row("proxy-tlv", migrate.Ignored, "version 2 always has the fields of TLS")},
	{Row: row("proxy-client-cert", migrate.Warned, "the name in the client's certificate is sent, "+
		"not all of it")},
	{
		Row: row("workers", migrate.Better,
			"http-processes; one for each core unless said otherwise"),
		option: "http-processes",
	},
	{Row: row("backlog", migrate.Supported, "listen"), option: "listen"},
	{Row: row("tcp-fastopen", migrate.Supported, "tcp-fastopen = 256"), do: func(h *file, _ *scope,
		k key,
	) error {
		if !isOff(k.value) {
			h.set(k, "tcp-fastopen", "256")
		}
		return nil
	}},
	{Row: row("keepalive", migrate.Ignored, "idle-timeout closes what is silent")},
	{Row: row("recv-bufsize send-bufsize ring-slots ring-data-len", migrate.Ignored,
		"high-watermark bounds memory")},
	{Row: row("session-cache shared-cache", migrate.Better, "cache2 with as many items; TLS 1.2 "+
		"and 1.3, any kind of key"), do: addItems},
	{Row: row("shared-cache-listen", migrate.Better, "cache-udp-server; sealed, so all peers must "+
		"be of the same kind"), do: addShared("cache-udp-server")},
	{
		Row: row("shared-cache-peer", migrate.Better, "cache-udp-node"),
		do:  addShared("cache-udp-node"),
	},
	{Row: row("shared-cache-if", migrate.Supported, "cache-udp-interface and, after a comma, "+
		"cache-udp-ttl"), do: addInterface},
	{Row: row("user group chroot", migrate.Warned, migrate.OwnUser)},
	{Row: row("daemon", migrate.Warned, migrate.Background)},
	{Row: row("pidfile", migrate.Warned, "no file is written: "+migrate.Background)},
	{Row: row("syslog log-filename", migrate.Warned, "logs go to standard error: redirect that")},
	{Row: row("syslog-facility", migrate.Ignored, "there is no syslog")},
	{Row: row("log-level", migrate.Supported, "0 and 1 are error, 2 is info"), do: setLogLevel},
	{Row: row("quiet", migrate.Supported, "log-level = error"), do: func(h *file, _ *scope,
		k key,
	) error {
		if !isOff(k.value) {
			h.set(k, "log-level", "error")
		}
		return nil
	}},
	{Row: row("ocsp-dir", migrate.Warned, noStaple)},
	{Row: row("ocsp-connect-tmo ocsp-resp-tmo ocsp-refresh-interval ocsp-verify-staple",
		migrate.Ignored, noStaple)},
}

func row(names string, v migrate.Verdict, note string) migrate.Row {
	return migrate.Row{Names: names, Verdict: v, Note: note}
}

// Rows returns the verdicts about all keys.
func Rows() []migrate.Row {
	rows := make([]migrate.Row, len(table))
	for i, kind := range table {
		rows[i] = kind.Row
	}
	return rows
}

// kinds finds kinds by the names of keys.
var kinds = func() map[string]*kind {
	byName := make(map[string]*kind)
	for i := range table {
		for name := range strings.FieldsSeq(table[i].Names) {
			byName[name] = &table[i]
		}
	}
	return byName
}()

// keep returns a function that stores a value in its scope.
func keep(field func(*scope) *string) func(*file, *scope, key) error {
	return func(_ *file, s *scope, k key) error {
		*field(s) = k.value
		return nil
	}
}

// unlessOff returns a function that sets an option unless the value is 0.
func unlessOff(option string) func(*file, *scope, key) error {
	return func(h *file, _ *scope, k key) error {
		if !isOff(k.value) {
			h.set(k, option, k.value)
		}
		return nil
	}
}

func addBackend(h *file, _ *scope, k key) error {
	if h.backend {
		return errors.New("there is one already: remove one")
	}
	h.backend = true
	if strings.HasPrefix(k.value, "/") {
		h.set(k, "sslrouter-to", k.value)
		return nil
	}
	host, port, err := splitAddress(k.value)
	if err != nil {
		return err
	}
	h.set(k, "sslrouter-to", joinAddress(host, port))
	return nil
}

// readPEMFile reads pem-file, in either of its forms.
func readPEMFile(h *file, s *scope, k key) error {
	p := pem{from: k, cert: k.value, key: k.value}
	for _, inner := range k.block {
		switch inner.name {
		case "cert":
			p.cert = inner.value
		case "private-key":
			p.key = inner.value
		case "ocsp-resp-file":
			h.warn(inner, "no effect: "+noStaple)
		default:
			return suggest.UnknownKey(inner.name, []string{"cert", "ocsp-resp-file", "private-key"})
		}
	}
	p.key = cmp.Or(p.key, p.cert)
	if p.cert == "" {
		return errors.New("no file: write pem-file = \"FILE\" or pem-file = { cert = \"FILE\" }")
	}
	return h.addPEM(s, p)
}

// addShared reads shared-cache-listen and shared-cache-peer, which have HOST,PORT.
func addShared(option string) func(*file, *scope, key) error {
	return func(h *file, _ *scope, k key) error {
		host, port, ok := strings.Cut(k.value, ",")
		if !ok {
			var err error
			if host, port, err = splitAddress(k.value); err != nil {
				return errors.New("not an address: write \"HOST,PORT\"")
			}
		}
		h.set(k, option, joinAddress(strings.Trim(host, "[]"), port))
		return nil
	}
}

// maxItems is the most that a cache may hold.
const maxItems = 1 << 30

// addItems makes session-cache = N the cache of the sessions.
func addItems(h *file, _ *scope, k key) error {
	if _, err := values.Int(k.value, 1, maxItems); err != nil {
		return err
	}
	h.set(k, "cache2", "name=hitch,items="+k.value+",keysize=128,blocksize=4096")
	return nil
}

// addInterface reads shared-cache-if, which has NAME[,TTL].
func addInterface(h *file, _ *scope, k key) error {
	name, ttl, _ := strings.Cut(k.value, ",")
	h.set(k, "cache-udp-interface", name)
	if ttl != "" {
		h.set(k, "cache-udp-ttl", ttl)
	}
	return nil
}

// sendProxy returns a function that selects how backends learn the client's address; hitch allows
// only one way.
func sendProxy(version string) func(*file, *scope, key) error {
	return func(h *file, _ *scope, k key) error {
		if isOff(k.value) {
			return nil
		}
		if h.proxy != "" {
			return errors.New("there is also " + h.proxy + ": remove one")
		}
		h.proxy = k.name
		h.set(k, "sslrouter-send-proxy", version)
		return nil
	}
}

func acceptProxy(h *file, s *scope, k key) error {
	if isOff(k.value) {
		return nil
	}
	h.set(k, "sslrouter-accept-proxy", "all")
	return sendProxy("v2")(h, s, k)
}

func addVerify(_ *file, s *scope, k key) error {
	if !slices.Contains([]string{"none", "optional", "required"}, k.value) {
		return errors.New("bad choice: write none, optional or required")
	}
	s.verify = &k
	return nil
}

func addProtocols(h *file, s *scope, k key) error {
	known := []string{"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	words := strings.Fields(k.value)
	for _, p := range words {
		if !slices.Contains(known, p) {
			return suggest.UnknownKey(p, known)
		}
		if slices.Index(known, p) < 3 {
			h.warn(k, p+" is not offered: "+migrate.OldTLS)
		}
	}
	has12, has13 := slices.Contains(words, "TLSv1.2"), slices.Contains(words, "TLSv1.3")
	switch {
	case !has12 && !has13:
		return errors.New("nothing left to offer: write TLSv1.2 TLSv1.3")
	case !has13:
		h.warn(k, "TLSv1.3 is offered too: it cannot be left out")
	}
	s.protocols = &k
	return nil
}

// setLogLevel translates hitch's numbers.
func setLogLevel(h *file, _ *scope, k key) error {
	n, err := strconv.Atoi(k.value)
	if err != nil || n < 0 {
		return errors.New("not a level: write 0, 1 or 2")
	}
	h.set(k, "log-level", []string{"error", "error", "info"}[min(n, 2)])
	return nil
}
