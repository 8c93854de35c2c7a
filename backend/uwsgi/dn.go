package uwsgi

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// dn is a distinguished name. The standard library writes one form only, and knows few of the
// attributes.
type dn pkix.RDNSequence

// shortNames are OpenSSL's names of attributes, which readers of these variables expect.
var shortNames = map[string]string{
	"2.5.4.3":  "CN",
	"2.5.4.4":  "SN",
	"2.5.4.5":  "serialNumber",
	"2.5.4.6":  "C",
	"2.5.4.7":  "L",
	"2.5.4.8":  "ST",
	"2.5.4.9":  "street",
	"2.5.4.10": "O",
	"2.5.4.11": "OU",
	"2.5.4.12": "title",
	"2.5.4.17": "postalCode",
	"2.5.4.42": "GN",

	"0.9.2342.19200300.100.1.1":  "UID",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1":       "emailAddress",
}

// parseDN returns the empty name for malformed input.
func parseDN(der []byte) dn {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return nil
	}
	return dn(name)
}

// oneLine returns the name in the form of OpenSSL 3's X509_NAME_oneline, and so of uWSGI:
// "/CN=client1/O=Acme". A backslash in a value is escaped too, or a common name that ends in one
// would pass for a longer one.
func (d dn) oneLine() string {
	var s strings.Builder
	for _, set := range d {
		separator := "/"
		for _, a := range set {
			name, value, _ := text(a)
			s.WriteString(separator + name + "=")
			for _, b := range []byte(value) {
				switch {
				case b < ' ' || b > '~' || b == '\\':
					fmt.Fprintf(&s, `\x%02X`, b)
					continue
				case b == '/' || b == '+':
					s.WriteByte('\\')
				}
				s.WriteByte(b)
			}
			separator = "+"
		}
	}
	return s.String()
}

// rfc4514 returns the name as LDAP, Apache and nginx write it, the last part first:
// "O=Acme,CN=client1".
func (d dn) rfc4514() string {
	var s strings.Builder
	for i, set := range slices.Backward(d) {
		for j, a := range slices.Backward(set) {
			name, value, plain := text(a)
			if plain {
				value = escape4514(value)
			}
			s.WriteString(name + "=" + value)
			switch {
			case j > 0:
				s.WriteByte('+')
			case i > 0:
				s.WriteByte(',')
			}
		}
	}
	return s.String()
}

// text returns the name and value of an attribute; for a value that is not plain text, or a type
// without a name, the value is "#" and its DER in hex (RFC 4514, Section 2.4).
func text(a pkix.AttributeTypeAndValue) (name, value string, plain bool) {
	oid := a.Type.String()
	if name, known := shortNames[oid]; known {
		if value, plain := a.Value.(string); plain {
			return name, value, true
		}
		oid = name
	}
	der, _ := asn1.Marshal(a.Value) // nothing, for a kind that could not be read either
	return oid, "#" + hex.EncodeToString(der), false
}

func escape4514(value string) string {
	var s strings.Builder
	for i, b := range []byte(value) {
		switch {
		case b < ' ' || b == 0x7f:
			fmt.Fprintf(&s, `\%02X`, b)
			continue
		case strings.IndexByte(`"+,;<>\`, b) >= 0,
			i == 0 && (b == ' ' || b == '#'),
			i == len(value)-1 && b == ' ':
			s.WriteByte('\\')
		}
		s.WriteByte(b)
	}
	return s.String()
}
