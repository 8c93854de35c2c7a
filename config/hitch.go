package config

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"reprise/config/pki"
)

// hitchFile is a file of hitch's on its way to entries of ours.
type hitchFile struct {
	b         *builder
	name      string
	entries   []entry
	global    hitchScope // what frontends do not say themselves
	frontends []hitchScope
	pemDir    hitchKey
	pemGlob   string
	backend   bool   // there is one
	proxy     string // the key that says how backends are told of clients
}

// hitchScope is what is said of one frontend, or of all.
type hitchScope struct {
	key        hitchKey // where it begins
	host, port string
	pems       []hitchPEM
	ciphers    string
	verify     *hitchKey
	verifyCA   string
	protocols  *hitchKey

	matchGlobal bool // certificates of the global scope are offered here too
}

// hitchPEM is a certificate and its key, which hitch has in one file.
type hitchPEM struct {
	from      hitchKey
	cert, key string
	names     []string // in the certificate
}

// parseHitch returns the entries that a file of hitch's means.
func (b *builder) parseHitch(name string, data []byte) []entry {
	keys, err := readHitch(name, data)
	if err != nil {
		b.unread = true
		b.fail(err)
		return nil
	}
	h := &hitchFile{b: b, name: name}
	for _, k := range keys {
		h.check(k, h.assign(&h.global, k, false))
	}
	if !b.unread {
		h.finish()
	}
	return h.entries
}

// check fails because of k if there is an error. What k was to say is missing then: nothing may be concluded from that.
func (h *hitchFile) check(k hitchKey, err error) {
	if err != nil {
		h.b.unread = true
		h.b.fail(fmt.Errorf("%s: %s: %w", h.source(k), k.name, err))
	}
}

func (h *hitchFile) source(k hitchKey) string { return fmt.Sprintf("%s:%d", h.name, k.line) }

// assign does what k says of s, which is a frontend if inside.
func (h *hitchFile) assign(s *hitchScope, k hitchKey, inside bool) error {
	kind := hitchKeys[k.name]
	switch {
	case kind == nil:
		return unknownHitchKey(k.name, inside)
	case inside && kind.place == outside:
		return errors.New("not in a frontend: write it outside of the block")
	case !inside && kind.place == inFrontend:
		return errors.New("only in a frontend: write it in frontend = { ... }")
	case k.block != nil && k.name != "frontend" && k.name != "pem-file":
		return errors.New("bad value: write a word or a string")
	}
	h.b.note(h.source(k), k.name, &kind.row)
	off := k.block == nil && (k.value == "" || isOff(k.value))
	switch {
	case k.name == "frontend":
		return h.addFrontend(k)
	case kind.verdict == refused && !off:
		return errors.New("not supported: " + kind.note)
	case kind.verdict == warned && !off:
		h.warn(k, "no effect: "+kind.note)
	case kind.option != "":
		h.set(k, kind.option, k.value)
	case kind.do != nil:
		return kind.do(h, s, k)
	}
	return nil
}

func unknownHitchKey(name string, inside bool) error {
	var known []string
	for other, kind := range hitchKeys {
		if kind.place == anyPlace || inside == (kind.place == inFrontend) {
			known = append(known, other)
		}
	}
	if near := nearest(name, known); near != "" {
		return fmt.Errorf("unknown key: did you mean %q?", near)
	}
	return errors.New("unknown key: hitch.conf(5) lists all")
}

// isOff reports whether a value is hitch's way to turn something off.
func isOff(value string) bool {
	on, err := parseBool(value)
	return err == nil && !on
}

func (h *hitchFile) warn(k hitchKey, what string) {
	h.b.config.Warnings = append(h.b.config.Warnings, fmt.Sprintf("%s: %s: %s", h.source(k), k.name, what))
}

// set says that k means this value of an option of ours.
func (h *hitchFile) set(k hitchKey, option, value string) {
	o := optionsByName[option]
	if o == nil {
		h.check(k, fmt.Errorf("there is no %s: remove it", option))
		return
	}
	h.entries = append(h.entries, entry{option: o, key: k.name, value: value, source: h.source(k), file: h.name, literal: true})
}

// addFrontend reads frontend, in either of its forms.
func (h *hitchFile) addFrontend(k hitchKey) error {
	f := hitchScope{key: k}
	if k.block == nil {
		addr, cert, _ := strings.Cut(k.value, "+")
		host, port, err := splitHitch(addr)
		if err != nil {
			return err
		}
		f.host, f.port = host, port
		if cert != "" {
			if err := h.addPEM(&f, hitchPEM{from: k, cert: cert, key: cert}); err != nil {
				return err
			}
		}
	}
	for _, inner := range k.block {
		h.check(inner, h.assign(&f, inner, true))
	}
	if f.port == "" {
		return errors.New("no port: write port = \"443\"")
	}
	h.frontends = append(h.frontends, f)
	return nil
}

// splitHitch splits [HOST]:PORT. A host of * is every address.
func splitHitch(s string) (host, port string, err error) {
	host, port, ok := strings.Cut(s, "]:")
	host, bracket := strings.CutPrefix(host, "[")
	if !ok || !bracket || port == "" {
		return "", "", errors.New("not an address: write \"[HOST]:PORT\"")
	}
	return host, port, nil
}

