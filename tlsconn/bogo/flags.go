package main

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A test is what the runner asks of one shim: a connection, and perhaps others that resume its
// session.
type test struct {
	name        string
	address     string
	shimID      uint64
	resumeCount int
	initial     options // of the first connection
	resume      options // of the others
}

// options are the flags of one connection.
type options struct {
	async            bool
	credentials      []credential // in order of preference
	fallback         credential   // used when none of them fits
	trustFile        string
	requireClient    bool
	verifyClient     bool
	verifyFails      bool
	minVersion       uint16
	maxVersion       uint16
	java11           bool
	groups           []uint16
	suites           string
	clientCAs        []string // distinguished names in hexadecimal DER
	alpn             string
	rejectALPN       bool
	noTickets        bool
	readSize         int
	exportLen        int // of keying material to send to the runner
	exportLabel      string
	exportContext    string
	exportsContext   bool
	hashesClient     bool // client certificates are kept as hashes
	renewsTickets    bool
	onlyGroups       bool // groups are only the server's: its client has others
	writesFirst      bool
	initialWrite     string
	initialWrites    int
	shutsDown        bool
	checkCloseNotify bool
	delay            time.Duration // after the connection

	expect expectations
}

// expectations are what the shim checks once the handshake is complete.
type expectations struct {
	version         uint16
	cipher          uint16
	group           uint16
	cipherAES       uint16 // if the processor has instructions for AES
	cipherNoAES     uint16
	serverName      string
	noServerName    bool
	noPeerCert      bool
	peerCertFile    string
	sessionMiss     bool
	sessionSaved    bool
	retry           bool // HelloRetryRequest
	noRetry         bool
	credential      int
	checkCredential bool
}

// A credential is a certificate with its key, as files.
type credential struct {
	certFile, keyFile string
	signingPrefs      []uint16
	namedIssuer       bool // only for clients that name its issuer
}

// A flag of the runner. Exactly one of its functions is set.
type flag struct {
	set   func(o *options)
	value func(o *options, value string) error
}

func boolean(set func(o *options)) flag { return flag{set: set} }

func text(field func(o *options) *string) flag {
	return flag{value: func(o *options, value string) error {
		*field(o) = value
		return nil
	}}
}

func number[T int | uint16](field func(o *options) *T) flag {
	return flag{value: func(o *options, value string) error {
		n, err := strconv.Atoi(value)
		*field(o) = T(n)
		return err
	}}
}

func list(field func(o *options) *[]uint16) flag {
	return flag{value: func(o *options, value string) error {
		n, err := strconv.ParseUint(value, 10, 16)
		*field(o) = append(*field(o), uint16(n))
		return err
	}}
}

// current returns the credential that -cert-file and similar flags set.
func (o *options) current() *credential {
	if n := len(o.credentials); n > 0 {
		return &o.credentials[n-1]
	}
	return &o.fallback
}

