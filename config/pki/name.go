package pki

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParseServerName reads a name as clients send it (RFC 6066, Section 3), or one whose first label
// is "*".
func ParseServerName(s string) (string, error) {
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
			return "",
				fmt.Errorf("bad name %q: write one such as www.example.com, *.example.com or "+
					"xn--bcher-kva.example", s)
		}
	}
	return name, nil
}
