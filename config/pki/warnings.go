package pki

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// soon is how long before its end a certificate is warned about: a tenth of a short life.
func soon(c *x509.Certificate) time.Duration {
	return min(14*24*time.Hour, c.NotAfter.Sub(c.NotBefore)/10)
}

// Warnings lists what works but was hardly meant about the pair under name, which may be "" or a
// wildcard. Lines begin with the file's name.
func (p *Pair) Warnings(file, name string, now time.Time) []string {
	var lines []string
	warn := func(format string, args ...any) {
		lines = append(lines, file+" "+fmt.Sprintf(format, args...))
	}
	if line := Expiry(p.Leaf, now); line != "" {
		warn("%s", line)
	}
	// A wildcard is checked by one of the names it stands for.
	if name != "" && p.Leaf.VerifyHostname(strings.Replace(name, "*", "any", 1)) != nil {
		warn("is not a certificate for %s", name)
	}
	if key, ok := p.Leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		warn("has an RSA key of %d bits: clients refuse less than 2048", key.N.BitLen())
	}
	for i, c := range p.chain[1:] {
		before := p.chain[i]
		switch {
		case c.Equal(p.Leaf):
			warn("holds its own certificate again as the %s: remove it", ordinal(i+2))
		case !bytes.Equal(before.RawIssuer, c.RawSubject):
			warn("is out of order: the %s certificate did not issue the %s, and some clients do not look "+
				"further", ordinal(i+2), ordinal(i+1))
		case now.After(c.NotAfter):
			warn("holds a chain whose %s certificate expired on %s", ordinal(i+2), date(c.NotAfter))
		}
	}
	return lines
}

// Expiry says in words that a certificate is not valid now or soon expires; "" if neither.
func Expiry(c *x509.Certificate, now time.Time) string {
	switch left := c.NotAfter.Sub(now); {
	case left < 0:
		return "expired on " + date(c.NotAfter)
	case now.Before(c.NotBefore):
		return "is not valid before " + date(c.NotBefore)
	case left < soon(c):
		return fmt.Sprintf("expires on %s, in %s", date(c.NotAfter), roughly(left))
	}
	return ""
}

// Valid reports whether clients take c for valid now.
func Valid(c *x509.Certificate, now time.Time) bool {
	return !now.After(c.NotAfter) && !now.Before(c.NotBefore)
}

func date(t time.Time) string { return t.UTC().Format(time.DateTime) }

func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	default:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
}
