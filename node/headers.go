package node

import (
	"slices"
	"strings"

	"reprise/backend/http1"
	"reprise/config"
)

var headerOps = map[config.HeaderOp]http1.Op{
	config.SetHeader: http1.Set,
	config.AddHeader: http1.Add, config.RemoveHeader: http1.Remove,
}

// headerRules appends rules in the codecs' form.
func headerRules(list []http1.Rule, rules []config.HeaderRule) []http1.Rule {
	for _, r := range rules {
		list = append(list, http1.Rule{Op: headerOps[r.Op], Name: r.Name, Value: r.Value})
	}
	return list
}

// manifold are fields of which a response may have several with different meanings: add-header adds
// one beside the others.
var manifold = []string{
	"link", "server-timing", "set-cookie", "vary", "via", "warning",
	"www-authenticate",
}

// responseRules combines add-header, hsts and response-header. Most fields must occur once, or the
// backend's could undo the operator's (RFC 6797, Section 7.1: of several Strict-Transport-Security
// the first counts).
func responseRules(c *config.HTTPOptions, secure bool) (list []http1.Rule) {
	headers := c.AddHeaders
	if c.HSTS != "" && secure {
		headers = append(slices.Clone(headers),
			config.Header{Name: "Strict-Transport-Security", Value: c.HSTS})
	}
	seen := slices.Clone(manifold)
	for _, h := range headers {
		op, name := http1.Set, strings.ToLower(h.Name)
		if slices.Contains(seen, name) {
			op = http1.Add
		}
		seen = append(seen, name)
		list = append(list, http1.Rule{Op: op, Name: h.Name, Value: h.Value})
	}
	return headerRules(list, c.ResponseHeaders)
}
