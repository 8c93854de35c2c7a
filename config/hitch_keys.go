package config

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// place says where a key of hitch's may stand.
type place int

const (
	outside place = iota
	anyPlace
	inFrontend
)

// hitchKind is what becomes of a key of hitch's: it sets an option of ours to the same value, or does something, or nothing.
type hitchKind struct {
	row
	place  place
	option string
	do     func(h *hitchFile, s *hitchScope, k hitchKey) error
}

const noStaple = "no OCSP response is stapled: use no certificate that demands it (must-staple, RFC 7633)"

var hitchTable = []hitchKind{
	{row: row{"frontend", supported, "sslrouter2, once for each"}},
	{row: row{"host", supported, "the address of sslrouter2"}, place: inFrontend, do: keep(func(s *hitchScope) *string { return &s.host })},
	{row: row{"port", supported, "the address of sslrouter2"}, place: inFrontend, do: keep(func(s *hitchScope) *string { return &s.port })},
	{row: row{"backend", better, "sslrouter-to, of which there may be several"}, do: addHitchBackend},
	{row: row{"backend-refresh", better, "backend-resolve-interval; names are resolved again unasked"}, do: unlessOff("backend-resolve-interval")},
	{row: row{"backend-connect-timeout", supported, "connect-timeout"}, option: "connect-timeout"},
	{row: row{"ssl-handshake-timeout", supported, "handshake-timeout"}, option: "handshake-timeout"},
	{row: row{"pem-file", supported, "cert and key of sslrouter2; sni for the names in it if there are several"}, place: anyPlace, do: readPEMFile},
	{row: row{"pem-dir", supported, "as if each file were a pem-file"}, do: func(h *hitchFile, _ *hitchScope, k hitchKey) error {
		h.pemDir = k
		return nil
	}},
	{row: row{"pem-dir-glob", supported, "which files of pem-dir"}, do: func(h *hitchFile, _ *hitchScope, k hitchKey) error {
		h.pemGlob = k.value
		return nil
	}},
	{row: row{"match-global-certs", ignored, "certificates with names are for all frontends"}, place: inFrontend, do: func(_ *hitchFile, s *hitchScope, k hitchKey) error {
		s.matchGlobal = !isOff(k.value)
		return nil
	}},
	{row: row{"sni-nomatch-abort", supported, "sni-nomatch-abort = unknown; one for all frontends"}, place: anyPlace, do: func(h *hitchFile, _ *hitchScope, k hitchKey) error {
		if !isOff(k.value) {
			h.set(k, "sni-nomatch-abort", string(NotUnknown))
		}
		return nil
	}},
	{row: row{"ciphers", supported, "ciphers of sslrouter2"}, place: anyPlace, do: keep(func(s *hitchScope) *string { return &s.ciphers })},
	{row: row{"ciphersuites", warned, "the suites of TLS 1.3 cannot be chosen: all three are offered"}, place: anyPlace},
	{row: row{"ecdh-curve", warned, "key exchange is by crypto/tls's own list, with post-quantum hybrids first"}},
	{row: row{"prefer-server-ciphers", ignored, "the order is by what is fast for both"}, place: anyPlace},
	{row: row{"tls-protos", supported, "tls-min-version; one for all frontends"}, place: anyPlace, do: addProtocols},
	{row: row{"ssl tls", warned, oldTLS}, place: anyPlace},
	{row: row{"ssl-engine", refused, "keys are read from files: write pem-file"}},
	{row: row{"client", refused, "it speaks TLS to clients only: keep hitch or stunnel for the other way"}},
	{row: row{"client-verify", supported, "clientca of sslrouter2, with ! for required"}, place: anyPlace, do: addVerify},
	{row: row{"client-verify-ca", supported, "clientca of sslrouter2"}, place: anyPlace, do: keep(func(s *hitchScope) *string { return &s.verifyCA })},
	{row: row{"alpn-protos", supported, "sslrouter-alpn"}, do: func(h *hitchFile, _ *hitchScope, k hitchKey) error {
		h.set(k, "sslrouter-alpn", strings.Join(strings.FieldsFunc(k.value, func(r rune) bool { return r == ',' || r == ' ' }), ","))
		return nil
	}},
	{row: row{"write-proxy write-proxy-v2", supported, "sslrouter-send-proxy = v2"}, do: sendProxy("v2")},
	{row: row{"write-proxy-v1", supported, "sslrouter-send-proxy = v1"}, do: sendProxy("v1")},
	{row: row{"proxy-proxy", better, "sslrouter-accept-proxy = all and sslrouter-send-proxy = v2: what came goes on with the fields of TLS. Better name the sources"}, do: acceptProxy},
	{row: row{"write-ip", refused, "no backend of today reads it: write write-proxy-v2 = on"}},
	{row: row{"proxy-tlv", ignored, "version 2 always has the fields of TLS"}},
	{row: row{"proxy-client-cert", warned, "the name in the client's certificate is sent, not all of it"}},
	{row: row{"workers", better, "http-processes; one for each core unless said otherwise"}, option: "http-processes"},
	{row: row{"backlog", supported, "listen"}, option: "listen"},
	{row: row{"tcp-fastopen", supported, "tcp-fastopen = 256"}, do: func(h *hitchFile, _ *hitchScope, k hitchKey) error {
		if !isOff(k.value) {
			h.set(k, "tcp-fastopen", "256")
		}
		return nil
	}},
	{row: row{"keepalive", ignored, "idle-timeout closes what is silent"}},
	{row: row{"recv-bufsize send-bufsize ring-slots ring-data-len", ignored, "read-size and high-watermark bound memory"}},
	{row: row{"session-cache shared-cache", better, "cache2 with as many items; TLS 1.2 and 1.3, any kind of key"}, do: addItems},
	{row: row{"shared-cache-listen", better, "cache-udp-server; sealed, so all peers must be of the same kind"}, do: addShared("cache-udp-server")},
	{row: row{"shared-cache-peer", better, "cache-udp-node"}, do: addShared("cache-udp-node")},
	{row: row{"shared-cache-if", supported, "cache-udp-interface and, after a comma, cache-udp-ttl"}, do: addInterface},
	{row: row{"user group chroot", warned, ownUser}},
	{row: row{"daemon", warned, background}},
	{row: row{"pidfile", warned, "no file is written: " + background}},
	{row: row{"syslog log-filename", warned, "logs go to standard error: redirect that"}},
	{row: row{"syslog-facility", ignored, "there is no syslog"}},
	{row: row{"log-level", supported, "0 and 1 are error, 2 is info"}, do: setLogLevel},
	{row: row{"quiet", supported, "log-level = error"}, do: func(h *hitchFile, _ *hitchScope, k hitchKey) error {
		if !isOff(k.value) {
			h.set(k, "log-level", "error")
		}
		return nil
	}},
	{row: row{"ocsp-dir", warned, noStaple}},
	{row: row{"ocsp-connect-tmo ocsp-resp-tmo ocsp-refresh-interval ocsp-verify-staple", ignored, noStaple}},
}