// flags are those that the contract of package tlsconn can honour.
var flags = map[string]flag{
	"-async": boolean(func(o *options) { o.async = true }),
	"-new-x509-credential": boolean(
		func(o *options) { o.credentials = append(o.credentials, credential{}) }),
	"-cert-file": text(func(o *options) *string {
		return &o.current().certFile
	}),
	"-key-file": text(func(o *options) *string {
		return &o.current().keyFile
	}),
	"-signing-prefs": list(func(o *options) *[]uint16 {
		return &o.current().signingPrefs
	}),
	"-must-match-issuer": boolean(func(o *options) { o.current().namedIssuer = true }),
	"-trust-cert":        text(func(o *options) *string { return &o.trustFile }),
	"-verify-peer":       boolean(func(o *options) { o.verifyClient = true }),
	"-verify-fail":       boolean(func(o *options) { o.verifyFails = true }),
	"-curves":            list(func(o *options) *[]uint16 { return &o.groups }),
	"-min-version":       number(func(o *options) *uint16 { return &o.minVersion }),
	"-jdk11-workaround":  {set: setJava11},
	"-max-version":       {value: setMaxVersion},
	"-no-tls1":           boolean(func(o *options) {}),
	"-no-tls11":          boolean(func(o *options) {}),
	"-no-tls12":          boolean(func(o *options) { o.minVersion = 0x0304 }),
	"-no-tls13":          boolean(func(o *options) { o.maxVersion = 0x0303 }),
	"-no-ticket":         boolean(func(o *options) { o.noTickets = true }),
	// by a callback: no session is made
	"-skip-ticket":                    boolean(func(o *options) { o.noTickets = true }),
	"-select-alpn":                    text(func(o *options) *string { return &o.alpn }),
	"-decline-alpn":                   boolean(func(o *options) { o.alpn = "" }),
	"-reject-alpn":                    boolean(func(o *options) { o.rejectALPN = true }),
	"-renew-ticket":                   boolean(func(o *options) { o.renewsTickets = true }),
	"-export-keying-material":         number(func(o *options) *int { return &o.exportLen }),
	"-export-label":                   text(func(o *options) *string { return &o.exportLabel }),
	"-export-context":                 text(func(o *options) *string { return &o.exportContext }),
	"-use-export-context":             boolean(func(o *options) { o.exportsContext = true }),
	"-retain-only-sha256-client-cert": boolean(func(o *options) { o.hashesClient = true }),
	"-read-size":                      number(func(o *options) *int { return &o.readSize }),
	"-shim-writes-first":              boolean(func(o *options) { o.writesFirst = true }),
	"-shim-initial-write":             text(func(o *options) *string { return &o.initialWrite }),
	"-shim-shuts-down":                boolean(func(o *options) { o.shutsDown = true }),
	"-check-close-notify":             boolean(func(o *options) { o.checkCloseNotify = true }),
	"-cipher":                         {value: setSuites},
	"-use-client-ca-list":             {value: setClientCAs},
	"-resumption-delay":               {value: setDelay},
	"-expect-version": number(
		func(o *options) *uint16 { return &o.expect.version }),
	"-expect-curve-id": number(func(o *options) *uint16 { return &o.expect.group }),
	"-expect-cipher":   number(func(o *options) *uint16 { return &o.expect.cipher }),
	"-expect-cipher-aes": number(
		func(o *options) *uint16 { return &o.expect.cipherAES }),
	"-expect-cipher-no-aes": number(
		func(o *options) *uint16 { return &o.expect.cipherNoAES }),
	"-expect-server-name": text(func(o *options) *string {
		return &o.expect.serverName
	}),
	"-expect-no-server-name": boolean(func(o *options) {
		o.expect.noServerName = true
	}),
	"-expect-no-peer-cert":   boolean(func(o *options) { o.expect.noPeerCert = true }),
	"-expect-peer-cert-file": text(func(o *options) *string { return &o.expect.peerCertFile }),
	"-expect-session-miss":   boolean(func(o *options) { o.expect.sessionMiss = true }),
	"-expect-session-id":     boolean(func(o *options) { o.expect.sessionSaved = true }),
	"-expect-hrr":            boolean(func(o *options) { o.expect.retry = true }),
	"-expect-no-hrr":         boolean(func(o *options) { o.expect.noRetry = true }),
	"-require-any-client-certificate": boolean(func(o *options) {
		o.requireClient = true
	}),
	"-expect-selected-credential": {value: func(o *options, value string) (err error) {
		o.expect.checkCredential = true
		o.expect.credential, err = strconv.Atoi(value)
		return err
	}},
	"-repeat-shim-initial-write": number(func(o *options) *int { return &o.initialWrites }),
}

// unchecked are flags that make no difference to a server behind this contract. Most ask
// BoringSSL's API for something the contract does not expose; what matters of it the runner sees at
// its own end of the connection.
var unchecked = map[string]bool{ // whether a value follows
	"-server":              false,
	"-allow-hint-mismatch": false, // no hints are given, see parseFlag
	// the client uses one of these schemes
	"-verify-prefs":                    true,
	"-implicit-handshake":              false,
	"-use-custom-verify-callback":      false,
	"-use-early-callback":              false,
	"-use-ticket-callback":             false, // the ticket is a handle in any case
	"-use-ticket-aead-callback":        false,
	"-no-op-extra-handshake":           false,
	"-server-preference":               false,
	"-enable-early-data":               false, // -expect-accept-early-data requires acceptance
	"-expect-reject-early-data":        false,
	"-expect-early-data-reason":        true,
	"-expect-verify-result":            false,
	"-expect-no-session-id":            false,
	"-expect-peer-signature-algorithm": true,
	"-expect-peer-verify-pref":         true,
	"-expect-extended-master-secret":   false,
	"-expect-secure-renegotiation":     false,
	"-expect-no-secure-renegotiation":  false,
	"-expect-advertised-alpn":          true,
}

