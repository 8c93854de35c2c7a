package hitch

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

	"reprise/config/migrate"
	"reprise/config/pki"
	"reprise/config/source"
	"reprise/config/suggest"
	"reprise/config/values"
)

// File is the meaning of a file of hitch's.
type File struct {
	// Entries set options of ours.
	Entries []source.Entry
	// Warnings and Errors are lines for the operator. With an error Entries are incomplete.
	Warnings []string
	Errors   []error
	// Used says how each key is treated.
	Used []migrate.Usage
	// Dirs hold certificates: a file added there is one more.
	Dirs []string
	// Unusable are the certificates that could not be read while the node serves.
	Unusable []Unusable
}

// Unusable is a certificate that cannot be read.
type Unusable struct {
	File string
	Err  error
}

// file is a file of hitch's while it is translated to a File.
type file struct {
	*File
	name      string
	serving   bool  // an unusable certificate is not an error
	global    scope // for what frontends do not state
	frontends []scope
	pemDir    key
	pemGlob   string
	backend   bool   // there is one
	proxy     string // the key that says how backends are told of clients
}

// scope holds the settings of one frontend, or of all.
type scope struct {
	key        key // where it begins
	host, port string
	pems       []pem
	ciphers    string
	verify     *key
	verifyCA   string
	protocols  *key

	matchGlobal bool // certificates of the global scope are offered here too
}

// pem is a certificate and its key, which hitch has in one file.
type pem struct {
	from      key
	cert, key string
	names     []string // in the certificate
}

// Parse translates data, which is the content of the file name. If the node is serving, a
// certificate that cannot be read is not an error.
func Parse(name string, data []byte, serving bool) *File {
	h := &file{File: new(File), name: name, serving: serving}
	keys, err := readKeys(name, data)
	if err != nil {
		h.Errors = append(h.Errors, err)
		return h.File
	}
	for _, k := range keys {
		h.check(k, h.assign(&h.global, k, false))
	}
	if len(h.Errors) == 0 {
		h.finish()
	}
	return h.File
}

// check fails because of k if there is an error. The settings of k are missing then: nothing may be
// concluded from their absence.
func (h *file) check(k key, err error) {
	if err != nil {
		h.Errors = append(h.Errors, fmt.Errorf("%s: %s: %w", h.where(k), k.name, err))
	}
}

func (h *file) where(k key) string { return fmt.Sprintf("%s:%d", h.name, k.line) }

// assign applies k to s, which is a frontend if inside.
func (h *file) assign(s *scope, k key, inside bool) error {
	kind := kinds[k.name]
	switch {
	case kind == nil:
		return unknownKey(k.name, inside)
	case inside && kind.place == outside:
		return errors.New("not in a frontend: write it outside of the block")
	case !inside && kind.place == inFrontend:
		return errors.New("only in a frontend: write it in frontend = { ... }")
	case k.block != nil && k.name != "frontend" && k.name != "pem-file":
		return errors.New("bad value: write a word or a string")
	}
	h.Used = append(h.Used, migrate.Usage{
		Where: h.where(k), Key: k.name, Verdict: kind.Verdict, Note: kind.Note,
	})
	off := k.block == nil && (k.value == "" || isOff(k.value))
	switch {
	case k.name == "frontend":
		return h.addFrontend(k)
	case kind.Verdict == migrate.Refused && !off:
		return errors.New("not supported: " + kind.Note)
	case kind.Verdict == migrate.Warned && !off:
		h.warn(k, "no effect: "+kind.Note)
	case kind.option != "":
		h.set(k, kind.option, k.value)
	case kind.do != nil:
		return kind.do(h, s, k)
	}
	return nil
}

func unknownKey(name string, inside bool) error {
	var known []string
	for other, kind := range kinds {
		if kind.place == anyPlace || inside == (kind.place == inFrontend) {
			known = append(known, other)
		}
	}
	if near := suggest.Nearest(name, known); near != "" {
		return fmt.Errorf("unknown key: did you mean %q?", near)
	}
	return errors.New("unknown key: hitch.conf(5) lists all")
}

// isOff reports whether a value is hitch's way to turn something off.
func isOff(value string) bool {
	on, err := values.Bool(value)
	return err == nil && !on
}