// hitchKeys finds kinds by the names of keys.
var hitchKeys = func() map[string]*hitchKind {
	byName := make(map[string]*hitchKind)
	for i := range hitchTable {
		for name := range strings.FieldsSeq(hitchTable[i].names) {
			byName[name] = &hitchTable[i]
		}
	}
	return byName
}()

// keep makes what keeps a value in its scope.
func keep(field func(*hitchScope) *string) func(*hitchFile, *hitchScope, hitchKey) error {
	return func(_ *hitchFile, s *hitchScope, k hitchKey) error {
		*field(s) = k.value
		return nil
	}
}

// unlessOff makes what sets an option unless the value is 0.
func unlessOff(option string) func(*hitchFile, *hitchScope, hitchKey) error {
	return func(h *hitchFile, _ *hitchScope, k hitchKey) error {
		if !isOff(k.value) {
			h.set(k, option, k.value)
		}
		return nil
	}
}

func addHitchBackend(h *hitchFile, _ *hitchScope, k hitchKey) error {
	if h.backend {
		return errors.New("there is one already: remove one")
	}
	h.backend = true
	if strings.HasPrefix(k.value, "/") {
		h.set(k, "sslrouter-to", k.value)
		return nil
	}
	host, port, err := splitHitch(k.value)
	if err != nil {
		return err
	}
	h.set(k, "sslrouter-to", joinAddress(host, port))
	return nil
}