// joinAddress returns host:port as our options have it.
func joinAddress(host, port string) string {
	if host == "*" {
		host = ""
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

// finish sets what takes several keys to know.
func (h *hitchFile) finish() {
	h.readPEMDir()
	if len(h.frontends) == 0 { // hitch's default
		h.frontends = []hitchScope{{key: hitchKey{name: "frontend", line: 1}, host: "*", port: "8443"}}
	}
	if !h.backend { // and here
		h.set(hitchKey{name: "backend", line: 1}, "sslrouter-to", "127.0.0.1:8000")
	}
	h.setProtocols()
	h.setNames(h.global.pems)
	for _, f := range h.frontends {
		if len(f.pems) > 0 && len(h.global.pems) > 1 && !f.matchGlobal {
			h.warn(f.key, "certificates from outside of it are offered by name here too")
		}
		if len(f.pems) > 1 {
			h.setNames(f.pems)
			if len(h.frontends) > 1 {
				h.warn(f.key, "its certificates are offered by name on the other frontends too")
			}
		}
		h.setListener(f)
	}
}

// readPEMDir adds the files of pem-dir before those that pem-file names, so that the fallback stays the last of these.
func (h *hitchFile) readPEMDir() {
	if h.pemDir.value == "" {
		return
	}
	h.b.config.dirs = append(h.b.config.dirs, h.pemDir.value)
	files, err := os.ReadDir(h.pemDir.value)
	if err != nil {
		h.check(h.pemDir, fmt.Errorf("cannot read %s: %w", h.pemDir.value, cause(err)))
		return
	}
	var dir hitchScope
	for _, f := range files {
		name := filepath.Join(h.pemDir.value, f.Name())
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			continue // also a link to one, such as Kubernetes' ..data
		}
		if ok, _ := path.Match(h.pemGlob, f.Name()); ok || h.pemGlob == "" {
			h.check(h.pemDir, h.addPEM(&dir, hitchPEM{from: h.pemDir, cert: name, key: name}))
		}
	}
	pems := dir.pems
	if len(pems) == 0 {
		h.check(h.pemDir, fmt.Errorf("no certificate in %s: name files as pem-dir-glob says", h.pemDir.value))
		return
	}
	if len(h.global.pems) == 0 { // the first is the fallback then
		pems = append(pems[1:], pems[0])
	}
	h.global.pems = append(pems, h.global.pems...)
}

// addPEM adds a certificate to what is offered in s.
func (h *hitchFile) addPEM(s *hitchScope, p hitchPEM) error {
	chain, err := pki.ReadCertificates(p.cert)
	if err != nil && h.b.serving {
		h.b.unusable(p.cert, err)
		return nil
	}
	if err != nil {
		return err
	}
	p.names = namesIn(chain[0])
	s.pems = append(s.pems, p)
	return nil
}

// setNames offers each certificate under the names in it; the last one of a name is offered, as hitch has it.
func (h *hitchFile) setNames(pems []hitchPEM) {
	if len(pems) < 2 { // the fallback is all there is
		return
	}
	last := make(map[string]hitchPEM)
	var names []string
	for _, p := range pems {
		for _, name := range p.names {
			if _, again := last[name]; !again {
				names = append(names, name)
			}
			last[name] = p
		}
	}
	for _, name := range names {
		p := last[name]
		h.set(p.from, "sni", name+" "+p.cert+","+p.key)
	}
}

// namesIn returns the names in a certificate that clients can send.
func namesIn(leaf *x509.Certificate) []string {
	names := leaf.DNSNames
	if len(names) == 0 {
		names = []string{leaf.Subject.CommonName}
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, err := parseServerName(name)
		return err != nil
	})
}

// setListener makes a frontend a listener. Its fallback is the last certificate of its own, or else of all.
func (h *hitchFile) setListener(f hitchScope) {
	pems := f.pems
	if len(pems) == 0 {
		pems = h.global.pems
	}
	if len(pems) == 0 {
		h.check(f.key, errors.New("no certificate: add pem-file = \"FILE\""))
		return
	}
	fallback := pems[len(pems)-1]
	pairs := []string{
		"addr=" + joinAddress(f.host, f.port), "cert=" + escapeItem(fallback.cert), "key=" + escapeItem(fallback.key),
	}
	if ciphers := cmp.Or(f.ciphers, h.global.ciphers); ciphers != "" {
		pairs = append(pairs, "ciphers="+escapeItem(ciphers))
	}
	verify, ca := f.verify, cmp.Or(f.verifyCA, h.global.verifyCA)
	if verify == nil {
		verify = h.global.verify
	}
	switch {
	case verify == nil || verify.value == "none":
	case ca == "":
		h.check(*verify, errors.New("no authorities: add client-verify-ca = \"FILE\""))
	case verify.value == "required":
		pairs = append(pairs, "clientca=!"+escapeItem(ca))
	default:
		pairs = append(pairs, "clientca="+escapeItem(ca))
	}
	h.set(f.key, "sslrouter2", strings.Join(pairs, ","))
}

// setProtocols sets the oldest version, which is one for all listeners here.
func (h *hitchFile) setProtocols() {
	var oldest string
	var from hitchKey
	for _, f := range h.frontends {
		k := f.protocols
		if k == nil {
			k = h.global.protocols
		}
		version := "1.2"
		if k != nil {
			version, from = oldestOf(k.value), *k
		}
		if oldest != "" && oldest != version {
			h.check(from, errors.New("frontends differ in the oldest version: write the same for all"))
			return
		}
		oldest = version
	}
	if from.name != "" {
		h.set(from, "tls-min-version", oldest)
	}
}

// oldestOf returns the oldest version in a list that is offered here too.
func oldestOf(protocols string) string {
	if slices.Contains(strings.Fields(protocols), "TLSv1.2") || !slices.Contains(strings.Fields(protocols), "TLSv1.3") {
		return "1.2"
	}
	return "1.3"
}

// escapeItem writes s as a value in a list of key=value pairs.
func escapeItem(s string) string { return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s) }
