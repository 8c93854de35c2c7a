package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"reprise/config/suggest"
)

// Header is a field of an HTTP message: a token and a field value (RFC 9110, Section 5).
type Header struct{ Name, Value string }

// HeaderRule changes the fields of one name in requests or responses.
type HeaderRule struct {
	// Op is the change.
	Op HeaderOp
	// Name is a token that says nothing about framing.
	Name string
	// Value may have HeaderVariables in it, each as ${NAME}; empty with RemoveHeader.
	Value string
}

// HeaderOp is what a rule does. It reads as an operator writes it.
type HeaderOp string

// The operations.
const (
	SetHeader    HeaderOp = "set"    // replaces all of the name
	AddHeader    HeaderOp = "add"    // adds one more
	RemoveHeader HeaderOp = "remove" // removes all of the name
)

// HeaderVariables are the variables that a HeaderRule's value may use.
var HeaderVariables = []string{
	"REMOTE_ADDR", "REMOTE_PORT", "SSL_PROTOCOL", "SSL_CIPHER", "SSL_SERVER_NAME",
	"SSL_SESSION_RESUMED", "SSL_CLIENT_VERIFY",
	"SSL_CLIENT_S_DN", "SSL_CLIENT_I_DN", "SSL_CLIENT_M_SERIAL", "SSL_CLIENT_FINGERPRINT",
	"REQUEST_ID",
}

// ownFields are about a message's length, its connection and its recipient: Reprise must write them
// itself, or client and backend would not agree where the next message begins.
var ownFields = []string{
	"connection", "content-length", "expect", "host", "http2-settings", "keep-alive",
	"proxy-authenticate", "proxy-authorization",
	"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

// parseHeader reads Name: value. The value needs no further check: a field value may not hold
// control characters (RFC 9110, Section 5.5), and no setting may.
func parseHeader(s string) (Header, error) {
	name, value, found := strings.Cut(s, ":")
	value = strings.Trim(value, " \t")
	if !found || value == "" {
		return Header{}, errors.New("incomplete: write Name: value")
	}
	return Header{name, value}, checkFieldName(name)
}

func checkFieldName(name string) error {
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isTokenChar(r) }):
		return fmt.Errorf("bad name %q: write letters, digits and hyphens, such as X-Frame-Options",
			name)
	case slices.Contains(ownFields, strings.ToLower(name)):
		return fmt.Errorf("%s is written by Reprise itself: remove it", name)
	}
	// Some programs read other bytes as hyphens: X_Forwarded_For would be a second X-Forwarded-For
	// to them, and Content_Length a second length.
	hyphens := strings.Map(lettersAndDigits, name)
	isOwn := slices.Contains(ownFields, strings.ToLower(hyphens))
	if hyphens != name && (isSpecial(hyphens) || isOwn) {
		return fmt.Errorf("%s is taken for %s by some: write that", name, hyphens)
	}
	if strings.EqualFold(name, "proxy") { // CVE-2016-5385
		return fmt.Errorf("%s is never passed on, since CGI makes HTTP_PROXY of it: remove it",
			name)
	}
	return nil
}

// isTokenChar reports whether r is a tchar (RFC 9110, Section 5.6.2).
func isTokenChar(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
		strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// lettersAndDigits turns any other character into a hyphen.
func lettersAndDigits(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// isSpecial reports whether proxies name the client by fields of this name.
func isSpecial(name string) bool {
	name = strings.ToLower(name)
	for _, prefix := range []string{
		"x-forwarded", "x-ssl-", "ssl-client-", "x-client-cert", "client-cert", "x-real-ip",
		"x-client-ip", "client-ip",
		"true-client-ip", "x-cluster-client-ip", "front-end-https", "x-scheme", "x-url-scheme",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

const ruleForm = "set NAME: VALUE, add NAME: VALUE or remove NAME"

// parseHeaderRule reads what HAProxy calls set-header, add-header and del-header.
func parseHeaderRule(s string) (HeaderRule, error) {
	op, rest, _ := strings.Cut(strings.TrimLeft(s, " \t"), " ")
	rest = strings.Trim(rest, " \t")
	switch op := HeaderOp(op); op {
	case SetHeader, AddHeader:
		h, err := parseHeader(rest)
		if err == nil {
			err = checkVariables(h.Value)
		}
		return HeaderRule{op, h.Name, h.Value}, err
	case RemoveHeader:
		name := strings.TrimRight(strings.TrimSuffix(rest, ":"), " \t")
		return HeaderRule{Op: op, Name: name}, checkFieldName(name)
	}
	return HeaderRule{}, errors.New("bad rule: write " + ruleForm)
}

// checkVariables looks for each ${NAME}.
func checkVariables(value string) error {
	for {
		_, after, found := strings.Cut(value, "${")
		if !found {
			return nil
		}
		name, rest, closed := strings.Cut(after, "}")
		switch {
		case !closed:
			return fmt.Errorf("${%s has no end: write ${NAME}", name)
		case slices.Contains(HeaderVariables, name):
		case suggest.Nearest(name, HeaderVariables) != "":
			return fmt.Errorf("unknown variable ${%s}: write ${%s}",
				name, suggest.Nearest(name, HeaderVariables))
		default:
			return fmt.Errorf("unknown variable ${%s}: write one of %s",
				name, strings.Join(HeaderVariables, ", "))
		}
		value = rest
	}
}

// headerRules makes the set function of an option whose values are rules, in the order written.
func headerRules(field func(*Config) *[]HeaderRule) func(*builder, string) error {
	return func(b *builder, value string) error {
		rule, err := parseHeaderRule(value)
		if err == nil {
			list := field(&b.config)
			*list = append(*list, rule)
		}
		return err
	}
}

// checkHeaders reports rules that contradict each other or that a client can get round.
func (b *builder) checkHeaders() {
	h := &b.config.HTTP
	const sts = "Strict-Transport-Security"
	if h.HSTS != "" {
		says := slices.ContainsFunc(h.AddHeaders, func(h Header) bool {
			return strings.EqualFold(h.Name, sts)
		}) || slices.ContainsFunc(h.ResponseHeaders, func(r HeaderRule) bool {
			return r.Op != RemoveHeader && strings.EqualFold(r.Name, sts)
		})
		if says { // RFC 6797, Section 7.1: only one
			b.fail(b.written("hsts").errorf(
				"another option sets %s too, and browsers take only one: remove one of them", sts))
		}
	}
	set := make(map[string]bool) // names that clients cannot use any more
	for _, s := range b.config.settings {
		if s.option.name != "request-header" {
			continue
		}
		r, err := parseHeaderRule(s.value)
		if err != nil {
			continue // already reported
		}
		name := strings.ToLower(strings.Map(lettersAndDigits, r.Name))
		if r.Op == AddHeader && strings.Contains(r.Value, "${") && !set[name] {
			b.warnf(s, "clients can send a field of that name too: write set to have only yours")
		}
		set[name] = set[name] || r.Op != AddHeader
	}
}