// unsupported has causes for flags of many tests; any other unknown flag is a cause by its own
// name.
var unsupported = map[string]string{
	"-expect-accept-early-data":  "early data accepted",
	"-expect-msg-callback":       "hellos in SSLv2's format, which ask for static RSA",
	"-ticket-key":                "tickets that the runner can open",
	"-expect-ticket-age-skew":    "skew of ticket ages",
	"-max-send-fragment":         "a limit for records sent",
	"-expect-sha256-client-cert": "client certificates kept as hashes",
	"-key-update":                "key updates on demand",
	"-curves-flags":              "groups of equal preference",
	"-no-server-name-ack":        "server names acknowledged on demand",
	"-fail-cert-callback":        "callbacks that fail",
	"-fail-early-callback":       "callbacks that fail",
	"-select-empty-alpn":         "an empty protocol selected",
}

// parseTest reads the runner's flags. An error that is unimplemented comes with the test's name.
func parseTest(args []string) (*test, error) {
	t := &test{}
	host := "127.0.0.1"
	var port string
	for i := 0; i+1 < len(args); i++ { // other options than a connection's
		switch args[i] {
		case "-write-settings": // judge uses it to pass the test's name
			t.name = strings.TrimSuffix(filepath.Base(args[i+1]), "-")
		case "-port":
			port = args[i+1]
		case "-shim-id":
			t.shimID, _ = strconv.ParseUint(args[i+1], 10, 64)
		case "-resume-count":
			t.resumeCount, _ = strconv.Atoi(args[i+1])
		}
	}
	if cause := notCounted(t.name, args); cause != "" {
		return t, unimplemented(notCountedPrefix + cause)
	}
	for i := 0; i < len(args); i++ {
		name, value := args[i], ""
		if i+1 < len(args) {
			value = args[i+1]
		}
		switch name {
		case "-write-settings", "-port", "-shim-id", "-resume-count":
			i++
			continue
		case "-ipv6":
			host = "::1"
			continue
		}
		used, err := t.parseFlag(name, value)
		if err != nil {
			return t, err
		}
		if used {
			i++
		}
	}
	t.address = net.JoinHostPort(host, port)
	return t, nil
}

const x25519 = "29" // every client and server prefers it, post-quantum hybrids aside

// parseFlag applies one flag to its connections, and reports whether it used the value.
func (t *test) parseFlag(name, value string) (used bool, err error) {
	targets := []*options{&t.initial, &t.resume}
	// Tests in which another process, the handshaker, gives the server wrong hints: without one, as
	// here, the server behaves as it should.
	if rest, ok := strings.CutPrefix(name, "-on-shim"); ok {
		name = rest
		t.initial.onlyGroups = t.initial.onlyGroups || name == "-curves" && value != x25519
	} else if rest, ok := strings.CutPrefix(name, "-on-handshaker"); ok {
		name, targets = rest, nil
	}
	if rest, ok := strings.CutPrefix(name, "-on-initial"); ok {
		name, targets = rest, targets[:min(1, len(targets))]
	} else if rest, ok := strings.CutPrefix(name, "-on-resume"); ok {
		name, targets = rest, targets[min(1, len(targets)):]
	}
	if takesValue, ok := unchecked[name]; ok {
		return takesValue, nil
	}
	f, ok := flags[name]
	if !ok {
		return false, unimplemented(cmp.Or(unsupported[name], "flag "+name))
	}
	for _, o := range targets {
		if f.set != nil {
			f.set(o)
			continue
		}
		if err := f.value(o, value); err != nil {
			if _, ok := err.(unimplemented); ok { //nolint:errorlint // returned as is
				return true, err
			}
			return true, fmt.Errorf("flag %s %q: %w", name, value, err)
		}
	}
	return f.value != nil, nil
}

// setJava11 stands for a workaround that this server lacks: speaking TLS 1.2 with Java 11 only. A
// test with a maximum of TLS 1.2 for all does not depend on it.
func setJava11(o *options) { o.java11 = true }

// setMaxVersion drops a maximum that is not a limit.
func setMaxVersion(o *options, value string) error {
	n, err := strconv.ParseUint(value, 10, 16)
	if n < 0x0304 {
		o.maxVersion = uint16(n)
	}
	return err
}

func setClientCAs(o *options, value string) error {
	if strings.HasPrefix(value, "<") {
		return unimplemented("no CA names although client certificates are verified")
	}
	o.clientCAs = strings.Split(value, ",")
	return nil
}

func setDelay(o *options, value string) error {
	seconds, err := strconv.Atoi(value)
	o.delay = time.Duration(seconds) * time.Second
	return err
}

// setSuites keeps a list for configure, which knows the engine's suites.
func setSuites(o *options, value string) error {
	o.suites = value
	return nil
}
