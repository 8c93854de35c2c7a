package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
)

// Reason is why a connection failed, from a closed set that counters can use.
type Reason uint8

const (
	ReasonOther         Reason = iota // what has no name below
	ReasonNotTLS                      // the first bytes are no TLS record: plain HTTP, garbage, SSLv2
	ReasonTruncated                   // the byte stream ended without close_notify or in the handshake
	ReasonOversized                   // a record larger than the protocol allows
	ReasonBadRecord                   // a record that does not authenticate or parse
	ReasonNoVersion                   // no protocol version in common
	ReasonNoCipher                    // no cipher suite, group or signature algorithm in common
	ReasonNoALPN                      // no application protocol in common
	ReasonClientCert                  // client certificate missing or not acceptable
	ReasonBadBinder                   // the client does not hold the session it offered
	ReasonEarlyData                   // 0-RTT offered, which crypto/tls refuses
	ReasonPeerAlert                   // the client sent a fatal alert
	ReasonUnexpected                  // a message out of order
	ReasonRenegotiation               // renegotiation, which is off
	ReasonAborted                     // ended by the caller: time-out, shutdown
	reasons
)

var reasonNames = [reasons]string{
	"other", "not_tls", "truncated", "oversized_record", "bad_record", "no_common_version", "no_common_cipher",
	"no_common_alpn", "client_certificate", "bad_binder", "early_data", "peer_alert", "unexpected_message",
	"renegotiation", "aborted",
}

func (r Reason) String() string { return reasonNames[r] }

// Error is why a connection failed. The first one sticks.
type Error struct {
	Reason Reason
	Err    error // crypto/tls's own words
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func newError(err error) *Error { return &Error{Reason: classify(err), Err: err} }

// texts maps crypto/tls's untyped errors, by what they contain. A wording that
// changes costs a name in the statistics, nothing else; errors_test.go notices.
var texts = []struct {
	contains string
	reason   Reason
}{
	{"first record does not look like a TLS handshake", ReasonNotTLS},
	{"unsupported SSLv2", ReasonNotTLS},
	{"oversized record", ReasonOversized},
	{"received record with version", ReasonBadRecord},
	{"client offered only unsupported versions", ReasonNoVersion},
	{"no cipher suite supported by both", ReasonNoCipher},
	{"no key exchanges supported by both", ReasonNoCipher},
	{"peer doesn't support any of the certificate's signature algorithms", ReasonNoCipher},
	{"unsupported application protocols", ReasonNoALPN},
	{"client didn't provide a certificate", ReasonClientCert},
	{"client certificate", ReasonClientCert},
	{"invalid PSK binder", ReasonBadBinder},
	{"early data", ReasonEarlyData},
	{"bad record MAC", ReasonBadRecord},
	{"record overflow", ReasonOversized},
	{"no renegotiation", ReasonRenegotiation},
	{"clientHelloMsg when waiting for *tls.helloRequestMsg", ReasonRenegotiation},
	{"unexpected", ReasonUnexpected},
	{"too many", ReasonUnexpected},
}

func classify(err error) Reason {
	if errors.Is(err, errAborted) {
		return ReasonAborted
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ReasonTruncated
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return ReasonPeerAlert
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return ReasonClientCert
	}
	text := err.Error()
	for _, t := range texts {
		if strings.Contains(text, t.contains) {
			return t.reason
		}
	}
	return ReasonOther
}
