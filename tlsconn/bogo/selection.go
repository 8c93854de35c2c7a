package main

import "regexp"

// A class of tests that are not counted.
type class struct {
	names *regexp.Regexp
	cause string
}

// outside are the classes of server tests that do not concern a terminator of
// TLS 1.2 and 1.3.
var outside = []class{
	{regexp.MustCompile(`(^|-)TLS1(-|$)|TLS11|SSL3`), "TLS 1.1 and before"},
	{regexp.MustCompile(`ECH-|ECHInner`), "Encrypted Client Hello"},
	{regexp.MustCompile(`ALPS`), "application settings (ALPS)"},
	{regexp.MustCompile(`ChannelID|NPN`), "Channel ID, NPN"},
	{regexp.MustCompile(`OCSP|SCT|SignedCertificateTimestamp`), "OCSP stapling, certificate timestamps"},
	{regexp.MustCompile(`PAKE|^PSK|-PSK|EmptyPSKHint`), "PAKE, external PSK"},
	{regexp.MustCompile(`DelegatedCred|RawPublicKey|CertificateType|TrustAnchor|CertCompress`), "delegated credentials, raw public keys, trust anchors, certificate compression"},
	{regexp.MustCompile(`SRTP|QUIC`), "SRTP, QUIC"},
	{regexp.MustCompile(`GREASE|DDoS|TLSUnique|Compliance|Padding`), "features of BoringSSL's own API"},
}

// notCounted says why a test, given by its name and the runner's flags for it,
// is not among those counted; "" if it is.
func notCounted(name string, args []string) string {
	server := false
	for _, arg := range args {
		switch arg {
		case "-server":
			server = true
		case "-dtls", "-quic":
			return "not TLS over a stream"
		}
	}
	if !server {
		return "client test"
	}
	for _, c := range outside {
		if c.names.MatchString(name) {
			return c.cause
		}
	}
	return ""
}

// notCountedPrefix marks in the log of causes what is not counted at all.
const notCountedPrefix = "outside: "