// readPEMFile reads pem-file, in either of its forms.
func readPEMFile(h *hitchFile, s *hitchScope, k hitchKey) error {
	p := hitchPEM{from: k, cert: k.value, key: k.value}
	for _, inner := range k.block {
		switch inner.name {
		case "cert":
			p.cert = inner.value
		case "private-key":
			p.key = inner.value
		case "ocsp-resp-file":
			h.warn(inner, "no effect: "+noStaple)
		default:
			return unknownKey(inner.name, []string{"cert", "ocsp-resp-file", "private-key"})
		}
	}
	p.key = cmp.Or(p.key, p.cert)
	if p.cert == "" {
		return errors.New("no file: write pem-file = \"FILE\" or pem-file = { cert = \"FILE\" }")
	}
	return h.addPEM(s, p)
}

// addShared reads shared-cache-listen and shared-cache-peer, which have HOST,PORT.
func addShared(option string) func(*hitchFile, *hitchScope, hitchKey) error {
	return func(h *hitchFile, _ *hitchScope, k hitchKey) error {
		host, port, ok := strings.Cut(k.value, ",")
		if !ok {
			var err error
			if host, port, err = splitHitch(k.value); err != nil {
				return errors.New("not an address: write \"HOST,PORT\"")
			}
		}
		h.set(k, option, joinAddress(strings.Trim(host, "[]"), port))
		return nil
	}
}

// addItems makes session-cache = N the cache of the sessions.
func addItems(h *hitchFile, _ *hitchScope, k hitchKey) error {
	if _, err := parseInt(k.value, 1, maxCacheItems); err != nil {
		return err
	}
	h.set(k, "cache2", "name=hitch,items="+k.value+",keysize=128,blocksize=4096")
	return nil
}

// addInterface reads shared-cache-if, which has NAME[,TTL].
func addInterface(h *hitchFile, _ *hitchScope, k hitchKey) error {
	name, ttl, _ := strings.Cut(k.value, ",")
	h.set(k, "cache-udp-interface", name)
	if ttl != "" {
		h.set(k, "cache-udp-ttl", ttl)
	}
	return nil
}

// sendProxy makes what tells backends of clients, which hitch does in one way only.
func sendProxy(version string) func(*hitchFile, *hitchScope, hitchKey) error {
	return func(h *hitchFile, _ *hitchScope, k hitchKey) error {
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

func acceptProxy(h *hitchFile, s *hitchScope, k hitchKey) error {
	if isOff(k.value) {
		return nil
	}
	h.set(k, "sslrouter-accept-proxy", "all")
	return sendProxy("v2")(h, s, k)
}

func addVerify(_ *hitchFile, s *hitchScope, k hitchKey) error {
	if !slices.Contains([]string{"none", "optional", "required"}, k.value) {
		return errors.New("bad choice: write none, optional or required")
	}
	s.verify = &k
	return nil
}

func addProtocols(h *hitchFile, s *hitchScope, k hitchKey) error {
	known := []string{"SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	words := strings.Fields(k.value)
	for _, p := range words {
		if !slices.Contains(known, p) {
			return unknownKey(p, known)
		}
		if slices.Index(known, p) < 3 {
			h.warn(k, p+" is not offered: "+oldTLS)
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
func setLogLevel(h *hitchFile, _ *hitchScope, k hitchKey) error {
	n, err := strconv.Atoi(k.value)
	if err != nil || n < 0 {
		return errors.New("not a level: write 0, 1 or 2")
	}
	h.set(k, "log-level", []string{"error", "error", "info"}[min(n, 2)])
	return nil
}
