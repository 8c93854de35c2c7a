package tlsconn

import "crypto/tls"

// Info describes a connection whose handshake is complete. For one that has failed, our engine
// gives the ServerName, if there was a ClientHello.
type Info struct {
	Version     uint16 // as on the wire, 0x0304 is TLS 1.3
	CipherSuite uint16
	Group       uint16 // of the key exchange, 0 if there was none
	ServerName  string // the name the client asked for (SNI), "" if none
	ALPN        string // negotiated protocol, "" if none
	Outcome     Outcome
	ByID        bool   // resumed by a session ID of TLS 1.2, not by a ticket
	Owner       NodeID // the maker of the current session: this node, unless another's was resumed
	// Offered is the node that made the session that the client offered, the last that was tried;
	// zero if none was this fleet's. Asked says that other nodes were asked for it.
	Offered NodeID
	Asked   bool
	// ClientPolicy is the one that the handshake met, or that the original handshake of the session
	// met: a session under another one is not resumed.
	ClientPolicy ClientPolicy
}

// Resumed reports whether a session was resumed.
func (i *Info) Resumed() bool { return i.Outcome.Resumed() }

// Protocol returns the version in OpenSSL's notation: "TLSv1.3".
func (i *Info) Protocol() string {
	switch i.Version {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}

// Cipher returns the cipher suite by OpenSSL's name, which logs and applications expect; TLS 1.3
// suites have one name everywhere.
func (i *Info) Cipher() string {
	if name, ok := openSSLNames[i.CipherSuite]; ok {
		return name
	}
	return tls.CipherSuiteName(i.CipherSuite)
}

// openSSLNames has the TLS 1.2 suites that crypto/tls negotiates.
var openSSLNames = map[uint16]string{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
}
