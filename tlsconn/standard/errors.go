package standard

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	"reprise/tlsconn"
)

func newError(err error) *tlsconn.Error {
	reason := classify(err)
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok &&
		tlsconn.LooksLikeHTTP(header.RecordHeader[:]) {
		err = tlsconn.ErrPlainHTTP
	}
	return &tlsconn.Error{Reason: reason, Err: err}
}

// errSpent ends a handshake that crypto/tls has completed, so no alert reports it.
var errSpent = errors.New("tlsconn: the session was used by another handshake meanwhile")

// texts maps crypto/tls's untyped errors by what they contain. A changed wording costs only a name
// in the statistics; errors_test.go notices.
var texts = []struct {
	contains string
	reason   tlsconn.Reason
}{
	{"first record does not look like a TLS handshake", tlsconn.ReasonNotTLS},
	{"unsupported SSLv2", tlsconn.ReasonNotTLS},
	{"oversized record", tlsconn.ReasonOversized},
	{"received record with version", tlsconn.ReasonBadRecord},
	{"client offered only unsupported versions", tlsconn.ReasonNoVersion},
	{"no cipher suite supported by both", tlsconn.ReasonNoCipher},
	{"no key exchanges supported by both", tlsconn.ReasonNoCipher},
	{"peer doesn't support any of the certificate's signature algorithms", tlsconn.ReasonNoCipher},
	{"no certificates configured", tlsconn.ReasonUnknownName},
	{"unsupported application protocols", tlsconn.ReasonNoALPN},
	{"client didn't provide a certificate", tlsconn.ReasonClientCert},
	{"client certificate", tlsconn.ReasonClientCert},
	{"invalid PSK binder", tlsconn.ReasonBadBinder},
	{"early data", tlsconn.ReasonEarlyData},
	{"bad record MAC", tlsconn.ReasonBadRecord},
	{"record overflow", tlsconn.ReasonOversized},
	{"no renegotiation", tlsconn.ReasonRenegotiation},
	{"clientHelloMsg when waiting for *tls.helloRequestMsg", tlsconn.ReasonRenegotiation},
	{"inappropriate protocol fallback", tlsconn.ReasonFallback},
	{"client's Finished message is incorrect", tlsconn.ReasonBadFinished},
	{"invalid client finished hash", tlsconn.ReasonBadFinished},
	{"failed to sign", tlsconn.ReasonInternal},
	{"unexpected", tlsconn.ReasonUnexpected},
	{"too many", tlsconn.ReasonTooMany},
}

func classify(err error) tlsconn.Reason {
	if errors.Is(err, tlsconn.ErrAborted) {
		return tlsconn.ReasonAborted
	}
	if errors.Is(err, errSpent) {
		return tlsconn.ReasonSpent
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return tlsconn.ReasonTruncated
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return tlsconn.ReasonPeerAlert
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return tlsconn.ReasonClientCert
	}
	switch {
	case errors.Is(err, tlsconn.ErrRevoked):
		return tlsconn.ReasonRevoked
	case errors.Is(err, tlsconn.ErrNoCRL), errors.Is(err, tlsconn.ErrCRLEnded):
		return tlsconn.ReasonRevocation
	}
	text := err.Error()
	for _, t := range texts {
		if strings.Contains(text, t.contains) {
			return t.reason
		}
	}
	return tlsconn.ReasonOther
}