func (h *file) warn(k key, what string) {
	h.Warnings = append(h.Warnings, fmt.Sprintf("%s: %s: %s", h.where(k), k.name, what))
}

// set records that k means this value of an option of ours.
func (h *file) set(k key, option, value string) {
	h.Entries = append(h.Entries, source.Entry{
		Option: option, Key: k.name, Value: value, File: h.name, Line: k.line, Literal: true,
	})
}

// addFrontend reads frontend, in either of its forms.
func (h *file) addFrontend(k key) error {
	f := scope{key: k}
	if k.block == nil {
		addr, cert, _ := strings.Cut(k.value, "+")
		host, port, err := splitAddress(addr)
		if err != nil {
			return err
		}
		f.host, f.port = host, port
		if cert != "" {
			if err := h.addPEM(&f, pem{from: k, cert: cert, key: cert}); err != nil {
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

// splitAddress splits [HOST]:PORT. A host of * is every address.
func splitAddress(s string) (host, port string, err error) {
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

// finish sets the options that depend on several keys.
func (h *file) finish() {
	h.readPEMDir()
	if len(h.frontends) == 0 { // hitch's default
		h.frontends = []scope{{key: key{name: "frontend", line: 1}, host: "*", port: "8443"}}
	}
	if !h.backend { // and here
		h.set(key{name: "backend", line: 1}, "sslrouter-to", "127.0.0.1:8000")
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

// readPEMDir adds the files of pem-dir before those that pem-file names, so that the fallback stays
// the last of these.
func (h *file) readPEMDir() {
	if h.pemDir.value == "" {
		return
	}
	h.Dirs = append(h.Dirs, h.pemDir.value)
	files, err := os.ReadDir(h.pemDir.value)
	if err != nil {
		h.check(h.pemDir, fmt.Errorf("cannot read %s: %w", h.pemDir.value, source.Cause(err)))
		return
	}
	var dir scope
	for _, f := range files {
		name := filepath.Join(h.pemDir.value, f.Name())
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			continue // also a link to one, such as Kubernetes' ..data
		}
		if ok, _ := path.Match(h.pemGlob, f.Name()); ok || h.pemGlob == "" {
			h.check(h.pemDir, h.addPEM(&dir, pem{from: h.pemDir, cert: name, key: name}))
		}
	}
	pems := dir.pems
	if len(pems) == 0 {
		h.check(h.pemDir, fmt.Errorf("no certificate in %s: name files as pem-dir-glob says",
			h.pemDir.value))
		return
	}
	if len(h.global.pems) == 0 { // the first is the fallback then
		pems = append(pems[1:], pems[0])
	}
	h.global.pems = append(pems, h.global.pems...)
}

// addPEM adds a certificate to those of s.
func (h *file) addPEM(s *scope, p pem) error {
	chain, err := pki.ReadCertificates(p.cert)
	if err != nil && h.serving {
		h.Unusable = append(h.Unusable, Unusable{p.cert, err})
		return nil
	}
	if err != nil {
		return err
	}
	p.names = namesIn(chain[0])
	s.pems = append(s.pems, p)
	return nil
}

// setNames offers each certificate under the names in it; of several for a name the last is
// offered, as in hitch.
func (h *file) setNames(pems []pem) {
	if len(pems) < 2 { // there is only the fallback
		return
	}
	last := make(map[string]pem)
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
		_, err := pki.ParseServerName(name)
		return err != nil
	})
}

// setListener makes a frontend a listener. Its fallback is its own last certificate, or else the
// last of all.
func (h *file) setListener(f scope) {
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
		"addr=" + joinAddress(f.host, f.port),
		"cert=" + escapeItem(fallback.cert), "key=" + escapeItem(fallback.key),
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
func (h *file) setProtocols() {
	var oldest string
	var from key
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
			h.check(from,
				errors.New("frontends differ in the oldest version: write the same for all"))
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
	if slices.Contains(strings.Fields(protocols), "TLSv1.2") ||
		!slices.Contains(strings.Fields(protocols), "TLSv1.3") {
		return "1.2"
	}
	return "1.3"
}

// escapeItem writes s as a value in a list of key=value pairs.
func escapeItem(s string) string { return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s) }
