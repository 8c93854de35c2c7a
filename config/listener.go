package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// pendingListener is a listener before what holds for all listeners is known.
type pendingListener struct {
	TLSListener
	from setting
}

// pendingCertificate is a certificate given with sni, its Policy as far as it was stated.
type pendingCertificate struct {
	Certificate
	from setting
}

const (
	sslrouterForm = "ADDR,CERT,KEY[,CIPHERS[,CLIENTCA]]"
	sniForm       = "NAME CERT,KEY[,CIPHERS[,CLIENTCA]]"
)

// addSSLRouter sets sslrouter.
func addSSLRouter(b *builder, value string) error {
	fields := splitFields(value, 5)
	if slices.Contains(fields[:3], "") {
		return errors.New("incomplete: write " + sslrouterForm)
	}
	return b.addListener(TLSListener{Certs: []Certificate{{CertFile: fields[1], KeyFile: fields[2]}}}, fields[0], fields[3], fields[4])
}

var sslrouter2Keys = []string{"addr", "alpn", "cert", "ciphers", "client_ca", "clientca", "context", "crt", "key"}

// addSSLRouter2 sets sslrouter2: what sslrouter takes, as key=value, and more.
func addSSLRouter2(b *builder, value string) error {
	pairs, err := parsePairs(value)
	if err != nil {
		return err
	}
	var l TLSListener
	var certs, keys []string
	var addr, ciphers, clientCA string
	single := map[string]*string{
		"addr": &addr, "ciphers": &ciphers, "clientca": &clientCA, "client_ca": &clientCA, "context": &l.SessionContext,
	}
	for _, p := range pairs {
		if !slices.Contains(sslrouter2Keys, p.key) {
			return unknownKey(p.key, sslrouter2Keys)
		}
		if p.value == "" {
			return fmt.Errorf("key %q has no value", p.key)
		}
		switch p.key {
		case "cert", "crt":
			certs = append(certs, p.value)
		case "key":
			keys = append(keys, p.value)
		case "alpn":
			if l.ALPN != nil {
				return fmt.Errorf("key %q stands twice", p.key)
			}
			if l.ALPN, err = parseALPN(p.value, ";"); err != nil {
				return err
			}
		default:
			if *single[p.key] != "" {
				return fmt.Errorf("key %q stands twice", p.key)
			}
			*single[p.key] = p.value
		}
	}
	if addr == "" || len(certs) == 0 || len(keys) == 0 {
		return errors.New("incomplete: addr, cert and key are needed")
	}
	if len(certs) != len(keys) {
		return fmt.Errorf("%d cert but %d key: write one key for each cert, in the same order", len(certs), len(keys))
	}
	for i := range certs {
		l.Certs = append(l.Certs, Certificate{CertFile: certs[i], KeyFile: keys[i]})
	}
	return b.addListener(l, addr, ciphers, clientCA)
}

// addListener completes l, which holds what needs no reading.
func (b *builder) addListener(l TLSListener, addr, ciphers, clientCA string) (err error) {
	if l.Addr, err = ParseAddress(addr); err != nil {
		return err
	}
	if l.Policy, err = b.parsePolicy(ciphers, clientCA); err != nil {
		return err
	}
	l.Source = b.now.source
	b.listeners = append(b.listeners, pendingListener{l, b.now})
	return nil
}

// addSNI sets sni: NAME CERT,KEY or NAME,CERT,KEY and what sslrouter takes after it.
func addSNI(b *builder, value string) error {
	if i := strings.IndexAny(value, " \t,"); i >= 0 {
		value = value[:i] + "," + strings.TrimLeft(value[i+1:], " \t")
	}
	fields := splitFields(value, 5)
	if slices.Contains(fields[:3], "") {
		return errors.New("incomplete: write " + sniForm)
	}
	name, err := parseServerName(fields[0])
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

// addBackend sets sslrouter-to.
func addBackend(b *builder, value string) error {
	addr, err := ParseAddress(value)
	if err != nil {
		return err
	}
	if addr.Network == "tcp" && addr.Port == 0 {
		return errors.New("port 0: write the port that the backend listens on")
	}
	b.backends = append(b.backends, Backend{Addr: addr})
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

// or returns p with what it leaves open taken from q: a name without rules of its own is never laxer than its listener.
func (p Policy) or(q Policy) Policy {
	if p.Ciphers == nil {
		p.Ciphers = q.Ciphers
	}
	if p.ClientCA == "" {
		p.ClientCA, p.ClientCARequired = q.ClientCA, q.ClientCARequired
	}
	return p
}

// contradicts reports whether p and q state different things.
func (p Policy) contradicts(q Policy) bool {
	return p.Ciphers != nil && q.Ciphers != nil && !slices.Equal(p.Ciphers, q.Ciphers) ||
		p.ClientCA != "" && q.ClientCA != "" && (p.ClientCA != q.ClientCA || p.ClientCARequired != q.ClientCARequired)
}

// parseServerName reads a name as clients send it (RFC 6066, Section 3), or one whose first label is "*".
func parseServerName(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return "", fmt.Errorf("bad name %q: clients send no SNI for an IP address", s)
	}
	labels := strings.Split(name, ".")
	if labels[0] == "*" && len(labels) > 1 {
		labels = labels[1:]
	}
	for _, label := range labels {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", fmt.Errorf("bad name %q: write one such as www.example.com, *.example.com or xn--bcher-kva.example", s)
		}
	}
	return name, nil
}

// parseALPN reads protocol names.
func parseALPN(s, separator string) ([]string, error) {
	var protocols []string
	for p := range strings.SplitSeq(s, separator) {
		p = strings.TrimSpace(p)
		if p == "" || len(p) > 255 || slices.Contains(protocols, p) { // RFC 7301, Section 3.1
			return nil, fmt.Errorf("bad protocol %q: write different names such as h2%shttp/1.1", p, separator)
		}
		protocols = append(protocols, p)
	}
	return protocols, nil
}

// splitFields splits s at commas into n trimmed fields; missing ones are empty, the last keeps its commas.
func splitFields(s string, n int) []string {
	fields := make([]string, n)
	for i, field := range strings.SplitN(s, ",", n) {
		fields[i] = strings.TrimSpace(field)
	}
	return fields
}
