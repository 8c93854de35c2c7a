package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"reprise/config/pki"
	"reprise/config/suggest"
	"reprise/config/values"
)

// pendingListener is a listener before the options of all listeners are known.
type pendingListener struct {
	Listener
	from setting
}

// pendingCertificate is a certificate given with sni, its Policy as far as it was stated.
type pendingCertificate struct {
	Certificate
	from setting
}

const (
	tlsForm = "ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]"
	sniForm = "NAME CERT,KEY[,CIPHERS[,CLIENTCA]]"
)

// addTLS makes the set function of sslrouter or https.
func addTLS(r Router) func(*builder, string) error {
	return func(b *builder, value string) error {
		fields := splitFields(value, 5)
		if fields[0] != "" && fields[1] == acmeCert && fields[2] == "" {
			return b.addTLSListener(r, TLS{}, fields[0], fields[3], fields[4])
		}
		if slices.Contains(fields[:3], "") {
			return errors.New("incomplete: write " + tlsForm)
		}
		return b.addTLSListener(r, TLS{Certs: []Certificate{{
			CertFile: fields[1],
			KeyFile:  fields[2],
		}}},
			fields[0], fields[3], fields[4])
	}
}

var tlsKeys = []string{
	"addr", "alpn", "cert", "ciphers", "client_ca", "clientca", "context", "crt",
	"key",
}

// addTLS2 makes the set function of sslrouter2 or https2, which take key=value pairs.
func addTLS2(r Router) func(*builder, string) error {
	return func(b *builder, value string) error {
		pairs, err := values.Pairs(value)
		if err != nil {
			return err
		}
		if r == HTTPRouter {
			pairs = slices.DeleteFunc(pairs, func(p values.Pair) bool {
				if p.Key == "spdy" {
					b.warnf(b.now, "spdy is ignored: browsers no longer speak it")
				}
				return p.Key == "spdy"
			})
		}
		return b.addTLSPairs(r, pairs)
	}
}

func (b *builder) addTLSPairs(r Router, pairs []values.Pair) (err error) {
	var t TLS
	var certs, keys []string
	var addr, ciphers, clientCA string
	single := map[string]*string{
		"addr": &addr, "ciphers": &ciphers, "clientca": &clientCA, "client_ca": &clientCA,
		"context": &t.SessionContext,
	}
	for _, p := range pairs {
		if !slices.Contains(tlsKeys, p.Key) {
			return suggest.UnknownKey(p.Key, tlsKeys)
		}
		if p.Value == "" {
			return fmt.Errorf("key %q has no value", p.Key)
		}
		switch p.Key {
		case "cert", "crt":
			certs = append(certs, p.Value)
		case "key":
			keys = append(keys, p.Value)
		case "alpn":
			if t.ALPN != nil {
				return fmt.Errorf("key %q stands twice", p.Key)
			}
			if t.ALPN, err = parseALPN(p.Value, ";"); err != nil {
				return err
			}
		default:
			if *single[p.Key] != "" {
				return fmt.Errorf("key %q stands twice", p.Key)
			}
			*single[p.Key] = p.Value
		}
	}
	if slices.Equal(certs, []string{acmeCert}) && len(keys) == 0 {
		certs = nil
	} else if addr == "" || len(certs) == 0 || len(keys) == 0 {
		return errors.New("incomplete: addr, cert and key are needed")
	}
	if addr == "" {
		return errors.New("incomplete: addr is needed")
	}
	if len(certs) != len(keys) {
		return fmt.Errorf("%d cert but %d key: write one key for each cert, in the same order",
			len(certs), len(keys))
	}
	if r == HTTPRouter && slices.ContainsFunc(t.ALPN,
		func(p string) bool { return !slices.Contains(httpALPN, p) }) {
		return errors.New(
			"alpn: https speaks h2 and http/1.1: for other protocols write sslrouter2")
	}
	for i := range certs {
		t.Certs = append(t.Certs, Certificate{CertFile: certs[i], KeyFile: keys[i]})
	}
	return b.addTLSListener(r, t, addr, ciphers, clientCA)
}

// addTLSListener parses the remaining fields of t and adds it.
func (b *builder) addTLSListener(r Router, t TLS, addr, ciphers, clientCA string) (err error) {
	a, err := ParseAddress(addr)
	if err != nil {
		return err
	}
	if t.Policy, err = b.parsePolicy(ciphers, clientCA); err != nil {
		return err
	}
	b.addListener(Listener{Router: r, Addr: a, TLS: &t})
	return nil
}

