package main

import (
	"regexp"
	"slices"
	"strings"
)

// A class of tests that are not counted: by their names or by a flag on which they depend.
type class struct {
	names *regexp.Regexp
	flags string // with spaces between
	cause string
}

// outside are the classes of server tests that do not concern a terminator of TLS 1.2 and 1.3:
// older versions, other transports, exotic extensions, and features of BoringSSL's API only.
var outside = []class{
	{regexp.MustCompile(`(^|-)TLS1(-|$)|TLS11|SSL3`), "", "TLS 1.1 and before"},
	{regexp.MustCompile(`ECH-|ECHInner`), "", "Encrypted Client Hello"},
	{regexp.MustCompile(`ALPS`), "-application-settings", "application settings (ALPS)"},
	{regexp.MustCompile(`ChannelID|NPN`), "-advertise-npn", "Channel ID, NPN"},
	{
		regexp.MustCompile(`OCSP|SCT|SignedCertificateTimestamp`),
		"-ocsp-response -enable-ocsp-stapling -signed-cert-timestamps",
		"OCSP stapling, certificate timestamps",
	},
	{regexp.MustCompile(`PAKE|^PSK|-PSK|_PSK_|EmptyPSKHint`), "-psk", "PAKE, external PSK"},
	{
		regexp.MustCompile(`DelegatedCred|RawPublicKey|CertificateType|TrustAnchor|CertCompress`),
		"-install-cert-compression-algs -install-one-cert-compression-alg -resumption-across-names-enabled",
		"delegated credentials, raw public keys, trust anchors, certificate compression, resumption across names",
	},
	{regexp.MustCompile(`SRTP|QUIC`), "", "SRTP, QUIC"},
	{
		regexp.MustCompile(`GREASE|DDoS|TLSUnique|Compliance|Padding`), "",
		"features of BoringSSL's own API",
	},
}

// notCounted says why a test, given by its name and the runner's flags for it, is not counted; ""
// if it is.
func notCounted(name string, args []string) string {
	server := false
	var names []string
	for _, arg := range args {
		names = append(names, flagName(arg))
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
		byFlag := func(f string) bool { return slices.Contains(names, f) }
		if c.names.MatchString(name) || slices.ContainsFunc(strings.Fields(c.flags), byFlag) {
			return c.cause
		}
	}
	return ""
}

// flagName is a flag without the prefix that names its connection.
func flagName(arg string) string {
	for _, prefix := range []string{"-on-shim", "-on-handshaker", "-on-initial", "-on-resume"} {
		if rest, ok := strings.CutPrefix(arg, prefix+"-"); ok {
			arg = "-" + rest
		}
	}
	return arg
}

// notCountedPrefix marks tests in the log of causes that are not counted at all.
const notCountedPrefix = "outside: "