// addListener keeps l until the options of all listeners are known.
func (b *builder) addListener(l Listener) {
	l.Source = b.now.source
	b.listeners = append(b.listeners, pendingListener{l, b.now})
}

// tlsListeners returns the listeners that terminate TLS.
func (b *builder) tlsListeners() []pendingListener {
	return slices.DeleteFunc(slices.Clone(b.listeners),
		func(l pendingListener) bool { return l.TLS == nil })
}

// addPlain makes the set function of a listener that has only an address.
func addPlain(r Router) func(*builder, string) error {
	return func(b *builder, value string) error {
		addr, err := ParseAddress(value)
		if err == nil {
			b.addListener(Listener{Router: r, Addr: addr})
		}
		return err
	}
}

// addRedirect sets http-to-https.
func addRedirect(b *builder, value string) (err error) {
	l := Listener{Router: HTTPRouter, RedirectPort: 443}
	address, port, stated := strings.Cut(value, ",")
	if l.Addr, err = ParseAddress(strings.TrimSpace(address)); err != nil {
		return err
	}
	if stated {
		if l.RedirectPort, err = values.Int(strings.TrimSpace(port), 1, 1<<16-1); err != nil {
			return fmt.Errorf("port %q: %w", port, err)
		}
	}
	b.addListener(l)
	return nil
}

// addSNI sets sni: NAME CERT,KEY or NAME,CERT,KEY, then the optional fields of sslrouter.
func addSNI(b *builder, value string) error {
	if i := strings.IndexAny(value, " \t,"); i >= 0 {
		value = value[:i] + "," + strings.TrimLeft(value[i+1:], " \t")
	}
	fields := splitFields(value, 5)
	if slices.Contains(fields[:3], "") {
		return errors.New("incomplete: write " + sniForm)
	}
	name, err := pki.ParseServerName(fields[0])
	if err != nil {
		return err
	}
	policy, err := b.parsePolicy(fields[3], fields[4])
	if err != nil {
		return err
	}
	cert := Certificate{Name: name, CertFile: fields[1], KeyFile: fields[2], Policy: policy}
	b.names = append(b.names, pendingCertificate{cert, b.now})
	return nil
}

// parsePolicy reads the two optional fields of a listener or name.
func (b *builder) parsePolicy(ciphers, clientCA string) (p Policy, err error) {
	ids, notes, err := parseCiphers(ciphers)
	if err != nil {
		return p, err
	}
	for _, note := range notes {
		b.warnf(b.now, "%s", note)
	}
	file, required := strings.CutPrefix(clientCA, "!")
	if required && file == "" {
		return p, errors.New("no file after !: write !CLIENTCA to require client certificates")
	}
	return Policy{Ciphers: ids, ClientCA: file, ClientCARequired: required}, nil
}

// or returns p with unset fields taken from q: a name without rules of its own is never laxer than
// its listener.
func (p Policy) or(q Policy) Policy {
	if p.Ciphers == nil {
		p.Ciphers = q.Ciphers
	}
	if p.ClientCA == "" {
		p.ClientCA, p.ClientCARequired = q.ClientCA, q.ClientCARequired
	}
	return p
}

// sameClients reports whether p and q demand the same of clients.
func (p Policy) sameClients(q Policy) bool {
	return p.ClientCA == q.ClientCA && p.ClientCARequired == q.ClientCARequired
}

// contradicts reports whether p and q state different things.
func (p Policy) contradicts(q Policy) bool {
	return p.Ciphers != nil && q.Ciphers != nil && !slices.Equal(p.Ciphers, q.Ciphers) ||
		p.ClientCA != "" && q.ClientCA != "" && (p.ClientCA != q.ClientCA ||
			p.ClientCARequired != q.ClientCARequired)
}

// parseALPN reads protocol names.
func parseALPN(s, separator string) ([]string, error) {
	var protocols []string
	for p := range strings.SplitSeq(s, separator) {
		p = strings.TrimSpace(p)
		if p == "" || len(p) > 255 || slices.Contains(protocols, p) { // RFC 7301, Section 3.1
			return nil, fmt.Errorf("bad protocol %q: write different names such as h2%shttp/1.1", p,
				separator)
		}
		protocols = append(protocols, p)
	}
	return protocols, nil
}

// splitFields splits s at commas into n trimmed fields; missing ones are empty, the last keeps its
// commas.
func splitFields(s string, n int) []string {
	fields := make([]string, n)
	for i, field := range strings.SplitN(s, ",", n) {
		fields[i] = strings.TrimSpace(field)
	}
	return fields
}
